// The adapter for @discordjs/voice against an API that does what a test wants, and with the library's own connections.
import { VoiceConnectionDisconnectReason, VoiceConnectionStatus, entersState, joinVoiceChannel } from '@discordjs/voice';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { EarshotNode, adapterCreator } from '../../tools/adapters/discordjs/index.js';
import { FakeApi, KEY, json, problem } from './lib/fake_api.mjs';
import { makeId, nothingUncaught, until } from './lib/room.mjs';

const GONE = 'https://127.0.0.1:1'; // nothing listens there

// What the library would be told.
class Library {
  states = [];
  servers = [];
  errors = [];

  constructor(node, options = {}) {
    const creator = adapterCreator(node, { userId: '42', onError: (error) => this.errors.push(error), ...options });
    this.adapter = creator({
      onVoiceStateUpdate: (state) => this.states.push(state),
      onVoiceServerUpdate: (server) => this.servers.push(server),
      destroy: () => assert.fail('the adapter ended a connection'),
    });
  }

  ask(channel, more = {}) {
    const d = { guild_id: '1', channel_id: channel, self_mute: false, self_deaf: true, ...more };
    return this.adapter.sendPayload({ op: 4, d });
  }

  async join(channel) {
    const before = this.servers.length;
    assert.equal(this.ask(channel), true);
    await until('it was told where', () => this.servers.length > before);
  }
}

function withApi(name, body) {
  test(name, { timeout: 60_000 }, async () => {
    const api = await FakeApi.start();
    const libraries = [];
    const node = new EarshotNode({ api: api.url, key: KEY });
    try {
      const library = (options) => {
        libraries.push(new Library(node, options));
        return libraries.at(-1);
      };
      await body(api, { node, library });
    } finally {
      for (const { adapter } of libraries) adapter.destroy();
      api.stop();
    }
  });
}

const participant = (channel) => `/v1/servers/1/channels/${channel}/participants/42`;
const moved = (channel, user = '42') => ({
  server_id: '1',
  guild_id: '1',
  channel_id: channel,
  user_id: user,
  session_id: `moved-to-${channel}`,
  token: 'another token',
  endpoint: 'elsewhere:443',
});
const left = (reason) => ({ server_id: '1', channel_id: '7', user_id: '42', session_id: 'session-1', reason });

describe('what the node answers', { concurrency: true }, () => {
  withApi('a join tells the library what it needs', async (api, { library }) => {
    const it = library({ grants: { speak: false }, ttlSeconds: 60 });
    await it.join('7');
    const asked = { server_id: '1', channel_id: '7', user_id: '42', ttl_seconds: 60, grants: { speak: false } };
    assert.deepEqual(api.joins, [asked]);
    const { guild_id, channel_id, user_id, session_id, self_deaf, self_mute } = it.states[0];
    const known = [guild_id, channel_id, user_id, session_id, self_deaf, self_mute];
    assert.deepEqual(known, ['1', '7', '42', 'session-1', true, false]);
    assert.deepEqual(it.servers, [{ guild_id: '1', endpoint: 'relay:443', token: 'token of session-1' }]);
  });

  withApi('an error has status and detail, and the library does not wait', async (api, { library }) => {
    const it = library({ followMoves: false });
    api.answers.push((_, response) => problem(response, 403, 'forbidden', 'this key is for server 2'));
    await it.join('7');
    assert.deepEqual(it.servers, [{ guild_id: '1', endpoint: null, token: '' }]);
    const [{ name, message, status, code, isTransient }] = it.errors;
    assert.equal(message, 'POST /v1/joins: 403 forbidden: this key is for server 2');
    assert.deepEqual([name, status, code, isTransient], ['EarshotError', 403, 'forbidden', false]);
    await it.join('7');
    assert.equal(it.servers[1].endpoint, 'relay:443');
  });

  withApi('what is no problem, no JSON, or not all there is an error too', async (api, { node }) => {
    const fails = (answer, expected) => {
      api.answers.push((_, response) => answer(response));
      return assert.rejects(node.request('GET', '/v1/node'), expected);
    };
    const breakOff = (response) => {
      response.writeHead(200, { 'content-length': 9 }).write('{');
      setTimeout(() => response.destroy(), 50);
    };
    const tooMany = (response) => problem(response, 429, 'too-many-requests', 'wait', { 'retry-after': '3' });
    await fails((response) => response.writeHead(502).end('<html>'), { message: 'GET /v1/node: 502: Bad Gateway' });
    await fails((response) => response.end('<html>'), /is not JSON: is this the API of a node\?$/);
    await fails((response) => response.destroy(), { name: 'EarshotError', isTransient: true });
    await fails(breakOff, { name: 'EarshotError', isTransient: true });
    await fails(tooMany, { retryAfterMs: 3_000, isTransient: true });
  });

  withApi('a silent node is not waited for', async (api) => {
    const node = new EarshotNode({ api: api.url, key: KEY, timeoutMs: 200 });
    api.answers.push(() => {});
    await assert.rejects(node.request('GET', '/v1/node'), /cannot reach the node at https:.*: nothing came for 0.2 s$/);
  });

  withApi('a wrong key, and what cannot be one', async (api) => {
    const node = new EarshotNode({ api: api.url, key: 'x'.repeat(43) });
    const join = { serverId: '1', channelId: '7', userId: '42' };
    await assert.rejects(node.createJoin(join), { message: 'POST /v1/joins: 401 unauthorized: no such key' });
    for (const key of [undefined, '', 'two words', 'k\r\nx: y']) {
      const isRefused = { name: 'TypeError', message: 'key: this is no key of the API' };
      assert.throws(() => new EarshotNode({ api: api.url, key }), isRefused);
    }
    assert.throws(() => new EarshotNode({ api: 'http://127.0.0.1', key: KEY }), /only https/);
    assert.throws(() => adapterCreator(node, {}), /userId/);
  });

  withApi('a certificate of its own authority, and one that is not trusted', async (api) => {
    const authority = readFileSync(`${process.env.EARSHOT_STATE}/ca.pem`);
    const ask = (ca) => new EarshotNode({ api: api.url, key: KEY, ca }).request('GET', participant('7'));
    await assert.rejects(ask(authority), { status: 404 });
    await assert.rejects(ask([]), { isTransient: false, message: /certificate is not trusted: set NODE_EXTRA_CA_CERTS/ });
  });
});

describe('joins and leaves', { concurrency: true }, () => {
  withApi('who leaves is taken out of the channel', async (api, { library }) => {
    const it = library();
    await it.join('7');
    assert.equal(it.ask(null), true);
    await until('it left', () => api.sessions.size === 0);
    assert.deepEqual(api.requests.slice(1), [`GET ${participant('7')}`, `DELETE ${participant('7')}`]);
    it.ask(null);
    await api.settle();
    assert.equal(api.requests.length, 3, 'it left twice');
  });

  withApi('who left already, and another session of the user, are no concern of a leave', async (api, { library }) => {
    const it = library();
    await it.join('7');
    api.sessions.delete(participant('7'));
    it.ask(null);
    await until('it asked', () => api.requests.length === 2);
    await it.join('7');
    api.sessions.set(participant('7'), 'of another process');
    it.ask(null);
    await until('it asked again', () => api.requests.length === 4);
    await api.settle();
    assert.equal(api.sessions.get(participant('7')), 'of another process');
    assert.deepEqual(it.errors, []);
  });

  withApi('a failing leave is told', async (api, { library }) => {
    const it = library();
    await it.join('7');
    api.answers.push((_, response) => problem(response, 403, 'forbidden', 'not with this key'));
    it.ask(null);
    await until('it was told', () => it.errors.length === 1);
    assert.match(it.errors[0].message, /^GET .*: 403 forbidden: not with this key$/);
  });

  withApi('a leave that meets a restart is asked again', async (api, { library }) => {
    const it = library();
    await it.join('7');
    const before = api.requests.length;
    api.answers.push(
      (_, response) => response.destroy(),
      (_, response) => problem(response, 404, 'no_such_participant', 'it is not there'),
    );
    it.ask(null);
    await until('it asked again', () => api.requests.length === before + 2 && api.answers.length === 0);
    assert.deepEqual(it.errors, []);
  });

  withApi('a join waits for the leave before it', async (api, { library }) => {
    const it = library();
    await it.join('7');
    let answer;
    api.answers.push((request, response) => (answer = () => api.usually(request, response)));
    it.ask(null);
    await until('it leaves', () => answer);
    it.ask('7');
    await api.settle();
    assert.equal(api.joins.length, 1);
    answer();
    await until('it has joined again', () => it.servers.length === 2);
    assert.equal(api.sessions.get(participant('7')), 'session-2');
  });

  withApi('the last request counts', async (api, { library }) => {
    const it = library();
    let answer;
    api.answers.push((_, response) => (answer = () => api.join(response)));
    it.ask('7');
    await until('it asks', () => answer);
    it.ask('8');
    await until('it was told where', () => it.servers.length === 1);
    assert.equal(it.states[0].channel_id, '8');
    answer();
    await api.settle();
    assert.equal(it.servers.length, 1);
    assert.deepEqual(it.errors, []);
  });

  withApi('who is destroyed while it joins hears no more of it', async (api, { library }) => {
    const it = library();
    let answer;
    api.answers.push((_, response) => (answer = () => api.join(response)));
    it.ask('7');
    await until('it asks', () => answer);
    it.ask(null);
    it.adapter.destroy();
    answer();
    await api.settle();
    assert.deepEqual([it.servers, it.errors, api.requests], [[], [], ['POST /v1/joins']]);
    assert.equal(it.ask('7'), false);
  });

  withApi('who was in a channel waits for a node that restarts', async (api, { library }) => {
    const it = library();
    await it.join('7');
    const stopping = (_, response) => problem(response, 503, 'stopping', 'the node stops');
    api.answers.push(stopping, (_, response) => response.destroy(), stopping);
    await it.join('7');
    assert.equal(it.servers[1].token, 'token of session-2');
    assert.deepEqual(it.errors, []);
  });

  withApi('but not for ever, and not when waiting is no use', async (api, { library }) => {
    const it = library({ patienceMs: 600 });
    const stopping = (_, response) => problem(response, 503, 'stopping', 'the node stops');
    await it.join('7');
    api.answers.push(...Array(9).fill(stopping));
    await it.join('7');
    assert.equal(it.errors.length, 1);
    api.answers = [(_, response) => problem(response, 400, 'bad-request', 'channel_id')];
    await it.join('7');
    assert.equal(it.errors[1].status, 400);
  });
});

describe('moves', { concurrency: true }, () => {
  withApi('a move is handed on, and leaving means the new channel', async (api, { library }) => {
    const it = library();
    await it.join('7');
    await api.emit('voice_server_update', moved('9', 'somebody else'));
    await api.emit('voice_server_update', { ...moved('9'), server_id: '2', guild_id: '2' });
    await api.emit('voice_server_update', moved('8'));
    await until('it was told', () => it.servers.length === 2);
    assert.deepEqual(it.servers[1], { guild_id: '1', endpoint: 'elsewhere:443', token: 'another token' });
    assert.deepEqual([it.states[1].channel_id, it.states[1].session_id], ['8', 'moved-to-8']);
    assert.equal(it.states[1].self_deaf, true);
    await api.emit('left', left('moved'));
    api.sessions.set(participant('8'), 'moved-to-8');
    it.ask(null);
    await until('it left', () => api.requests.includes(`DELETE ${participant('8')}`));
  });

  withApi('who was taken over is not moved', async (api, { library }) => {
    const it = library();
    await it.join('7');
    await api.emit('left', left('taken_over'));
    await api.emit('voice_server_update', moved('8'));
    await api.settle();
    assert.equal(it.servers.length, 1);
  });

  withApi('all of a node share a stream; with the last of them it ends', async (api, { node, library }) => {
    const [first, second] = [library(), library({ userId: '43' })];
    library({ followMoves: false });
    await first.join('7');
    await second.join('7');
    await api.emit('voice_server_update', moved('8', '43'));
    await until('it was told', () => second.servers.length === 2);
    assert.equal(first.servers.length, 1);
    first.adapter.destroy();
    await api.settle();
    assert.deepEqual([api.streams.length, api.streams[0].destroyed], [1, false]);
    second.adapter.destroy();
    await until('it ended', () => api.streams[0].destroyed);
    node.follow({ onEvent() {}, onError() {} })();
  });

  withApi('a stream that breaks goes on where it was', async (api, { library }) => {
    const it = library();
    await it.join('7');
    await until('it follows', () => api.streams.length === 1);
    await api.settle();
    api.streams[0].destroy();
    await until('it follows again', () => api.streams.length === 2);
    assert.deepEqual(api.streams.map(({ lastId }) => lastId), [undefined, 'boot-0']);
    await api.emit('voice_server_update', moved('8'));
    await until('it was told', () => it.servers.length === 2);
    api.eventStatus = 503;
    api.streams[1].end();
    await until('it tries', () => api.streams.length === 3);
    assert.equal(api.streams[2].lastId, 'boot-1');
    assert.deepEqual(it.errors, []);
    api.eventStatus = 403;
    await until('it gave up', () => it.errors.length === 1);
    assert.equal(it.errors[0].message, 'GET /v1/events: 403 forbidden: not with this key');
  });

  withApi('a follower that fails is told, and the others go on', async (api, { node }) => {
    const [errors, events] = [[], []];
    const fail = () => {
      throw new Error('mine');
    };
    const stops = [
      node.follow({ onEvent: fail, onError: (error) => errors.push(error.message) }),
      node.follow({ onEvent: ({ name }) => events.push(name), onError() {} }),
    ];
    await api.emit('node', { state: 'stopping' });
    await until('they were told', () => events.length === 1);
    assert.deepEqual([errors, events], [['mine'], ['node']]);
    stops.forEach((stop) => stop());
  });
});

describe('with connections of the library', () => {
  const connect = (node, options) => {
    const group = makeId(); // One connection for each server and group.
    const creator = adapterCreator(node, { userId: '42', ...options });
    return joinVoiceChannel({ guildId: '1', channelId: '7', group, adapterCreator: creator });
  };

  test('a failing join ends the wait for Ready at once, with what is wrong', { timeout: 20_000 }, async () => {
    const node = new EarshotNode({ api: GONE, key: KEY });
    const connection = connect(node, { onError: (error) => connection.emit('error', error) });
    const wrong = { name: 'EarshotError', code: 'ECONNREFUSED', message: /^POST \/v1\/joins: cannot reach the node at https:/ };
    await assert.rejects(entersState(connection, VoiceConnectionStatus.Ready, 20_000), wrong);
    assert.equal(connection.state.status, VoiceConnectionStatus.Disconnected);
    assert.equal(connection.state.reason, VoiceConnectionDisconnectReason.EndpointRemoved);
    connection.destroy();
  });

  test('an error that nobody takes is a warning of the process', { timeout: 20_000 }, async () => {
    const warning = new Promise((resolve) => process.once('warning', resolve));
    const connection = connect(new EarshotNode({ api: GONE, key: KEY }), { followMoves: false });
    await entersState(connection, VoiceConnectionStatus.Disconnected, 20_000);
    assert.equal((await warning).code, 'ECONNREFUSED');
    connection.destroy();
  });

  withApi('a connection that is destroyed leaves', async (api, { node }) => {
    api.answers.push((_, response) => json(response, 201, { ...moved('7'), endpoint: '127.0.0.1:1' }));
    const connection = connect(node, { onError: assert.fail });
    connection.on('error', () => {}); // it cannot connect there
    await entersState(connection, VoiceConnectionStatus.Connecting, 20_000);
    api.sessions.set(participant('7'), 'moved-to-7');
    connection.destroy();
    await until('it left', () => api.requests.includes(`DELETE ${participant('7')}`));
    await until('its stream ended', () => api.streams.every(({ destroyed }) => destroyed));
  });
});

test('nothing was thrown where nobody caught it', nothingUncaught);
