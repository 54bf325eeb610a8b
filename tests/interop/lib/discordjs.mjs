// A member of a room on @discordjs/voice, which joins through our adapter for it.
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
import { EarshotNode, adapterCreator } from '../../../tools/adapters/discordjs/index.js';
import { Bot } from './bot.mjs';
import { apiKey } from './relay.mjs';
import { makeId, until } from './room.mjs';
import { FRAME_MS } from './tones.mjs';

// The node's API as that bot sees it.
class BotNode extends EarshotNode {
  constructor(bot) {
    super({ api: bot.room.relay.api, key: apiKey() });
    this.bot = bot;
  }

  async createJoin(join, options) {
    const { bot } = this;
    const userId = ++bot.joins <= bot.refusals ? makeId() : join.userId;
    return { ...(await super.createJoin({ ...join, userId }, options)), user_id: join.userId };
  }
}

export class DiscordJs extends Bot {
  constructor(room, { dave = false, ...options } = {}) {
    super(room, options);
    this.node = new BotNode(this);
    this.connection = this.joinVoiceChannel({
      guildId: room.server,
      channelId: room.channel,
      // One process, one connection for each server and group: here every bot is a group.
      group: makeId(),
      selfDeaf: false,
      debug: true,
      adapterCreator: adapterCreator(this.node, { userId: this.user, onError: (error) => this.fault(error) }),
      ...(dave ? {} : { daveEncryption: false }),
    });
    this.connection.on('error', (error) => this.fault(error));
    this.connection.on('debug', (line) => this.#onDebug(line));
    this.connection.on('stateChange', (_, { closeCode }) => closeCode && this.closes.push(closeCode));
    this.player = createAudioPlayer();
    this.player.on('error', (error) => this.fault(error));
    this.connection.subscribe(this.player);
  }

  joinVoiceChannel(options) {
    return joinVoiceChannel(options);
  }

  #onDebug(line) {
    this.note(line);
    const [, direction, json] = /^\[NW\] \[WS\] (<<|>>) (\{.*)$/.exec(line) ?? [];
    if (direction) (direction === '>>' ? this.sent : this.received).push(JSON.parse(json));
  }

  isReady() {
    return entersState(this.connection, VoiceConnectionStatus.Ready, 60_000);
  }

  knows(user) {
    return this.connection.receiver.ssrcMap.get(user) !== undefined;
  }

  async say(frames) {
    const source = new Readable({ objectMode: true, highWaterMark: frames.length + 1, read() {} });
    for (const frame of frames) source.push(frame);
    source.push(null);
    this.player.play(createAudioResource(source, { inputType: StreamType.Opus }));
    await until('speech began', () => this.player.state.status !== AudioPlayerStatus.Buffering);
    await entersState(this.player, AudioPlayerStatus.Idle, 60_000 + frames.length * FRAME_MS);
  }

  get framesSent() {
    return this.connection.state.networking?.state.connectionData?.packetsPlayed;
  }

  subscribe(user, onPacket) {
    const stream = this.connection.receiver.subscribe(user);
    stream.on('data', onPacket);
    stream.on('error', (error) => this.fault(error));
  }

  // Cuts the signalling connection below TLS, as a network does.
  cut() {
    this.connection.state.networking.state.ws.ws._socket.destroy();
  }

  quit() {
    this.connection.destroy();
    this.player.stop(true);
  }
}
