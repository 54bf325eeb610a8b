// What both examples are before they play or record: options, a channel joined, and a polite end.
import { VoiceConnectionDisconnectReason, VoiceConnectionStatus, entersState, joinVoiceChannel } from '@discordjs/voice';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { EarshotNode, adapterCreator } from 'earshot-discordjs-adapter';

const JOIN_MS_MAX = 20_000;
const END_MS_MAX = 3_000;

export const COMMON_OPTIONS = `
  --api URL            the node's API (https://127.0.0.1:8445)
  --api-key-file FILE  a key with scope admin (.state/api-key of the repository)
  --server ID          (1)
  --channel ID         (7)
  --user ID            who joins
  --help               this text

The node of tools/run --serve is trusted with NODE_EXTRA_CA_CERTS=.state/ca.pem in the environment.
Ctrl-C leaves the channel.`;

const DEFAULTS = {
  api: 'https://127.0.0.1:8445',
  'api-key-file': fileURLToPath(new URL('../../../../../.state/api-key', import.meta.url)),
  server: '1',
  channel: '7',
};

// Runs an example: usage on --help or a wrong option, one sentence and status 1 if it throws.
export async function run({ name, usage, options, defaults }, main) {
  const wrong = (text) => {
    console.error(`${name}: ${text}\n\n${usage}`);
    process.exit(2);
  };
  const strings = Object.keys({ ...DEFAULTS, ...defaults }).map((key) => [key, { type: 'string' }]);
  let parsed;
  try {
    const known = { ...Object.fromEntries(strings), help: { type: 'boolean' }, ...options };
    parsed = parseArgs({ options: known, allowPositionals: true });
  } catch (error) {
    wrong(error.message);
  }
  if (parsed.values.help) return console.log(usage);
  try {
    await main({ ...DEFAULTS, ...defaults, ...parsed.values }, parsed.positionals, wrong);
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}

export function read(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(`cannot read ${file}: ${error.code}`);
  }
}

// Resolves once it is in the channel. `over` resolves when it has left, because it was asked to, and rejects when it was
// made to.
export async function join({ api, 'api-key-file': keyFile, server, channel, user }) {
  const node = new EarshotNode({ api, key: read(keyFile).toString().trim() });
  const connection = joinVoiceChannel({
    guildId: server,
    channelId: channel,
    selfDeaf: false,
    adapterCreator: adapterCreator(node, { userId: user, onError: (error) => connection.emit('error', error) }),
  });
  const leave = () => {
    if (connection.state.status === VoiceConnectionStatus.Destroyed) return;
    connection.destroy();
    // What is still closing holds nobody up for long.
    setTimeout(() => process.exit(), END_MS_MAX).unref();
  };
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, leave);
  let failure;
  let isIn = false;
  connection.on('error', (error) => {
    failure = explain(error);
    // Once it was in, the library comes back by itself, or is Disconnected.
    if (isIn) console.error(failure.message);
  });
  const over = new Promise((resolve, reject) => {
    connection.once(VoiceConnectionStatus.Destroyed, resolve);
    connection.once(VoiceConnectionStatus.Disconnected, (_, { reason }) => {
      const isRemoved = reason === VoiceConnectionDisconnectReason.WebSocketClose;
      reject(isRemoved ? new Error('it was removed from the channel, or has joined from elsewhere') : failure);
      leave();
    });
  });
  over.catch(() => {}); // Who waits for it tells.
  try {
    const ready = entersState(connection, VoiceConnectionStatus.Ready, AbortSignal.timeout(JOIN_MS_MAX));
    await Promise.race([ready, over]);
  } catch (error) {
    leave();
    throw explain(error);
  }
  isIn = connection.state.status === VoiceConnectionStatus.Ready;
  if (isIn) console.error(`joined channel ${channel} of server ${server} as ${user}`);
  return { connection, over, leave };
}

function explain(error) {
  if (error.name === 'AbortError') return new Error(`the node did not let it in within ${JOIN_MS_MAX / 1_000} s`);
  if (error.name === 'EarshotError' || !/certificate/.test(error.message)) return error;
  return new Error(`the gateway's certificate is not trusted: set NODE_EXTRA_CA_CERTS (${error.message})`);
}
