export { adapterCreator } from './lib/adapter.js';
export { EarshotError } from './lib/error.js';
export { EarshotNode } from './lib/node.js';
