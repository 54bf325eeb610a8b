// Oceanic takes the relay's first mode that it knows.
import { GCM, XCHACHA, conversations } from './lib/conversations.mjs';
import { Oceanic } from './lib/oceanic.mjs';

conversations(Oceanic, [XCHACHA, GCM]);
