// What every stock library must be able to do with a relay: the same conversations for each, on relays of their own.
// Frames are judged by frequency where they were decoded, byte for byte where there are many of them.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Earshot } from './earshot.mjs';
import { Relay } from './relay.mjs';
import { assertHeard, inRoom, nothingUncaught, sleep, until } from './room.mjs';
import { toneFrames } from './tones.mjs';

export const GCM = 'aead_aes256_gcm_rtpsize';
export const XCHACHA = 'aead_xchacha20_poly1305_rtpsize';
const OP = { identify: 0, ready: 2, description: 4, speaking: 5, resume: 7, resumed: 9, left: 13 };
const SPEECH = 250; // frames: 5 s
const FULL = 7; // participants of a full channel
const HZ = Array.from({ length: FULL }, (_, i) => 440 + 110 * i);

// Everybody knows each other's stream once all have spoken; the first words are not what is counted.
async function greet(...bots) {
  await Promise.all(bots.map((bot) => bot.say(toneFrames(HZ[0], 5))));
  for (const bot of bots) {
    for (const other of bots) {
      if (bot !== other) await until(`${bot.user} knows ${other.user}`, () => bot.knows(other.user));
    }
  }
  await settle();
}

// Our client's jitter buffer stretches time when packets came late, by up to a tenth: a splice of 10 ms is no whole period
// of most tones, and the frame that has it does not count as one of the tone.
const RECORDED = 0.9;

// Packets that are under way arrive.
const settle = () => sleep(500);

async function speaks(Library, mode, room) {
  const [bot, earshot] = await Promise.all([Library.join(room), Earshot.join(room)]);
  assert.equal(bot.told(OP.description).mode, mode);
  await bot.say(toneFrames(440, SPEECH));
  await settle();
  const { received, tone, streams } = await earshot.heard(bot.user, 440);
  assert.equal(streams.length, 1);
  assert.equal(streams[0].ssrc, bot.told(OP.ready).ssrc);
  assert.ok(Math.abs(streams[0].tone_hz / 440 - 1) <= 0.02, `${streams[0].tone_hz} Hz`);
  assertHeard('received', received, SPEECH + Library.silenceHeard);
  assertHeard('in the recording', tone, SPEECH, RECORDED);
}

async function listens(Library, mode, room) {
  const bot = await Library.join(room);
  assert.equal(bot.told(OP.description).mode, mode);
  const earshot = await Earshot.join(room, ['--play', 'tone:660']);
  await until('it knows the speaker', () => bot.knows(earshot.user));
  const packets = bot.listen(earshot.user);
  await until('it heard enough', () => packets.length >= 2 * SPEECH);
  const { frames_sent: sent } = await earshot.leave();
  await settle();
  assertHeard('of all but its first words', await bot.heard(earshot.user, 660), sent - 5);
}

async function speakAtOnce(Library, options, room) {
  const [first, second] = await Promise.all([Library.join(room, options), Library.join(room, options)]);
  await greet(first, second);
  first.listen(second.user);
  second.listen(first.user);
  await Promise.all([first.say(toneFrames(440, SPEECH)), second.say(toneFrames(660, SPEECH))]);
  await settle();
  assertHeard('by the second', await second.heard(first.user, 440), SPEECH);
  assertHeard('by the first', await first.heard(second.user, 660), SPEECH);
  return [first, second];
}

async function offersEncryption(Library, room) {
  for (const bot of await speakAtOnce(Library, { dave: true }, room)) {
    assert.equal(bot.sent.find(({ op }) => op === OP.identify).d.max_dave_protocol_version, 1);
    assert.equal(bot.told(OP.description).dave_protocol_version, 0);
  }
}

async function joinsLate(Library, room) {
  const speaker = await Library.join(room);
  const speech = speaker.say(toneFrames(550, 2 * SPEECH));
  await sleep(2_000);
  const [late, earshot] = await Promise.all([Library.join(room), Earshot.join(room)]);
  await until('it learns who speaks', () => late.knows(speaker.user));
  const packets = late.listen(speaker.user);
  const before = speaker.framesSent;
  await speech;
  const spoken = speaker.framesSent - before - Library.silenceSent;
  await settle();
  assertHeard('by who joined late', await late.heard(speaker.user, 550), spoken);

  const cutShort = speaker.say(toneFrames(550, SPEECH)).catch(() => {});
  await sleep(1_000);
  await speaker.leave();
  await until('it sees that the speaker left', () => late.told(OP.left)?.user_id === speaker.user);
  await cutShort;
  const count = packets.length;
  await sleep(1_000);
  assert.equal(packets.length, count, 'heard after it left');
  const { streams } = await earshot.heard(speaker.user, 550);
  assert.deepEqual(streams.map(({ present }) => present), [false]);
}

async function resumes(Library, room) {
  const [cut, other] = await Promise.all([Library.join(room), Library.join(room)]);
  const resumed = () => cut.received.filter(({ op }) => op === OP.resumed).length;
  await greet(cut, other);
  cut.listen(other.user);
  other.listen(cut.user);
  const speech = Promise.all([cut.say(toneFrames(440, SPEECH)), other.say(toneFrames(660, SPEECH))]);
  await sleep(2_000);
  cut.cut();
  await until('it resumed', () => resumed() === 1);
  await speech;
  await settle();
  assertHeard('across the cut', await cut.heard(other.user, 660), SPEECH);
  assertHeard('from beyond the cut', await other.heard(cut.user, 440), SPEECH);

  // A second time, while nobody speaks.
  cut.cut();
  await until('it resumed again', () => resumed() === 2);
  await cut.isReady();
  await Promise.all([cut.say(toneFrames(440, SPEECH)), other.say(toneFrames(660, SPEECH))]);
  await settle();
  assertHeard('by it after the second cut', await cut.heard(other.user, 660), 2 * SPEECH);
  assertHeard('of it after the second cut', await other.heard(cut.user, 440), 2 * SPEECH);
  assert.equal(cut.joins, 1);
  assert.equal(cut.sent.filter(({ op }) => op === OP.resume).length, 2);
  assert.equal(other.told(OP.left), undefined, 'the other one saw it leave');
}

async function fallsSilent(Library, room) {
  const [bot, listener, earshot] = await Promise.all([Library.join(room), Library.join(room), Earshot.join(room)]);
  await greet(bot, listener);
  listener.listen(bot.user);
  for (let i = 0; i < 2; ++i) {
    if (i > 0) await sleep(5_000);
    await bot.say(toneFrames(770, SPEECH));
    await settle();
    assertHeard(`speech ${i}`, await listener.heard(bot.user, 770), (i + 1) * SPEECH);
  }
  const { received, tone, streams } = await earshot.heard(bot.user, 770);
  assert.equal(streams.length, 1);
  assertHeard('by our client', received, 2 * (SPEECH + Library.silenceHeard));
  assertHeard('in the recording', tone, 2 * SPEECH, RECORDED);
}

async function fillAChannel(Library, room) {
  const bots = await Promise.all(HZ.slice(1).map(() => Library.join(room)));
  const earshot = await Earshot.join(room, ['--play', `tone:${HZ[0]}`]);
  await greet(...bots);
  for (const bot of bots) await until(`${bot.user} knows our client`, () => bot.knows(earshot.user));
  const speech = (bot) => toneFrames(HZ[1 + bots.indexOf(bot)], SPEECH);
  const allSpeak = async () => {
    for (const bot of bots) room.members.forEach(({ user }) => user !== bot.user && bot.listen(user));
    await Promise.all(bots.map((bot) => bot.say(speech(bot))));
    await settle();
    for (const listener of bots) {
      for (const speaker of bots.filter((bot) => bot !== listener)) {
        const heard = listener.heardUnaltered(speaker.user, speech(speaker));
        assertHeard(`${listener.user} of ${speaker.user}`, heard, SPEECH);
      }
      const { length } = listener.ears.get(earshot.user);
      assert.ok(length >= SPEECH / 2, `${listener.user} heard ${length} frames of our client`);
      assertHeard(`${listener.user} of our client`, await listener.heard(earshot.user, HZ[0]), length);
    }
  };
  await allSpeak();

  const [gone, ...rest] = bots;
  await gone.leave();
  for (const bot of rest) await until(`${bot.user} sees it leave`, () => bot.told(OP.left)?.user_id === gone.user);
  bots[0] = await Library.join(room, { user: gone.user });
  assert.notEqual(bots[0].told(OP.ready).ssrc, gone.told(OP.ready).ssrc);
  await greet(...bots);
  await allSpeak();

  const { speakers } = await earshot.leave();
  const users = bots.map(({ user }) => user);
  assert.deepEqual(new Set(speakers.map(({ user_id }) => user_id)), new Set(users));
  for (const bot of bots) {
    const strangers = bot.received.filter(({ op, d }) => op === OP.speaking && ![...users, earshot.user].includes(d.user_id));
    assert.deepEqual(strangers, []);
  }
}

// A minute is longer than three heartbeats, after which a client or the relay gives up.
async function waits(Library, room) {
  const bot = await Library.join(room);
  await sleep(60_000);
  const earshot = await Earshot.join(room, ['--play', 'tone:660']);
  await until('it knows the speaker', () => bot.knows(earshot.user));
  const packets = bot.listen(earshot.user);
  await until('it heard enough', () => packets.length >= SPEECH);
  await earshot.leave();
  await settle();
  assertHeard('after a minute', await bot.heard(earshot.user, 660), packets.length);
  assert.equal(bot.joins, 1);
  assert.deepEqual(bot.closes, []);
  assert.equal(bot.told(OP.resumed), undefined);
}

// With a relay of its own.
async function outlivesTheRelay(Library, room) {
  room.relay = await Relay.start();
  try {
    const bots = await Promise.all([Library.join(room), Library.join(room)]);
    room.tolerated = /cannot reach the node|ECONNREFUSED|ECONNRESET/;
    await room.relay.restart();
    for (const bot of bots) await until(`${bot.user} has joined again`, () => bot.joins > 1);
    await Promise.all(bots.map((bot) => bot.isReady()));
    await greet(...bots);
    bots[1].listen(bots[0].user);
    await bots[0].say(toneFrames(440, SPEECH));
    await settle();
    assertHeard('after the restart', await bots[1].heard(bots[0].user, 440), SPEECH);
  } finally {
    await Promise.all(room.members.map((member) => member.leave()));
    await room.relay.stop();
  }
}

async function isRefused(Library, room) {
  const [bot, listener] = await Promise.all([Library.join(room, { refusals: 1 }), Library.join(room)]);
  assert.equal(bot.joins, 2);
  await greet(bot, listener);
  listener.listen(bot.user);
  await bot.say(toneFrames(440, SPEECH));
  await settle();
  assertHeard('after a refusal', await listener.heard(bot.user, 440), SPEECH);
}

async function isMoved(Library, room) {
  const there = room.beside();
  const [bot, old, other] = await Promise.all([Library.join(room), Earshot.join(room), Earshot.join(there)]);
  const participant = ({ server, channel }) => `/v1/servers/${server}/channels/${channel}/participants/${bot.user}`;
  await bot.node.request('POST', `${participant(room)}/move`, { channel_id: there.channel });
  await until('it was told its key there', () => bot.received.filter(({ op }) => op === OP.description).length === 2);
  await bot.isReady();
  await bot.say(toneFrames(440, SPEECH));
  await settle();
  const { received } = await other.heard(bot.user, 440);
  assertHeard('where it was moved to', received, SPEECH + Library.silenceHeard);
  assert.equal((await old.heard(bot.user, 440)).received, 0, 'heard where it was');
  assert.deepEqual([bot.joins, bot.closes], [1, []]);

  await bot.node.request('DELETE', participant(there));
  await until('it is told to stop', () => bot.closes.includes(4014));
}

async function takesOver(Library, room) {
  const [first, listener] = await Promise.all([Library.join(room), Library.join(room)]);
  const second = await Library.join(room, { user: first.user });
  await until('the first is told to stop', () => first.closes.includes(4014));
  await greet(second, listener);
  listener.listen(second.user);
  await second.say(toneFrames(440, SPEECH));
  await settle();
  assertHeard('the second session', await listener.heard(second.user, 440), SPEECH);
  assert.deepEqual([first.joins, second.joins], [1, 1]);
}

// `xchachaModes` are the relay's modes with which the library takes XChaCha.
export function conversations(Library, xchachaModes = []) {
  // Encoding holds up everybody in this process, so it comes first.
  for (const hz of HZ) toneFrames(hz, SPEECH);
  toneFrames(550, 2 * SPEECH);

  let gcmRelay;
  let xchachaRelay;
  const gcm = () => gcmRelay;
  const xchacha = () => xchachaRelay;

  describe(Library.name, { concurrency: 5 }, () => {
    const { skips } = Library;
    before(async () => {
      gcmRelay = await Relay.start();
      const modes = `[${xchachaModes.map((mode) => `"${mode}"`).join(',')}]`;
      if (!skips.xchacha) xchachaRelay = await Relay.start({ 'media.encryption_modes': modes });
    });
    after(() => Promise.all([gcmRelay?.stop(), xchachaRelay?.stop()]));

    const can = (what, relay, body, ...args) => {
      const skip = skips[body.name] ?? (relay === xchacha ? skips.xchacha : undefined);
      inRoom(what, { relay, skip }, (room) => body(Library, ...args, room));
    };
    can('who was silent for a minute hears', gcm, waits);
    can('it speaks and our client hears it', gcm, speaks, GCM);
    can('our client speaks and it hears', gcm, listens, GCM);
    can('two hear each other at once', gcm, speakAtOnce, {});
    can('it speaks and our client hears it, XChaCha', xchacha, speaks, XCHACHA);
    can('our client speaks and it hears, XChaCha', xchacha, listens, XCHACHA);
    can('two hear each other at once, XChaCha', xchacha, speakAtOnce, {});
    can('who offers end-to-end encryption is answered version 0', gcm, offersEncryption);
    can('who joins late hears who already speaks, and sees who leaves', gcm, joinsLate);
    can('a cut connection resumes by itself, and audio goes on both ways', gcm, resumes);
    can('speech after 5 s of silence is heard', gcm, fallsSilent);
    can('a full channel; one leaves and joins again', gcm, fillAChannel);
    can('who was refused joins with another token', gcm, isRefused);
    can('all come back to a relay that was restarted', gcm, outlivesTheRelay);
    can('a second session of the same user takes over', gcm, takesOver);
    can('who is moved goes on elsewhere, and who is removed stops', gcm, isMoved);
  });

  test('nothing was thrown where nobody caught it', nothingUncaught);
}
