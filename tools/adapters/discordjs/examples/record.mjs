#!/usr/bin/env node
// Joins a channel and writes what each participant says into an Ogg Opus file of its own, as it was sent.
import { createWriteStream, mkdirSync, readdirSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { finished } from 'node:stream/promises';
import { COMMON_OPTIONS, join, run } from './lib/bot.mjs';
import { OggOpusWriter, SILENCE } from './lib/ogg.mjs';

const SAMPLES_PER_MS = 48;
const GAP_MS_MIN = 100; // less is jitter

const usage = `usage: record.mjs [options]

Joins a channel and records every speaker into FOLDER/USER.ogg, until Ctrl-C. All files begin when the
recording began, with silence where nobody spoke: together they are the conversation.

  --out FOLDER         a new or an empty one (recordings/TIME)${COMMON_OPTIONS}`;

// One speaker. Packets come without their time stamps, so what tells the pauses is when they come.
class Track {
  #packets = 0;
  #path;
  #writer;
  #began;

  constructor(path, began) {
    const file = createWriteStream(path, { flags: 'wx' });
    this.written = finished(file);
    this.#path = path;
    this.#writer = new OggOpusWriter(file);
    this.#began = began;
  }

  write(packet) {
    const gapMs = () => Date.now() - this.#began - this.#writer.samples / SAMPLES_PER_MS;
    if (gapMs() > GAP_MS_MIN) while (gapMs() > 0) this.#writer.write(SILENCE);
    this.#writer.write(packet);
    ++this.#packets;
  }

  async end() {
    this.#writer.end();
    await this.written;
    console.log(`${this.#path}: ${this.#packets} packets`);
  }
}

const out = joinPath('recordings', new Date().toISOString().replace(/\..*/, '').replaceAll(':', '-'));

await run({ name: 'record', usage, defaults: { user: 'recorder', out } }, async (options) => {
  mkdirSync(options.out, { recursive: true });
  if (readdirSync(options.out).length > 0) throw new Error(`${options.out} is not empty`);
  const { connection, over, leave } = await join(options);
  const began = Date.now();
  const tracks = new Map();
  const { receiver } = connection;
  receiver.speaking.on('start', (user) => {
    if (!tracks.has(user)) {
      // An id may hold any printable character.
      const track = new Track(joinPath(options.out, `${encodeURIComponent(user)}.ogg`), began);
      track.written.catch(leave);
      tracks.set(user, track);
    }
    if (receiver.subscriptions.has(user)) return;
    const stream = receiver.subscribe(user);
    stream.on('data', (packet) => tracks.get(user).write(packet));
    stream.on('error', (error) => console.error(`${user}: ${error.message}`));
  });
  try {
    await over;
  } finally {
    await Promise.all([...tracks.values()].map((track) => track.end()));
  }
});
