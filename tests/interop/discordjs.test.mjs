// @discordjs/voice 0.19, unmodified, against a relay of this build.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DiscordJs } from './lib/discordjs.mjs';
import { Earshot } from './lib/earshot.mjs';
import { Relay } from './lib/relay.mjs';
import { assertHeard, inRoom, nothingUncaught, sleep, until } from './lib/room.mjs';
import { toneFrames } from './lib/tones.mjs';

const GCM = 'aead_aes256_gcm_rtpsize';
const XCHACHA = 'aead_xchacha20_poly1305_rtpsize';
const OP = { identify: 0, ready: 2, description: 4, speaking: 5, resume: 7, resumed: 9, left: 13 };
const SPEECH = 250; // frames: 5 s
const SILENCE = 5; // frames behind each speech
const FULL = 7; // participants of a full channel

// Encoding holds up everybody in this process, so it comes first.
const HZ = Array.from({ length: FULL }, (_, i) => 440 + 110 * i);
for (const hz of HZ) toneFrames(hz, 2 * SPEECH);

let relay;
let xchachaRelay;

// Everybody in the room knows each other's stream once they all have spoken; the first words are not what is counted.
async function greet(...bots) {
  await Promise.all(bots.map((bot) => bot.say(toneFrames(HZ[0], 5))));
  for (const bot of bots) {
    for (const other of bots) {
      if (bot !== other) await until(`${bot.user} knows ${other.user}`, () => bot.knows(other.user));
    }
  }
}

// Packets that are under way arrive.
const settle = () => sleep(500);

async function bothWays(room, options) {
  const [first, second] = await Promise.all([DiscordJs.join(room, options), DiscordJs.join(room, options)]);
  await greet(first, second);
  first.listen(second.user);
  second.listen(first.user);
  await Promise.all([first.say(toneFrames(440, SPEECH)), second.say(toneFrames(660, SPEECH))]);
  await settle();
  assertHeard('the second', await second.heard(first.user, 440), SPEECH);
  assertHeard('the first', await first.heard(second.user, 660), SPEECH);
  return [first, second];
}

describe('discordjs', { concurrency: 4 }, () => {
  before(async () => {
    [relay, xchachaRelay] = await Promise.all([
      Relay.start(),
      Relay.start({ 'media.encryption_modes': `["${XCHACHA}", "${GCM}"]` }),
    ]);
  });
  after(() => Promise.all([relay?.stop(), xchachaRelay?.stop()]));

  for (const [mode, on] of [
    [GCM, () => relay],
    [XCHACHA, () => xchachaRelay],
  ]) {
    inRoom(`it speaks and our client hears it, ${mode}`, on, async (room) => {
      const [bot, earshot] = await Promise.all([DiscordJs.join(room), Earshot.join(room)]);
      assert.equal(bot.told(OP.description).mode, mode);
      await bot.say(toneFrames(440, SPEECH));
      await settle();
      const { received, tone, streams } = await earshot.heard(bot.user, 440);
      assert.equal(streams.length, 1);
      assert.equal(streams[0].ssrc, bot.told(OP.ready).ssrc);
      assert.ok(Math.abs(streams[0].tone_hz / 440 - 1) <= 0.02, `${streams[0].tone_hz} Hz`);
      assertHeard('received', received, SPEECH);
      assertHeard('in the recording', tone, SPEECH);
    });

    inRoom(`our client speaks and it hears, ${mode}`, on, async (room) => {
      const bot = await DiscordJs.join(room);
      assert.equal(bot.told(OP.description).mode, mode);
      const earshot = await Earshot.join(room, ['--play', 'tone:660']);
      await until('it knows the speaker', () => bot.knows(earshot.user));
      const packets = bot.listen(earshot.user);
      await until('it heard enough', () => packets.length >= SPEECH, 20_000);
      const { frames_sent: sent } = await earshot.leave();
      await settle();
      const tone = await bot.heard(earshot.user, 660);
      assertHeard('of what came from when it knew the speaker', tone, packets.length);
      assertHeard('of all that was said', tone + 10, sent);
    });

    inRoom(`two hear each other at once, ${mode}`, on, (room) => bothWays(room));
  }

  inRoom('who offers end-to-end encryption is answered version 0', () => relay, async (room) => {
    for (const bot of await bothWays(room, { dave: true })) {
      assert.equal(bot.sent.find(({ op }) => op === OP.identify).d.max_dave_protocol_version, 1);
      assert.equal(bot.told(OP.description).dave_protocol_version, 0);
    }
  });

  inRoom('who joins late hears who already speaks, and sees who leaves', () => relay, async (room) => {
    const speaker = await DiscordJs.join(room);
    const speech = speaker.say(toneFrames(550, 2 * SPEECH));
    await sleep(2_000);
    const [late, earshot] = await Promise.all([DiscordJs.join(room), Earshot.join(room)]);
    await until('it learns who speaks', () => late.knows(speaker.user), 2_000);
    const packets = late.listen(speaker.user);
    const before = speaker.framesSent;
    await speech;
    const spoken = speaker.framesSent - before - SILENCE;
    await settle();
    assertHeard('the late one', await late.heard(speaker.user, 550), spoken);

    const again = speaker.say(toneFrames(550, SPEECH)).catch(() => {});
    await sleep(1_000);
    await speaker.leave();
    await until('it sees that the speaker left', () => !late.knows(speaker.user), 2_000);
    assert.equal(late.told(OP.left).user_id, speaker.user);
    const count = packets.length;
    await sleep(1_000);
    assert.equal(packets.length, count, 'heard after it left');
    const { streams } = await earshot.heard(speaker.user, 550);
    assert.deepEqual(streams.map(({ present }) => present), [false]);
    await again;
  });

  inRoom('a cut connection resumes by itself, and audio goes on both ways', () => relay, async (room) => {
    const [cut, other] = await Promise.all([DiscordJs.join(room), DiscordJs.join(room)]);
    await greet(cut, other);
    cut.listen(other.user);
    other.listen(cut.user);
    const speech = Promise.all([cut.say(toneFrames(440, SPEECH)), other.say(toneFrames(660, SPEECH))]);
    await sleep(2_000);
    cut.cut();
    await until('it resumed', () => cut.received.some(({ op }) => op === OP.resumed), 5_000);
    await speech;
    await settle();
    assertHeard('across the cut', await cut.heard(other.user, 660), SPEECH);
    assertHeard('from beyond the cut', await other.heard(cut.user, 440), SPEECH);
    assert.equal(cut.joins, 1);
    assert.equal(cut.sent.filter(({ op }) => op === OP.resume).length, 1);
    assert.equal(other.told(OP.left), undefined, 'the other one saw it leave');

    // A second time, while nobody speaks.
    cut.cut();
    await until('it resumed again', () => cut.received.filter(({ op }) => op === OP.resumed).length === 2, 5_000);
    await Promise.all([cut.isReady(), other.isReady()]);
    await Promise.all([cut.say(toneFrames(440, SPEECH)), other.say(toneFrames(660, SPEECH))]);
    await settle();
    assertHeard('by it after the second cut', await cut.heard(other.user, 660), 2 * SPEECH);
    assertHeard('of it after the second cut', await other.heard(cut.user, 440), 2 * SPEECH);
  });

  inRoom('speech after 5 s of silence is heard', () => relay, async (room) => {
    const [bot, listener, earshot] = await Promise.all([DiscordJs.join(room), DiscordJs.join(room), Earshot.join(room)]);
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
    assertHeard('by our client', received, 2 * SPEECH);
    assertHeard('in the recording', tone, 2 * SPEECH);
  });

  inRoom('a full channel; one leaves and joins again', () => relay, async (room) => {
    const bots = await Promise.all(HZ.slice(1).map(() => DiscordJs.join(room)));
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
    const streamBefore = gone.told(OP.ready).ssrc;
    await gone.leave();
    for (const bot of rest) await until(`${bot.user} sees it leave`, () => !bot.knows(gone.user), 2_000);
    bots[0] = await DiscordJs.join(room, { user: gone.user });
    assert.notEqual(bots[0].told(OP.ready).ssrc, streamBefore);
    await greet(...bots);
    await allSpeak();

    const { speakers } = await earshot.leave();
    assert.deepEqual(new Set(speakers.map(({ user_id }) => user_id)), new Set(bots.map(({ user }) => user)));
    for (const bot of bots) {
      for (const { d } of bot.received.filter(({ op }) => op === OP.speaking)) {
        assert.ok(room.has(d.user_id), `heard of ${d.user_id}, who is not in the channel`);
      }
    }
  });

  inRoom('a second session of the same user takes over', () => relay, async (room) => {
    const [first, listener] = await Promise.all([DiscordJs.join(room), DiscordJs.join(room)]);
    const second = await DiscordJs.join(room, { user: first.user });
    await until('the first is told to stop', () => first.states.includes(4014), 5_000);
    assert.equal(first.joins, 1);
    await greet(second, listener);
    listener.listen(second.user);
    await second.say(toneFrames(440, SPEECH));
    await settle();
    assertHeard('the second session', await listener.heard(second.user, 440), SPEECH);
    assert.equal(second.states.at(-1), 'ready');
  });
});

test('nothing was thrown where nobody caught it', nothingUncaught);
