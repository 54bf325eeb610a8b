// Opus in Ogg (RFC 3533, RFC 7845), as packets of one stream: no audio is decoded or encoded.
import { randomBytes } from 'node:crypto';

export const SILENCE = Buffer.from([0xf8, 0xff, 0xfe]); // 20 ms

const RATE = 48_000;
const PRE_SKIP = 3_840; // RFC 7845, section 4.6: what a decoder takes to find its way into a stream
const HEADER_BYTES = 27;
const SEGMENT_BYTES_MAX = 255;
const PAGE_SEGMENTS_MAX = 255;
const PAGE_PACKETS_MAX = 50; // a second: what a recorder loses that is killed
const FIRST_PAGE = 2;
const LAST_PAGE = 4;

// RFC 6716, table 2, and section 3.1: how many samples of 48 kHz a packet is.
export function packetSamples(packet) {
  const toc = packet[0];
  const configuration = toc >> 3;
  let samples;
  if (configuration < 12) samples = [480, 960, 1_920, 2_880][configuration & 3];
  else if (configuration < 16) samples = [480, 960][configuration & 1];
  else samples = [120, 240, 480, 960][configuration & 3];
  const code = toc & 3;
  return samples * (code === 0 ? 1 : code < 3 ? 2 : packet[1] & 63);
}

// The packets of the first Opus stream in a file. Throws if there is none.
export function* opusPackets(file) {
  let serial;
  let parts = []; // of a packet that goes on
  let headers = 0;
  for (const page of pages(file)) {
    serial ??= page.body.subarray(0, 8).toString('latin1') === 'OpusHead' ? page.serial : undefined;
    if (page.serial !== serial) continue;
    let start = 0;
    let end = 0;
    for (const size of page.sizes) {
      end += size;
      if (size === SEGMENT_BYTES_MAX) continue;
      const packet = Buffer.concat([...parts, page.body.subarray(start, end)]);
      parts = [];
      start = end;
      if (++headers > 2 && packet.length > 0) yield packet; // behind OpusHead and OpusTags
    }
    if (end > start) parts.push(page.body.subarray(start, end));
  }
  if (serial === undefined) throw new Error('it holds no Opus in Ogg');
}

function* pages(file) {
  for (let at = 0; at + HEADER_BYTES <= file.length; ) {
    if (file.toString('latin1', at, at + 4) !== 'OggS') throw new Error('it is no Ogg file, or a damaged one');
    const sizes = file.subarray(at + HEADER_BYTES, at + HEADER_BYTES + file[at + 26]);
    const start = at + HEADER_BYTES + sizes.length;
    const length = sizes.reduce((sum, size) => sum + size, 0);
    if (start + length > file.length) return; // cut off
    yield { serial: file.readUInt32LE(at + 14), sizes, body: file.subarray(start, start + length) };
    at = start + length;
  }
}

// A stereo stream of 48 kHz into any writable, page by page.
export class OggOpusWriter {
  samples = -PRE_SKIP; // that a player plays, of all that was written
  #out;
  #serial = randomBytes(4).readUInt32LE();
  #page = 0;
  #packets = [];
  #segments = 0;

  constructor(out) {
    this.#out = out;
    const head = Buffer.from('OpusHead\x01\x02\0\0\0\0\0\0\0\0\0', 'latin1');
    head.writeUInt16LE(PRE_SKIP, 10);
    head.writeUInt32LE(RATE, 12);
    this.#flush(FIRST_PAGE, 0, [head]);
    this.#flush(0, 0, [Buffer.from('OpusTags\x07\0\0\0earshot\0\0\0\0', 'latin1')]);
    while (this.samples < 0) this.write(SILENCE);
  }

  write(packet) {
    const segments = segmentSizes(packet).length;
    if (this.#packets.length === PAGE_PACKETS_MAX || this.#segments + segments > PAGE_SEGMENTS_MAX) this.#flushAudio(0);
    this.#packets.push(packet);
    this.#segments += segments;
    this.samples += packetSamples(packet);
  }

  end() {
    this.#flushAudio(LAST_PAGE);
    this.#out.end();
  }

  #flushAudio(flags) {
    this.#flush(flags, this.samples + PRE_SKIP, this.#packets);
    this.#packets = [];
    this.#segments = 0;
  }

  #flush(flags, granule, packets) {
    const sizes = packets.flatMap(segmentSizes);
    const page = Buffer.concat([Buffer.alloc(HEADER_BYTES), Buffer.from(sizes), ...packets]);
    page.write('OggS', 'latin1');
    page[5] = flags;
    page.writeBigUInt64LE(BigInt(granule), 6);
    page.writeUInt32LE(this.#serial, 14);
    page.writeUInt32LE(this.#page++, 18);
    page[26] = sizes.length;
    page.writeUInt32LE(checksum(page), 22);
    this.#out.write(page);
  }
}

function segmentSizes({ length }) {
  const sizes = Array(Math.floor(length / SEGMENT_BYTES_MAX)).fill(SEGMENT_BYTES_MAX);
  return [...sizes, length % SEGMENT_BYTES_MAX];
}

// CRC-32 with the polynomial of Ethernet, but unlike it neither reflected nor inverted.
const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ (crc < 0 ? 0x04c11db7 : 0);
  return crc;
});

function checksum(page) {
  let crc = 0;
  for (const byte of page) crc = (crc << 8) ^ CRC[(crc >>> 24) ^ byte];
  return crc >>> 0;
}
