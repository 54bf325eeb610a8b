// An API of a node that does what a test tells it to, over TLS as the real one. Its certificate is that of the state
// folder EARSHOT_STATE.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { EarshotNode } from '../../../tools/adapters/discordjs/index.js';
import { until } from './room.mjs';

const { EARSHOT_STATE: state } = process.env;

export const KEY = 'k'.repeat(43);

export class FakeApi {
  requests = []; // as 'METHOD PATH', without the event streams
  joins = []; // bodies
  streams = []; // the responses of GET /v1/events, and what their requests had as lastId
  sessions = new Map(); // by path of the participant
  answers = []; // to the next requests, instead of the usual ones: functions of (request, response)
  eventStatus = 200;
  #lastSession = 0;
  #lastEvent = 0;

  static async start() {
    const api = new FakeApi();
    const [key, cert] = ['tls-key.pem', 'tls-cert.pem'].map((file) => readFileSync(`${state}/${file}`));
    api.server = createServer({ key, cert }, (request, response) => api.#answer(request, response));
    api.server.listen(0, '127.0.0.1');
    await once(api.server, 'listening');
    api.url = `https://127.0.0.1:${api.server.address().port}`;
    return api;
  }

  stop() {
    this.server.close();
    this.server.closeAllConnections();
  }

  async #answer(request, response) {
    const { method, url, headers } = request;
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (headers.authorization !== `Bearer ${KEY}`) return problem(response, 401, 'unauthorized', 'no such key');
    if (url === '/v1/events') return this.#openStream(headers, response);
    if (url === '/settle') return response.writeHead(204).end();
    this.requests.push(`${method} ${url}`);
    if (method === 'POST') this.joins.push(JSON.parse(Buffer.concat(chunks)));
    (this.answers.shift() ?? this.usually)(request, response);
  }

  usually = ({ method, url }, response) => {
    if (method === 'POST') return this.join(response);
    const session = this.sessions.get(url);
    if (!session) return problem(response, 404, 'not-found', 'nobody there');
    if (method === 'GET') return json(response, 200, { session_id: session });
    this.sessions.delete(url);
    response.writeHead(204).end();
  };

  // The join that was asked for last; its user is in the channel at once.
  join(response) {
    const { server_id, channel_id, user_id, session_id = `session-${++this.#lastSession}` } = this.joins.at(-1);
    const ids = { guild_id: server_id, server_id, channel_id, user_id, session_id };
    this.sessions.set(`/v1/servers/${server_id}/channels/${channel_id}/participants/${user_id}`, session_id);
    json(response, 201, { ...ids, token: `token of ${session_id}`, endpoint: 'relay:443', expires_at: 2_000_000_000 });
  }

  // Resolves when whatever its client had begun before must have come, and the answers must have come back.
  async settle() {
    const node = new EarshotNode({ api: this.url, key: KEY });
    for (let i = 0; i < 3; ++i) await node.request('GET', '/settle');
  }

  #openStream(headers, response) {
    response.lastId = headers['last-event-id'];
    this.streams.push(response);
    if (this.eventStatus !== 200) return problem(response, this.eventStatus, 'forbidden', 'not with this key');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(`id: boot-${this.#lastEvent}\n\n: ping\n\n`);
  }

  // To the newest stream, in two pieces.
  async emit(name, data) {
    await until('somebody follows', () => this.streams.length > 0);
    const text = `id: boot-${++this.#lastEvent}\r\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    const stream = this.streams.at(-1);
    stream.write(text.slice(0, 30));
    await new Promise((resolve) => setTimeout(resolve, 5));
    stream.write(text.slice(30));
  }
}

export function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

export function problem(response, status, code, detail, headers = {}) {
  const type = `urn:earshot:problem:${code}`;
  response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
  response.end(JSON.stringify({ type, title: code, status, detail }));
}
