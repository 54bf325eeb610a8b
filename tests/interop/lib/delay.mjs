// A UDP relay in front of a node's media address, which holds up one stream on its way there as a bad network does: what
// is held comes out in one burst. All else passes at once, both ways. Stalls are counted in frames, not in time: they
// are the same on a machine that stalls by itself. Notes when frames passed; drops nothing.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const RTP_HEADER_BYTES = 12;
const DISCOVERY_BYTES = 74;
const DISCOVERY_REQUEST = 1;
const TICKS_PER_MS = 48;

const now = () => performance.now();

export class Delay {
  passed = []; // of the stream that is held up: {timestamp, from, at}, it went on at some time from `from` to `at`
  held = 0; // how many of them had to wait
  #clients = new Map(); // by address: {ssrc, upstream, frames}
  #stalls = [];
  #waiting = [];
  #ssrc;
  #count = 0; // frames since the last stall

  // Listens at `from` and passes on to `to`, both {address, port} of IPv4.
  static async start(from, to) {
    const delay = new Delay();
    delay.to = to;
    delay.socket = createSocket('udp4');
    delay.socket.on('message', (datagram, client) => delay.#onClient(datagram, client));
    delay.socket.bind(from);
    await once(delay.socket, 'listening');
    return delay;
  }

  // From now on every `pass` frames of that stream are followed by a stall which ends with the arrival of the last of
  // `hold` frames: [{pass, hold}, ...], each once and in this order.
  stall(ssrc, stalls) {
    this.#ssrc = ssrc;
    this.#stalls = [...stalls];
  }

  // What went to the client whose own stream is `to`, of the stream `ssrc`: [{timestamp, at}, ...].
  frames(to, ssrc) {
    const client = [...this.#clients.values()].find((one) => one.ssrc === to);
    return client.frames.filter((frame) => frame.ssrc === ssrc);
  }

  close() {
    this.socket.close();
    for (const { upstream } of this.#clients.values()) upstream.close();
  }

  // Of each client a socket of its own, so that replies find back.
  #client({ address, port }) {
    const key = `${address}:${port}`;
    let client = this.#clients.get(key);
    if (!client) {
      client = { upstream: createSocket('udp4'), frames: [] };
      client.upstream.on('message', (datagram) => {
        if (isRtp(datagram)) client.frames.push({ ...header(datagram), at: now() });
        this.socket.send(datagram, port, address);
      });
      this.#clients.set(key, client);
    }
    return client;
  }

  #onClient(datagram, from) {
    const client = this.#client(from);
    if (datagram.length === DISCOVERY_BYTES && datagram.readUInt16BE(0) === DISCOVERY_REQUEST) {
      client.ssrc = datagram.readUInt32BE(4);
    }
    if (isRtp(datagram) && header(datagram).ssrc === this.#ssrc) {
      this.#onFrame(client, datagram);
    } else {
      client.upstream.send(datagram, this.to.port, this.to.address);
    }
  }

  #onFrame(client, datagram) {
    this.#waiting.push(datagram);
    const [stall] = this.#stalls;
    if (stall && ++this.#count > stall.pass) {
      ++this.held;
      if (this.#count < stall.pass + stall.hold) return;
      this.#stalls.shift();
      this.#count = 0;
    }
    for (const waiting of this.#waiting.splice(0)) this.#pass(client, waiting);
  }

  #pass(client, datagram) {
    const frame = { ...header(datagram), from: now() };
    this.passed.push(frame);
    client.upstream.send(datagram, this.to.port, this.to.address, () => (frame.at = now()));
  }
}

function isRtp(datagram) {
  return datagram.length >= RTP_HEADER_BYTES && datagram[0] >> 6 === 2;
}

function header(datagram) {
  return { timestamp: datagram.readUInt32BE(4), ssrc: datagram.readUInt32BE(8) };
}

// How late each frame of one speech was, in milliseconds: transit over the least (RFC 3550 A.8).
export function lateness(frames) {
  const transit = (frame, time) => time - ((frame.timestamp - frames[0].timestamp) >>> 0) / TICKS_PER_MS;
  // Where a frame went on between two times, this is the most that the next one may take it for.
  const least = Math.min(...frames.map((frame) => transit(frame, frame.from ?? frame.at)));
  return frames.map((frame) => transit(frame, frame.at) - least);
}
