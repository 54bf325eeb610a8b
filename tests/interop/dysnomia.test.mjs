// Dysnomia has a preference of its own, GCM, and takes XChaCha only from a relay that has nothing else.
import { XCHACHA, conversations } from './lib/conversations.mjs';
import { Dysnomia } from './lib/dysnomia.mjs';

conversations(Dysnomia, [XCHACHA]);
