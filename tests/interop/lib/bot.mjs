// What every library's member of a room has in common: a user, the application's answers to its requests to join if it
// does not ask the node itself, and notes of what was said and heard. A subclass drives one library, which stays as it is. It has
//   constructor(room, options)  options: user, for who comes back; dave, to offer end-to-end encryption as by default;
//                               refusals, how many of the first tokens are for somebody else
//   isReady()     resolves once it is in the channel
//   knows(user)   does it know which stream is that user's?
//   say(frames)   resolves once these frames and the library's own silence behind them are on their way
//   subscribe(user, onPacket), framesSent, cut(), quit()
import { makeToken } from './relay.mjs';
import { makeId } from './room.mjs';
import { countUnaltered, listenTo } from './tones.mjs';

const LOG_LINES = 60;

export class Bot {
  joins = 0; // sessions asked for
  sent = []; // signalling messages
  received = [];
  closes = []; // close codes that the library acted upon
  ears = new Map(); // packets heard, by user
  #lines = [];
  #hasLeft = false;

  // Silence frames behind a speech, and how many of them reach a listener.
  static silenceSent = 5;
  static silenceHeard = 5;
  // Conversations that are left out, by the names of conversations.mjs, and why: what the library does with any relay.
  static skips = {};

  constructor(room, { user = makeId(), refusals = 0 } = {}) {
    this.room = room;
    this.user = user;
    this.refusals = refusals;
    room.add(this);
  }

  static async join(room, options) {
    const bot = new this(room, options);
    await bot.isReady();
    return bot;
  }

  // What the application's back end and main gateway give to a user who asks to join: a new session.
  async invite() {
    ++this.joins;
    const { server, channel, relay } = this.room;
    const session = makeId();
    const user = this.joins <= this.refusals ? makeId() : this.user;
    return { session, endpoint: relay.gateway, token: await makeToken({ server, user, session, channel }) };
  }

  note(line) {
    this.#lines.push(`${new Date().toISOString()} ${line}`);
  }

  log() {
    return [...this.#lines.slice(-LOG_LINES), `sent ${this.framesSent} frames`];
  }

  fault(what) {
    this.room.fault(this, what);
  }

  // The last message of that kind from the relay.
  told(op) {
    return this.received.findLast((message) => message.op === op)?.d;
  }

  // To what that user says from now on.
  listen(user) {
    if (!this.ears.has(user)) {
      const packets = [];
      this.ears.set(user, packets);
      this.subscribe(user, (packet) => packets.push(packet));
    }
    this.ears.get(user).length = 0;
    return this.ears.get(user);
  }

  // How many frames of that tone it heard from that user since it began to listen.
  async heard(user, hz) {
    const packets = [...this.ears.get(user)];
    const count = await listenTo(packets, hz);
    this.note(`heard ${count} frames of ${hz} Hz in ${packets.length} packets from ${user}`);
    return count;
  }

  // How many of these very frames.
  heardUnaltered(user, frames) {
    return countUnaltered(this.ears.get(user), frames);
  }

  async leave() {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    await this.quit();
  }
}
