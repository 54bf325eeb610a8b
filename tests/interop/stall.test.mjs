// Stalls between a stock speaker and the node: what is late there reaches no listener and is counted, and with the bound
// off all of it comes, late. How late frames were at the listeners is told, not judged: machines that run tests stall too.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Delay, lateness } from './lib/delay.mjs';
import { DiscordJs } from './lib/discordjs.mjs';
import { Earshot } from './lib/earshot.mjs';
import { Relay } from './lib/relay.mjs';
import { inRoom, nothingUncaught, sleep, until } from './lib/room.mjs';
import { toneFrames } from './lib/tones.mjs';

const DELAY_ADDRESS = '127.0.0.2';
const GREETING = 10;
// 300 to 400 ms, every 1 to 1.6 s.
const STALLS = Array.from({ length: 9 }, (_, i) => ({ pass: [50, 65, 80][i % 3], hold: [16, 21, 18][i % 3] }));
const HELD = STALLS.reduce((sum, { hold }) => sum + hold, 0);
const SPEECH = STALLS.reduce((sum, { pass, hold }) => sum + pass + hold, 50);

// A node whose clients all take the way through the delay.
class DelayedNode {
  static async start(lateMsMax) {
    const node = new DelayedNode();
    node.lateMsMax = lateMsMax;
    node.relay = await Relay.start({
      'media.listen': '127.0.0.1:0',
      'media.advertise_ipv4': DELAY_ADDRESS,
      'media.late_ms_max': lateMsMax,
    });
    const port = node.relay.mediaPort;
    node.delay = await Delay.start({ address: DELAY_ADDRESS, port }, { address: '127.0.0.1', port });
    return node;
  }

  async stop() {
    await this.relay.stop();
    this.delay.close();
  }
}

const percentile = (values, share) => values.toSorted((a, b) => a - b)[Math.ceil(share * values.length) - 1];

// One speech through the stalls, in a room of that node.
class Conversation {
  static async hold(node, room) {
    const it = new Conversation();
    Object.assign(it, { node, room, delay: node.delay });
    const joins = [DiscordJs.join(room), DiscordJs.join(room), Earshot.join(room)];
    [it.speaker, it.stock, it.ours] = await Promise.all(joins);
    it.ssrc = (await it.#ask(it.speaker)).ssrc;
    it.listeners = (await Promise.all([it.stock, it.ours].map((member) => it.#ask(member)))).map(({ ssrc }) => ssrc);
    await it.#greet();
    await it.#speak();
    return it;
  }

  // The stock listener learns who speaks, and everybody's first words are not what is counted.
  async #greet() {
    await this.speaker.say(toneFrames(440, GREETING));
    await until('it knows the speaker', () => this.stock.knows(this.speaker.user));
    await this.#arrives();
    this.greeted = this.speaker.framesSent;
    this.before = this.listeners.map((listener) => this.delay.frames(listener, this.ssrc).length);
    this.packets = this.stock.listen(this.speaker.user);
  }

  async #speak() {
    this.delay.stall(this.ssrc, STALLS);
    await this.speaker.say(toneFrames(440, SPEECH));
    await this.#arrives();
    this.sent = this.speaker.framesSent - this.greeted;
    this.late = (await this.#ask(this.speaker)).statistics.packets_late;
    this.frames = this.listeners.map((to, i) => this.delay.frames(to, this.ssrc).slice(this.before[i]));
  }

  // All that was sent is at the node, and what it forwarded has had time to arrive. A pause in speech of this length is
  // no stall either: RTP time stands still in it.
  async #arrives() {
    const end = Date.now() + 30_000;
    while ((await this.#ask(this.speaker)).statistics.packets_received < this.speaker.framesSent) {
      assert.ok(Date.now() < end, 'not all that was sent came to the node');
      await sleep(50);
    }
    await sleep(1_000);
  }

  #ask({ user }) {
    const { server, channel } = this.room;
    return this.speaker.node.request('GET', `/v1/servers/${server}/channels/${channel}/participants/${user}`);
  }

  // What each listener itself counted of the speech.
  async heard() {
    const { received } = await this.ours.heard(this.speaker.user, 440);
    return [this.packets.length, received - this.before[1]];
  }

  // By their RTP time, frames that came out of the delay later than that.
  laterThan(ms) {
    const late = lateness(this.delay.passed);
    return new Set(this.delay.passed.filter((_, i) => late[i] > ms).map(({ timestamp }) => timestamp));
  }

  // And those that did not come to a listener.
  missed(frames) {
    const came = new Set(frames.map(({ timestamp }) => timestamp));
    return this.delay.passed.map(({ timestamp }) => timestamp).filter((timestamp) => !came.has(timestamp));
  }

  summary() {
    const listeners = this.frames.map((frames, i) => {
      const late = lateness(frames);
      const [p95, max] = [percentile(late, 0.95), percentile(late, 1)].map(Math.round);
      return `${['stock', 'earshot'][i]} received ${frames.length}, p95 ${p95} ms late, at most ${max} ms`;
    });
    const { sent, late, node, delay } = this;
    const bound = node.lateMsMax === 0 ? 'off' : `${node.lateMsMax} ms`;
    return `bound ${bound}: sent ${sent}, held ${delay.held}, late ${late}; ${listeners.join('; ')}`;
  }
}

async function stalls(node, room, context) {
  const it = await Conversation.hold(node, room);
  context.diagnostic(it.summary());
  assert.equal(it.delay.held, HELD);
  assert.equal(it.delay.passed.length, it.sent);
  assert.deepEqual(await it.heard(), [it.sent - it.late, it.sent - it.late]);
  return it;
}

async function dropsLateFrames(node, room, context) {
  const it = await stalls(node, room, context);
  assert.ok(it.late > 0, 'no frame was late');
  // Held, or as late by itself where this machine stalled.
  const isLate = it.laterThan(node.lateMsMax);
  const [stock, ours] = it.frames.map((frames) => it.missed(frames));
  assert.equal(stock.length, it.late);
  assert.deepEqual(ours, stock);
  assert.deepEqual(stock.filter((timestamp) => !isLate.has(timestamp)), [], 'dropped, and not late');
}

async function keepsAll(node, room, context) {
  const it = await stalls(node, room, context);
  assert.equal(it.late, 0);
}

describe('a speaker whose network stalls', { concurrency: 2 }, () => {
  const nodes = {};
  before(async () => {
    toneFrames(440, SPEECH); // encoding holds up everybody in this process, so it comes first
    nodes.bounded = await DelayedNode.start(120);
    nodes.off = await DelayedNode.start(0);
  });
  after(() => Promise.all(Object.values(nodes).map((node) => node.stop())));

  const can = (what, which, body) => {
    inRoom(what, { relay: () => nodes[which].relay }, (room, context) => body(nodes[which], room, context));
  };
  can('late frames are dropped, and counted', 'bounded', dropsLateFrames);
  can('with the bound off all are forwarded', 'off', keepsAll);
});

test('nothing was thrown where nobody caught it', nothingUncaught);
