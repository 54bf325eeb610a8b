// A member of a room on Oceanic, whose voice is @discordjs/voice behind a client of its own. It has no options for
// encryption: it always offers it.
import { Client } from 'oceanic.js';
import { DiscordJs } from './discordjs.mjs';

const ALONE = 'one connection for each server in a process';

export class Oceanic extends DiscordJs {
  static skips = {
    waits: 'the same as without Oceanic',
    speakAtOnce: ALONE,
    offersEncryption: ALONE,
    joinsLate: ALONE,
    outlivesTheRelay: ALONE,
    isRefused: ALONE,
    resumes: ALONE,
    fallsSilent: ALONE,
    fillAChannel: ALONE,
    takesOver: ALONE,
  };

  joinVoiceChannel({ guildId, channelId, selfDeaf, debug, adapterCreator }) {
    const options = { guildID: guildId, channelID: channelId, selfDeaf, debug, voiceAdapterCreator: adapterCreator };
    return new Client().joinVoiceChannel(options);
  }
}
