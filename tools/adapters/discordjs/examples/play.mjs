#!/usr/bin/env node
// Joins a channel and plays an Ogg Opus file there, through the player of @discordjs/voice.
import { AudioPlayerStatus, StreamType, createAudioPlayer, createAudioResource } from '@discordjs/voice';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { COMMON_OPTIONS, join, read, run } from './lib/bot.mjs';
import { opusPackets, packetSamples } from './lib/ogg.mjs';

const FRAME_SAMPLES = 960; // the player sends one packet every 20 ms

const usage = `usage: play.mjs [options] FILE

Joins a channel and plays FILE, Opus in Ogg with frames of 20 ms, as opusenc and ffmpeg write it:
  ffmpeg -i song.mp3 song.opus

  --loop               again and again${COMMON_OPTIONS}`;

function load(file) {
  try {
    const packets = [...opusPackets(read(file))];
    if (packets.length === 0) throw new Error('it is empty');
    if (!packets.every((packet) => packetSamples(packet) === FRAME_SAMPLES)) throw new Error('its frames are not all of 20 ms');
    return packets;
  } catch (error) {
    throw new Error(error.message.includes(file) ? error.message : `cannot play ${file}: ${error.message}`);
  }
}

const program = { name: 'play', usage, options: { loop: { type: 'boolean' } }, defaults: { user: 'player' } };

await run(program, async (options, files, wrong) => {
  if (files.length !== 1) wrong('it takes one file');
  const packets = load(files[0]);
  const { connection, over, leave } = await join(options);
  const player = createAudioPlayer();
  connection.subscribe(player);
  const play = async () => {
    player.play(createAudioResource(Readable.from(packets), { inputType: StreamType.Opus }));
    await once(player, AudioPlayerStatus.Playing);
    await once(player, AudioPlayerStatus.Idle);
  };
  let isOver = false;
  const left = over.finally(() => (isOver = true));
  try {
    do await Promise.race([play(), left]);
    while (options.loop && !isOver);
    leave();
    await left;
  } finally {
    player.stop(true);
  }
});
