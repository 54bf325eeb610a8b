// What @discordjs/voice takes for its main gateway: it asks it to join and to leave, and is told where to connect.
import { setTimeout as sleep } from 'node:timers/promises';

const VOICE_STATE_UPDATE = 4; // of the main gateway
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 5_000;

// For joinVoiceChannel(): the connections that it makes are of this user, on this node.
export function adapterCreator(node, options) {
  if (typeof options?.userId !== 'string' || options.userId === '') throw new TypeError('userId: a string, not empty');
  return (methods) => new Adapter(node, options, methods);
}

class Adapter {
  #node;
  #options;
  #methods;
  #session; // what the library was told last, until that has ended
  #state; // self_mute and self_deaf as the library has them
  #joining = new AbortController();
  #hasJoined = false;
  #isDestroyed = false;
  #unfollow = () => {};

  constructor(node, options, methods) {
    this.#node = node;
    this.#options = { followMoves: true, patienceMs: 30_000, onError: (error) => process.emitWarning(error), ...options };
    this.#methods = methods;
    if (!this.#options.followMoves) return;
    this.#unfollow = node.follow({
      onEvent: (event) => this.#onEvent(event),
      onError: (error) => this.#options.onError(error),
    });
  }

  sendPayload({ op, d }) {
    if (this.#isDestroyed || op !== VOICE_STATE_UPDATE) return false;
    // Whatever it asked for before, this is what it wants now.
    this.#joining.abort();
    if (d.channel_id === null) {
      this.#leave();
    } else {
      this.#state = { self_mute: d.self_mute ?? false, self_deaf: d.self_deaf ?? false };
      this.#joining = new AbortController();
      this.#join(d, this.#joining.signal);
    }
    return true;
  }

  // The library calls it last, behind a payload that leaves if it can.
  destroy() {
    this.#isDestroyed = true;
    this.#joining.abort();
    this.#unfollow();
  }

  async #join({ guild_id: serverId, channel_id: channelId }, signal) {
    try {
      const join = await this.#ask({ serverId, channelId }, signal);
      if (!signal.aborted) this.#tell(join);
    } catch (error) {
      if (signal.aborted) return;
      try {
        this.#options.onError(error);
      } finally {
        // Makes the library's connection Disconnected: it shall not wait for an answer that will not come.
        this.#methods.onVoiceServerUpdate({ guild_id: serverId, token: '', endpoint: null });
      }
    }
  }

  // Who joins for the first time wants to know at once what is wrong; who was there waits for a node that restarts.
  async #ask(where, signal) {
    const { userId, sessionId, ttlSeconds, grants, patienceMs } = this.#options;
    const join = { ...where, userId, sessionId, ttlSeconds, grants };
    return patiently(this.#hasJoined ? patienceMs : 0, { signal }, () => this.#node.createJoin(join, { signal }));
  }

  // With the server, it connects; so what it knows of itself comes first.
  #tell(join) {
    const { server_id, channel_id, user_id, session_id, guild_id, endpoint, token } = join;
    this.#session = { server_id, channel_id, user_id, session_id };
    this.#hasJoined = true;
    const sides = { deaf: false, mute: false, self_video: false, suppress: false, request_to_speak_timestamp: null };
    this.#methods.onVoiceStateUpdate({ guild_id, channel_id, user_id, session_id, ...sides, ...this.#state });
    this.#methods.onVoiceServerUpdate({ guild_id, endpoint, token });
  }

  #leave() {
    const session = this.#session;
    this.#session = undefined;
    if (!session) return;
    // A node that restarts has nobody left to send away; a program that ends does not wait for it.
    const leaving = patiently(this.#options.patienceMs, { ref: false }, () => this.#node.leave(session));
    leaving.catch((error) => this.#options.onError(error));
  }

  #onEvent({ name, data }) {
    const session = this.#session;
    if (data.user_id !== this.#options.userId || !session || data.server_id !== session.server_id) return;
    if (name === 'left' && data.session_id === session.session_id) this.#session = undefined;
    if (name !== 'voice_server_update') return;
    this.#joining.abort();
    this.#tell(data);
  }
}

// Asks again, less and less often, while what went wrong may pass.
async function patiently(patienceMs, sleeping, ask) {
  const until = Date.now() + patienceMs;
  for (let pause = PAUSE_MS_MIN; ; pause = Math.min(2 * pause, PAUSE_MS_MAX)) {
    try {
      return await ask();
    } catch (error) {
      const wait = Math.max(pause * (0.5 + Math.random()), error.retryAfterMs ?? 0);
      if (!error.isTransient || Date.now() + wait > until) throw error;
      await sleep(wait, undefined, sleeping);
    }
  }
}
