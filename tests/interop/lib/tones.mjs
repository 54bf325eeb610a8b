// Tones as Opus frames of 20 ms, and what heard frames sound like. Work here is done in small pieces, or before and after
// a conversation: it holds up everybody who speaks in this process.
import OpusScript from 'opusscript';
import { setImmediate as otherWork } from 'node:timers/promises';

export const FRAME_MS = 20;
const RATE = 48_000;
const FRAME_SAMPLES = (RATE * FRAME_MS) / 1_000;
const OPUS_SET_COMPLEXITY = 4010;
const TOLERANCE = 0.02;

// Hann's window: a tone near the one that is looked for leaks into few others.
const WINDOW = Float64Array.from({ length: FRAME_SAMPLES }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / FRAME_SAMPLES));
const WINDOW_SQUARES = WINDOW.reduce((sum, value) => sum + value * value, 0);
const WINDOW_SUM = WINDOW.reduce((sum, value) => sum + value, 0);

const encoded = new Map();

// `count` frames of a stereo sine of -12 dBFS. Made once for each frequency, and shared: do not write to them.
export function toneFrames(hz, count) {
  let tone = encoded.get(hz);
  if (!tone || tone.length < count) {
    const encoder = new OpusScript(RATE, 2, OpusScript.Application.AUDIO);
    encoder.encoderCTL(OPUS_SET_COMPLEXITY, 0);
    tone = Array.from({ length: count }, (_, frame) => encoder.encode(sine(hz, frame), FRAME_SAMPLES));
    encoder.delete();
    encoded.set(hz, tone);
  }
  return tone.slice(0, count);
}

function sine(hz, frame) {
  const pcm = Buffer.alloc(FRAME_SAMPLES * 4);
  for (let i = 0; i < FRAME_SAMPLES; ++i) {
    const sample = Math.round(32_767 * 0.3548 * Math.sin((2 * Math.PI * hz * (frame * FRAME_SAMPLES + i)) / RATE));
    pcm.writeInt16LE(sample, 4 * i);
    pcm.writeInt16LE(sample, 4 * i + 2);
  }
  return pcm;
}

// Goertzel's algorithm: the power at one frequency.
function power(samples, hz) {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / RATE);
  let previous = 0;
  let before = 0;
  for (const sample of samples) {
    const current = sample + coefficient * previous - before;
    before = previous;
    previous = current;
  }
  return previous * previous + before * before - coefficient * previous * before;
}

// Is this 20 ms of mono samples a tone within 2 % of `hz`, and little else?
export function isTone(samples, hz) {
  const windowed = samples.map((sample, i) => sample * WINDOW[i]);
  const energy = windowed.reduce((sum, sample) => sum + sample * sample, 0);
  if (energy < WINDOW_SQUARES * 100 ** 2) return false;
  // The main lobe is wide: the top of a parabola through three points of it is the frequency.
  const step = 20;
  const [left, middle, right] = [-step, 0, step].map((offset) => Math.log(power(windowed, hz + offset)));
  const offset = (step * (left - right)) / (2 * (left - 2 * middle + right));
  if (!(Math.abs(offset) <= TOLERANCE * hz)) return false;
  // A pure tone: energy = a^2/2 * squares, power = (a/2 * sum)^2.
  return (power(windowed, hz + offset) * 2 * WINDOW_SQUARES) / (energy * WINDOW_SUM ** 2) >= 0.8;
}

// How many of a speaker's Opus packets, in the order they were heard, are the tone.
export function listenTo(packets, hz) {
  // opusscript addresses its buffers wrongly: a second decoder at work would be overwritten.
  const count = decoding.then(() => decode(packets, hz));
  decoding = count.catch(() => {});
  return count;
}

let decoding = Promise.resolve();

async function decode(packets, hz) {
  const decoder = new OpusScript(RATE, 2, OpusScript.Application.AUDIO);
  let count = 0;
  for (const packet of packets) {
    if (isTone(leftChannel(decoder.decode(packet)), hz)) ++count;
    await otherWork();
  }
  decoder.delete();
  return count;
}

// How many of these frames were heard, each at most once, byte for byte and in order.
export function countUnaltered(packets, frames) {
  let next = 0;
  let count = 0;
  for (const packet of packets) {
    let at = next;
    while (at < frames.length && !frames[at].equals(packet)) ++at;
    if (at === frames.length) continue;
    next = at + 1;
    ++count;
  }
  return count;
}

function leftChannel(pcm) {
  return Float64Array.from({ length: pcm.length / 4 }, (_, i) => pcm.readInt16LE(4 * i));
}

// How many 20 ms of a mono WAV file are the tone.
export async function toneFramesInWav(bytes, hz) {
  const start = bytes.indexOf('data') + 8;
  let count = 0;
  for (let at = start; at + 2 * FRAME_SAMPLES <= bytes.length; at += 2 * FRAME_SAMPLES) {
    const samples = Float64Array.from({ length: FRAME_SAMPLES }, (_, i) => bytes.readInt16LE(at + 2 * i));
    if (isTone(samples, hz)) ++count;
    await otherWork();
  }
  return count;
}
