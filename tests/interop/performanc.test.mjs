// @performanc/voice uses the mode that its application names.
import { conversations } from './lib/conversations.mjs';
import { Performanc } from './lib/performanc.mjs';

conversations(Performanc);
