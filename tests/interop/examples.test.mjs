// The examples of the adapter for @discordjs/voice, as programs, with a real node between them.
import assert from 'node:assert/strict';
import { createWriteStream, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { after, before, describe, test } from 'node:test';
import { EarshotNode } from '../../tools/adapters/discordjs/index.js';
import { OggOpusWriter, SILENCE, opusPackets, packetSamples } from '../../tools/adapters/discordjs/examples/lib/ogg.mjs';
import { Child } from './lib/child.mjs';
import { Earshot } from './lib/earshot.mjs';
import { Relay, apiKey, apiKeyFile } from './lib/relay.mjs';
import { Room, assertHeard, makeId, until } from './lib/room.mjs';
import { listenTo, toneFrames } from './lib/tones.mjs';

const EXAMPLES = new URL('../../tools/adapters/discordjs/examples/', import.meta.url);
const SPEECH = 150; // frames: 3 s
const folder = mkdtempSync(`${process.env.EARSHOT_STATE}/examples-`);
const song = `${folder}/song.ogg`;

async function writeOgg(path, packets) {
  const file = createWriteStream(path);
  const writer = new OggOpusWriter(file);
  for (const packet of packets) writer.write(packet);
  writer.end();
  await finished(file);
}

function start(name, { room, api = room.relay.api, key = apiKeyFile, channel = room?.channel ?? '7' }, ...options) {
  const where = ['--api', api, '--api-key-file', key, '--server', room?.server ?? '1', '--channel', channel];
  return new Child(process.execPath, [new URL(name, EXAMPLES).pathname, ...where, ...options]);
}

const isIn = (example) => example.prints('err', /^joined channel /m, 60_000);

describe('examples', { concurrency: true }, () => {
  let relay;
  before(async () => {
    relay = await Relay.start();
    await writeOgg(song, toneFrames(440, SPEECH));
  });
  after(() => relay?.stop());

  test('one plays, one records, and the recording is the tone', { timeout: 120_000 }, async () => {
    const room = new Room(relay);
    const out = `${folder}/recordings`;
    const recorder = start('record.mjs', { room }, '--out', out);
    await isIn(recorder);
    const player = start('play.mjs', { room }, '--user', 'a/player', song);
    assert.equal(await player.ended, 0, player.err);
    assert.equal(await recorder.stop('SIGINT', 30_000), 0, recorder.err);
    const path = `${out}/a%2Fplayer.ogg`;
    assert.match(recorder.out, new RegExp(`^${path}: \\d+ packets$`, 'm'));
    const packets = [...opusPackets(readFileSync(path))];
    assertHeard('in the recording', await listenTo(packets, 440), SPEECH);
    // It began when the recorder did, with silence.
    assert.ok(packets.length > SPEECH + 10 && packets.slice(0, 4).every((packet) => packet.equals(SILENCE)));

    // Other people's Ogg libraries find nothing wrong with it.
    const earshot = await Earshot.join(room, ['--play', path, '--seconds', '1']);
    assert.equal(await earshot.child.ended, 0, earshot.child.err);
    const again = start('record.mjs', { room }, '--out', out);
    assert.equal(await again.ended, 1);
    assert.equal(again.err, `record: ${out} is not empty\n`);
  });

  test('a loop goes on until it is interrupted, or removed', { timeout: 120_000 }, async () => {
    const room = new Room(relay);
    const node = new EarshotNode({ api: relay.api, key: apiKey() });
    const there = `/v1/servers/${room.server}/channels/${room.channel}`;
    const short = `${folder}/short.ogg`;
    await writeOgg(short, toneFrames(440, 10));
    const [player, removed] = [makeId(), makeId()].map((user) => start('play.mjs', { room }, '--loop', '--user', user, short));
    await Promise.all([player, removed].map(isIn));
    const { participants } = await node.request('GET', there);
    const sent = async () => {
      const found = await Promise.all(participants.map(({ user_id }) => node.request('GET', `${there}/participants/${user_id}`)));
      return Math.min(...found.map(({ statistics }) => statistics.packets_received));
    };
    let least = 0;
    while (least < 50) least = await sent();
    assert.equal(await player.stop('SIGINT', 30_000), 0, player.err);
    const [{ user_id }] = (await node.request('GET', there)).participants;
    await node.request('DELETE', `${there}/participants/${user_id}`);
    assert.equal(await removed.ended, 1);
    assert.match(removed.err, /^play: it was removed from the channel, or has joined from elsewhere$/m);
  });

  test('what is wrong is one sentence', { timeout: 120_000 }, async () => {
    const room = new Room(relay);
    const wrongKey = `${folder}/wrong-key`;
    writeFileSync(wrongKey, 'x'.repeat(43));
    const long = `${folder}/long.ogg`;
    await writeOgg(long, [Buffer.from([0xf9, 0, 0])]); // two frames of 20 ms
    const cases = [
      [{ room, api: 'https://127.0.0.1:1' }, [song], /^play: \w+ \S+: cannot reach the node at https:.*ECONNREFUSED/],
      [{ room, key: wrongKey }, [song], /^play: \w+ \S+: 401 unauthorized: /],
      [{ room, key: `${folder}/none` }, [song], /^play: cannot read .*none: ENOENT$/],
      [{ room, channel: 'x'.repeat(65) }, [song], /^play: POST \/v1\/joins: 400 bad-request: /],
      [{ room }, [`${folder}/none.ogg`], /^play: cannot read .*none.ogg: ENOENT$/],
      [{ room }, [wrongKey], /^play: cannot play .*: it is no Ogg file/],
      [{ room }, [long], /^play: cannot play .*: its frames are not all of 20 ms$/],
    ];
    const examples = cases.map(([where, files]) => start('play.mjs', where, ...files));
    for (const [i, example] of examples.entries()) {
      assert.equal(await example.ended, 1, example.err);
      assert.match(example.err, new RegExp(`${cases[i][2].source}`, 'm'));
      assert.equal(example.err.split('\n').length, 2, example.err);
    }
    for (const name of ['play.mjs', 'record.mjs']) {
      const wrong = start(name, { room }, '--nonsense');
      const help = start(name, { room }, '--help');
      assert.deepEqual([await wrong.ended, await help.ended], [2, 0]);
      assert.match(help.out, /^usage: /);
      assert.ok(wrong.err.includes(help.out.trim()));
    }
  });
});

describe('Opus in Ogg', () => {
  // All that the writer wrote.
  const write = (packets) => {
    const chunks = [];
    const out = new Writable({ write: (chunk, _, done) => (chunks.push(chunk), done()) });
    const writer = new OggOpusWriter(out);
    for (const packet of packets) writer.write(packet);
    writer.end();
    return Buffer.concat(chunks);
  };

  test('packets of every length come back', () => {
    const lengths = [1, 2, 254, 255, 256, 510, 1_275, ...Array(300).fill(700)];
    const packets = lengths.map((length, i) => Buffer.alloc(length, 0xf8 + 4 * (i % 2)));
    assert.deepEqual([...opusPackets(write(packets))].slice(4), packets);
  });

  test('a packet may span pages, and other streams may be between', () => {
    const [head, tags, ...audio] = pages(write([Buffer.alloc(600, 0xfc)]));
    const page = audio[0];
    // Cut behind the first segment of the long packet; nobody here looks at checksums.
    const sizes = [...page.subarray(27, 27 + page[26])];
    const cut = sizes.indexOf(255) + 1;
    const bodyAt = 27 + sizes.length;
    const bodyCut = bodyAt + sizes.slice(0, cut).reduce((sum, size) => sum + size, 0);
    const first = Buffer.concat([page.subarray(0, 26), Buffer.from([cut, ...sizes.slice(0, cut)]), page.subarray(bodyAt, bodyCut)]);
    const rest = sizes.slice(cut);
    const second = Buffer.concat([page.subarray(0, 26), Buffer.from([rest.length, ...rest]), page.subarray(bodyCut)]);
    const stranger = Buffer.from(first);
    stranger.writeUInt32LE(~stranger.readUInt32LE(14) >>> 0, 14);
    const packets = [...opusPackets(Buffer.concat([head, tags, first, stranger, second]))];
    assert.deepEqual(packets.at(-1), Buffer.alloc(600, 0xfc));
    assert.equal(packets.length, 5);
  });

  test('what is no Ogg, and what is cut off', () => {
    const whole = write([Buffer.alloc(300, 0xf8)]);
    assert.throws(() => [...opusPackets(Buffer.from('RIFF'.repeat(20)))], /no Ogg file/);
    assert.throws(() => [...opusPackets(Buffer.alloc(0))], /no Opus/);
    for (let length = 0; length < whole.length; ++length) {
      try {
        assert.ok([...opusPackets(whole.subarray(0, length))].length <= 5);
      } catch (error) {
        assert.match(error.message, /Ogg/);
      }
    }
  });

  test('how long packets are', () => {
    // RFC 6716, section 3.1: SILK, hybrid, CELT; one frame, two, and many.
    const cases = [[[0x00], 480], [[0x18], 2_880], [[0x60], 480], [[0x68], 960], [[0x80], 120], [[0xf8], 960], [[0xf9], 1_920], [[0xfb, 3], 2_880]];
    for (const [packet, samples] of cases) assert.equal(packetSamples(Buffer.from(packet)), samples);
  });
});

function* pages(file) {
  for (let at = 0; at < file.length; ) {
    const next = file.indexOf('OggS', at + 4);
    const end = next < 0 ? file.length : next;
    yield file.subarray(at, end);
    at = end;
  }
}
