import type { DiscordGatewayAdapterCreator } from '@discordjs/voice';

/** What a participant may do; what is left out is as the node has it by default. */
export interface Grants {
  speak?: boolean;
  listen?: boolean;
  priority?: boolean;
  require_e2ee?: boolean;
  max_bitrate?: number;
  late_ms_max?: number;
}

/** A node's answer to POST /v1/joins. */
export interface Join {
  token: string;
  endpoint: string;
  guild_id: string;
  server_id: string;
  channel_id: string;
  user_id: string;
  session_id: string;
  /** Seconds since 1970. */
  expires_at: number;
}

/** An event of GET /v1/events. */
export interface EarshotEvent {
  id?: string;
  name: string;
  data: Record<string, unknown>;
}

export interface EarshotNodeOptions {
  /** Where the node's API is: https://HOST:PORT */
  api: string;
  /** A key of the API with scope admin. */
  key: string;
  /** Whom to trust for the API, in PEM, instead of Node's own store with NODE_EXTRA_CA_CERTS. */
  ca?: string | Buffer | Array<string | Buffer>;
  /** How long the node may be silent before a request fails; 10,000. */
  timeoutMs?: number;
}

/** The HTTP API of one relay node. */
export class EarshotNode {
  constructor(options: EarshotNodeOptions);
  readonly api: string;
  /** A token and what goes with it, for one user to join one channel. */
  createJoin(
    join: {
      serverId: string;
      channelId: string;
      userId: string;
      /** The node makes one up by default. */
      sessionId?: string;
      ttlSeconds?: number;
      grants?: Grants;
    },
    options?: { signal?: AbortSignal },
  ): Promise<Join>;
  /** Ends the session of that join, if its user still has that one there; resolves with whether it was so. */
  leave(join: Pick<Join, 'server_id' | 'channel_id' | 'user_id' | 'session_id'>): Promise<boolean>;
  /** Events from now on, across lost connections; `onError` is told what ends them. Call the result to stop. */
  follow(follower: { onEvent(event: EarshotEvent): void; onError(error: Error): void }): () => void;
  /** Any request to the API, with a body and an answer in JSON. Fails with an EarshotError. */
  request(method: string, path: string, body?: unknown, options?: { signal?: AbortSignal }): Promise<any>;
}

export class EarshotError extends Error {
  /** Of the answer; undefined if there was none. */
  status?: number;
  /** Of the problem, such as 'not-found', or of the failure, such as 'ECONNREFUSED'. */
  code?: string;
  detail?: string;
  /** How long the node asks to wait. */
  retryAfterMs?: number;
  /** The same request may succeed later. */
  isTransient: boolean;
}

export interface AdapterOptions {
  /** Who joins. */
  userId: string;
  /** The node makes one up for every join by default. */
  sessionId?: string;
  ttlSeconds?: number;
  grants?: Grants;
  /** Go where the application's back end moves the user to; true by default. */
  followMoves?: boolean;
  /** How long to try again when the node cannot be reached, once it could be; 30,000. */
  patienceMs?: number;
  /** A join or a leave failed; after a join the voice connection is Disconnected. A process warning by default. */
  onError?(error: Error): void;
}

/** For joinVoiceChannel(): its connections are of that user, on that node. */
export function adapterCreator(node: EarshotNode, options: AdapterOptions): DiscordGatewayAdapterCreator;
