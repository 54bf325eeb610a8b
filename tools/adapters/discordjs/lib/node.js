// The HTTP API of one relay node, as far as a bot needs it. On node:https, because fetch takes no certificate authority.
// Every request has a connection of its own: joins are rare, and a kept connection is one that a restart breaks.
import { request as send } from 'node:https';
import { EarshotError } from './error.js';
import { EventStream } from './event_stream.js';

const ANSWER_BYTES_MAX = 16 * 1_024 * 1_024;

const participantPath = (ids) =>
  `/v1/servers/${encodeURIComponent(ids.server_id)}/channels/${encodeURIComponent(ids.channel_id)}` +
  `/participants/${encodeURIComponent(ids.user_id)}`;

export class EarshotNode {
  #api;
  #key;
  #ca;
  #timeoutMs;
  #turns = new Map(); // by server and user, the end of the last request about them
  #followers = new Set();
  #stream;

  constructor({ api, key, ca, timeoutMs = 10_000 }) {
    if (new URL(api).protocol !== 'https:') throw new TypeError(`api: only https keeps the key a secret: ${api}`);
    // node:https would show what it cannot send.
    if (!/^[\x21-\x7e]+$/.test(key ?? '')) throw new TypeError('key: this is no key of the API');
    this.#api = String(api).replace(/\/+$/, '');
    this.#key = key;
    this.#ca = ca;
    this.#timeoutMs = timeoutMs;
  }

  get api() {
    return this.#api;
  }

  // A token and what goes with it, for one user to join one channel.
  createJoin({ serverId, channelId, userId, sessionId, ttlSeconds, grants }, { signal } = {}) {
    const ids = { server_id: serverId, channel_id: channelId, user_id: userId };
    const body = { ...ids, session_id: sessionId, ttl_seconds: ttlSeconds, grants };
    return this.#inTurn(ids, () => this.request('POST', '/v1/joins', body, { signal }));
  }

  // Ends the session of that join, if its user still has that one there. Resolves with whether it was so.
  leave(join) {
    return this.#inTurn(join, async () => {
      try {
        const { session_id: session } = await this.request('GET', participantPath(join));
        if (session !== join.session_id) return false;
        await this.request('DELETE', participantPath(join));
        return true;
      } catch (error) {
        if (error.status === 404) return false;
        throw error;
      }
    });
  }

  // Events from now on, each as {id, name, data}; one stream for all who follow. A lost connection is taken up again
  // where it broke. `onError` is told what ends the stream. Returns a function that stops following.
  follow({ onEvent, onError }) {
    const follower = { onEvent, onError };
    this.#followers.add(follower);
    this.#stream ??= new EventStream(this, {
      onEvent: (event) => this.#onEvent(event),
      onError: (error) => this.#onStreamError(error),
    });
    return () => {
      if (!this.#followers.delete(follower) || this.#followers.size > 0) return;
      this.#stream.close();
      this.#stream = undefined;
    };
  }

  // Any request to the API. Resolves with the JSON of the answer, or undefined if it is empty.
  async request(method, path, body, { signal } = {}) {
    const response = await this.open(method, path, { body, signal });
    const text = await this.#read(response);
    try {
      return text === '' ? undefined : JSON.parse(text);
    } catch {
      throw new EarshotError(`${method} ${path}: the answer of ${this.#api} is not JSON: is this the API of a node?`);
    }
  }

  // The response, once its head is there and says that all is well. It ends if nothing comes for `silenceMs`.
  async open(method, path, { body, headers, signal, silenceMs = this.#timeoutMs } = {}) {
    const what = `${method} ${path}`;
    const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const options = {
      method,
      agent: false,
      ca: this.#ca,
      timeout: silenceMs,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(content && { 'content-type': 'application/json', 'content-length': content.length }),
        ...headers,
      },
    };
    let response;
    try {
      response = await exchange(this.#api + path, options, content, signal);
      if (response.statusCode >= 200 && response.statusCode <= 299) return response;
    } catch (error) {
      throw signal?.aborted ? signal.reason : EarshotError.unreachable(what, this.#api, error);
    }
    throw EarshotError.refused(what, response, await this.#read(response));
  }

  async #read(response) {
    const chunks = [];
    let size = 0;
    try {
      for await (const chunk of response) {
        chunks.push(chunk);
        size += chunk.length;
        if (size > ANSWER_BYTES_MAX) throw new Error('its answer has no end');
      }
    } catch (error) {
      throw EarshotError.unreachable(response.req.path, this.#api, error);
    }
    return Buffer.concat(chunks).toString();
  }

  #onEvent(event) {
    for (const { onEvent, onError } of this.#followers) {
      try {
        onEvent(event);
      } catch (error) {
        onError(error);
      }
    }
  }

  #onStreamError(error) {
    const followers = [...this.#followers];
    this.#followers.clear();
    this.#stream = undefined;
    for (const { onError } of followers) onError(error);
  }

  // Requests about one user of one server go one after the other: a slow leave must not end the join behind it.
  #inTurn({ server_id: server, user_id: user }, task) {
    const name = JSON.stringify([server, user]);
    const result = (this.#turns.get(name) ?? Promise.resolve()).then(task);
    const end = result.catch(() => {}).then(() => this.#turns.get(name) === end && this.#turns.delete(name));
    this.#turns.set(name, end);
    return result;
  }
}

function exchange(url, options, content, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) throw signal.reason;
    let response;
    const request = send(url, options);
    const fail = (error) => (response ?? request).destroy(error);
    const onAbort = () => fail(signal.reason);
    signal?.addEventListener('abort', onAbort);
    request.once('response', (head) => resolve((response = head)));
    request.on('error', reject);
    request.on('timeout', () => fail(new Error(`nothing came for ${options.timeout / 1_000} s`)));
    request.once('close', () => signal?.removeEventListener('abort', onAbort));
    request.end(content);
  });
}
