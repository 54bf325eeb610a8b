// A member of a room on Dysnomia's voice connections. The shard given to it stands for the bot's main gateway.
import { VoiceConnectionManager } from '@projectdysnomia/dysnomia';
import { Readable } from 'node:stream';
import { Bot } from './bot.mjs';
import { until } from './room.mjs';

export class Dysnomia extends Bot {
  // It sends five, but at once and from one buffer: the same datagram five times.
  static silenceHeard = 1;
  static skips = {
    isRefused: 'it tries the same token for ever',
    outlivesTheRelay: 'it stops when its session is unknown',
    isMoved: 'its application hands moves on',
  };

  constructor(room, { dave = false, ...options } = {}) {
    super(room, options);
    this.manager = new VoiceConnectionManager(undefined, dave ? {} : { daveEncryption: false });
    this.joined = this.#join();
    this.joined.catch(() => {}); // isReady() tells.
  }

  async #join() {
    const { server, channel } = this.room;
    const { session, endpoint, token } = await this.invite();
    const joined = this.manager.join(server, channel);
    // Its requests to join elsewhere, or nowhere, are not answered.
    const shard = { sendWS() {} };
    this.manager.voiceServerUpdate({ guild_id: server, endpoint, token, session_id: session, user_id: this.user, shard });
    this.connection = this.manager.get(server);
    this.#watch();
    await joined;
  }

  #watch() {
    const { connection } = this;
    connection.on('debug', (line) => this.#onDebug(line));
    connection.on('warn', (line) => this.#onWarning(line));
    // It reports as an error that a connection was cut, and comes back.
    connection.on('error', (error) => (/^1006: /.test(error.message) ? this.note(error.message) : this.fault(error)));
  }

  #onDebug(line) {
    this.note(line);
    const [, isReceived, json] = /^(Rec: )?(\{.*)$/.exec(line) ?? [];
    if (json) (isReceived ? this.received : this.sent).push(JSON.parse(json));
  }

  #onWarning(line) {
    this.note(line);
    const [, code] = /^Voice WS close (\d+)/.exec(line) ?? [];
    if (code) {
      this.closes.push(Number(code));
    } else {
      this.fault(line);
    }
  }

  async isReady() {
    await this.joined;
    await until('it is ready', () => this.connection.ready);
  }

  knows(user) {
    return Object.values(this.connection.ssrcUserMap).includes(user);
  }

  async say(frames) {
    const { connection } = this;
    const ended = new Promise((resolve) => connection.once('end', resolve));
    connection.play(Readable.from(frames), { format: 'opusPackets' });
    await ended;
  }

  get framesSent() {
    return this.connection?.sequence;
  }

  subscribe(user, onPacket) {
    this.connection.receive('opus').on('data', (packet, from) => from === user && onPacket(packet));
  }

  // Cuts the signalling connection below TLS, as a network does.
  cut() {
    this.connection.ws._socket.destroy();
  }

  quit() {
    this.manager.leave(this.room.server);
  }
}
