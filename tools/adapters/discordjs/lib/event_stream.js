// GET /v1/events for as long as somebody follows: text/event-stream, taken up again with Last-Event-ID.
import { setTimeout as sleep } from 'node:timers/promises';

const SILENCE_MS_MAX = 45_000; // the node sends a comment every 15 s
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;

export class EventStream {
  #end = new AbortController();
  #lastId;
  #pauseMs = PAUSE_MS_MIN;

  // `onError` is told of an answer that would be the same later: then it gives up.
  constructor(node, { onEvent, onError }) {
    this.#run(node, onEvent).catch((error) => this.#end.signal.aborted || onError(error));
  }

  close() {
    this.#end.abort();
  }

  async #run(node, onEvent) {
    const { signal } = this.#end;
    for (;;) {
      try {
        await this.#read(node, onEvent);
      } catch (error) {
        if (signal.aborted || error.isTransient === false) throw error;
      }
      await sleep(this.#pauseMs * (0.5 + Math.random()), undefined, { signal });
      this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
    }
  }

  async #read(node, onEvent) {
    const { signal } = this.#end;
    const headers = { accept: 'text/event-stream', ...(this.#lastId && { 'last-event-id': this.#lastId }) };
    const response = await node.open('GET', '/v1/events', { headers, signal, silenceMs: SILENCE_MS_MAX });
    for await (const event of parseEvents(response.setEncoding('utf8'))) {
      if (signal.aborted) return;
      this.#pauseMs = PAUSE_MS_MIN;
      this.#lastId = event.id ?? this.#lastId;
      if (event.name) onEvent(event);
    }
  }
}

// As https://html.spec.whatwg.org/multipage/server-sent-events.html interprets it, for data that is JSON.
async function* parseEvents(chunks) {
  let rest = '';
  let fields = { data: '' };
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop();
    for (const line of lines) {
      const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line);
      if (name === 'data') fields.data += value;
      else if (name === 'id' || name === 'event') fields[name] = value;
      if (line !== '') continue;
      const { id, event, data } = fields;
      if (data !== '') yield { id, name: event, data: JSON.parse(data) };
      else if (id !== undefined) yield { id };
      fields = { data: '' };
    }
  }
}
