// @discordjs/voice takes the relay's first mode that it knows.
import { GCM, XCHACHA, conversations } from './lib/conversations.mjs';
import { DiscordJs } from './lib/discordjs.mjs';

conversations(DiscordJs, [XCHACHA, GCM]);
