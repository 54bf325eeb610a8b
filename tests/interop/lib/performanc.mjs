// A member of a room on @performanc/voice, a player that also hears. It keeps what it knows of streams in one table for
// the whole process, so one of its connections can listen to a speaker and no second one.
import { Readable } from 'node:stream';
import performanc from '../performanc/node_modules/@performanc/voice/index.js';
import { Bot } from './bot.mjs';
import { until } from './room.mjs';
import { FRAME_MS } from './tones.mjs';

const GCM = 'aead_aes256_gcm_rtpsize';

export class Performanc extends Bot {
  // One bare silence frame that is no RTP packet.
  static silenceSent = 0;
  static silenceHeard = 0;
  static skips = {
    offersEncryption: 'it does not say in Identify what it offers',
    isRefused: 'it stops',
    outlivesTheRelay: 'it stops',
    resumes: 'it resumes without a UDP socket',
    xchacha: 'its XChaCha calls a function that does not exist',
    isMoved: 'its application hands moves on',
    fillAChannel: 'one listener for each speaker in a process',
  };

  #streams = new Map(); // SSRC of each user that it was told of
  #listeners = new Map(); // by user

  constructor(room, options = {}) {
    super(room, options);
    this.connection = performanc.joinVoiceChannel({ guildId: room.server, userId: this.user, encryption: GCM });
    this.connection.on('error', (error) => this.fault(error));
    this.connection.on('stateChange', (_, { status, code }) => {
      this.note(`${status} ${code ?? ''}`);
      if (code) this.closes.push(code);
    });
    this.connection.on('speakStart', (user, ssrc) => this.#onSpeech(user, ssrc));
    this.joined = this.#join();
    this.joined.catch(() => {}); // isReady() tells.
  }

  async #join() {
    const { session, endpoint, token } = await this.invite();
    this.connection.voiceStateUpdate({ session_id: session });
    this.connection.voiceServerUpdate({ endpoint, token, channel_id: this.room.channel });
    this.connection.connect();
    this.connection.ws.on('message', (text) => this.received.push(JSON.parse(text)));
  }

  // It makes a new stream for every speech.
  #onSpeech(user, ssrc) {
    this.#streams.set(user, ssrc);
    if (this.#listeners.has(user)) performanc.getSpeakStream(ssrc).on('data', this.#listeners.get(user));
  }

  async isReady() {
    await this.joined;
    await until('it is connected', () => this.connection.state.status === 'connected', 60_000);
  }

  knows(user) {
    return this.#streams.has(user);
  }

  async say(frames) {
    const source = new Readable({ objectMode: true, highWaterMark: frames.length + 1, read() {} });
    for (const frame of frames) source.push(frame);
    // Nothing will follow, in its own words.
    source.canStop = true;
    this.connection.play(source);
    await until('speech began', () => this.connection.playerState.status === 'playing');
    await until('speech ended', () => this.connection.playerState.status === 'idle', 60_000 + frames.length * FRAME_MS);
  }

  get framesSent() {
    return this.connection.player.sequence;
  }

  subscribe(user, onPacket) {
    this.#listeners.set(user, onPacket);
    if (this.knows(user)) this.#onSpeech(user, this.#streams.get(user));
  }

  quit() {
    this.connection.destroy();
  }
}
