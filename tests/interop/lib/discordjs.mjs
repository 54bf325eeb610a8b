// A member of a room on @discordjs/voice. This file plays the application's part: its adapter answers every request to
// join with a session of its own and a token, as a back end would. The library itself stays as it is.
import {
  AudioPlayerStatus,
  StreamType,
  VoiceConnectionStatus,
  createAudioPlayer,
  createAudioResource,
  entersState,
  joinVoiceChannel,
} from '@discordjs/voice';
import { Readable } from 'node:stream';
import { makeToken } from './relay.mjs';
import { makeId, until } from './room.mjs';
import { FRAME_MS, countUnaltered, listenTo } from './tones.mjs';

const SILENCE_FRAMES = 5;

export class DiscordJs {
  joins = 0; // sessions asked for
  sent = []; // signalling messages
  received = [];
  states = [];
  ears = new Map(); // packets heard, by user
  #lines = [];

  // user: who rejoins keeps the id. dave: with the library's default options, which offer end-to-end encryption.
  // join: another library's function of the same kind.
  constructor(room, { user = makeId(), dave = false, join = joinVoiceChannel } = {}) {
    this.room = room;
    this.user = user;
    room.add(this);
    this.connection = join({
      guildId: room.server,
      channelId: room.channel,
      group: makeId(),
      selfDeaf: false,
      debug: true,
      adapterCreator: (methods) => this.#makeAdapter(methods),
      ...(dave ? {} : { daveEncryption: false }),
    });
    this.connection.on('error', (error) => room.fault(this, error));
    this.connection.on('debug', (line) => this.#onDebug(line));
    this.connection.on('stateChange', (_, { status, closeCode }) => this.states.push(closeCode ?? status));
    this.player = createAudioPlayer();
    this.player.on('error', (error) => room.fault(this, error));
    this.connection.subscribe(this.player);
  }

  static async join(room, options) {
    const bot = new DiscordJs(room, options);
    await bot.isReady();
    return bot;
  }

  isReady() {
    return entersState(this.connection, VoiceConnectionStatus.Ready, 20_000);
  }

  #makeAdapter({ onVoiceStateUpdate, onVoiceServerUpdate }) {
    const answer = async (channel) => {
      const { server, relay } = this.room;
      const session = makeId();
      const token = await makeToken({ server, user: this.user, session, channel });
      onVoiceStateUpdate({ guild_id: server, channel_id: channel, user_id: this.user, session_id: session, self_deaf: false });
      onVoiceServerUpdate({ guild_id: server, endpoint: relay.gateway, token });
    };
    const sendPayload = ({ d }) => {
      if (d.channel_id === null) return true;
      ++this.joins;
      answer(d.channel_id).catch((error) => this.room.fault(this, error));
      return true;
    };
    return { sendPayload, destroy() {} };
  }

  #onDebug(line) {
    this.#lines.push(`${new Date().toISOString()} ${line}`);
    const [, direction, json] = /^\[NW\] \[WS\] (<<|>>) (\{.*)$/.exec(line) ?? [];
    if (direction) (direction === '>>' ? this.sent : this.received).push(JSON.parse(json));
  }

  log() {
    return this.#lines.slice(-60);
  }

  // The last message of that kind from the relay.
  told(op) {
    return this.received.findLast((message) => message.op === op)?.d;
  }

  // Does it know which stream is that user's?
  knows(user) {
    return this.connection.receiver.ssrcMap.get(user) !== undefined;
  }

  // Says these frames; they and the library's own silence behind them are on their way when it returns.
  async say(frames) {
    const source = new Readable({ objectMode: true, highWaterMark: frames.length + 1, read() {} });
    for (const frame of frames) source.push(frame);
    source.push(null);
    this.player.play(createAudioResource(source, { inputType: StreamType.Opus, silencePaddingFrames: SILENCE_FRAMES }));
    await until('speech began', () => this.player.state.status !== AudioPlayerStatus.Buffering);
    await entersState(this.player, AudioPlayerStatus.Idle, 30_000 + frames.length * FRAME_MS);
  }

  // To what that user says from now on.
  listen(user) {
    const packets = this.ears.get(user) ?? [];
    packets.length = 0;
    if (this.ears.has(user)) return packets;
    this.ears.set(user, packets);
    const stream = this.connection.receiver.subscribe(user);
    stream.on('data', (packet) => packets.push(packet));
    stream.on('error', (error) => this.room.fault(this, error));
    return packets;
  }

  // How many frames of that tone it heard from that user since it began to listen.
  async heard(user, hz) {
    return (await listenTo(this.ears.get(user), hz)).tone;
  }

  // How many of these very frames.
  heardUnaltered(user, frames) {
    return countUnaltered(this.ears.get(user), frames);
  }

  // All that it ever said, silence too.
  get framesSent() {
    return this.connection.state.networking.state.connectionData.packetsPlayed;
  }

  // Cuts the signalling connection below TLS, as a network does.
  cut() {
    this.connection.state.networking.state.ws.ws._socket.destroy();
  }

  async leave() {
    if (this.connection.state.status !== VoiceConnectionStatus.Destroyed) this.connection.destroy();
    this.player.stop(true);
  }
}
