// A relay of the test's own, on loopback and on any free ports. The state folder (EARSHOT_STATE) has its certificate and
// the key that signs tokens.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Child } from './child.mjs';

const { EARSHOT: earshot, EARSHOT_RELAY: program, EARSHOT_STATE: state } = process.env;

// Test machines stall for longer than the 200 ms after which a backlog is dropped by default; real pauses are longer
// than this bound, so a relay that takes them for lateness still fails.
const SETTINGS = {
  'gateway.listen': '["127.0.0.1:0","[::1]:0"]',
  'gateway.tls_cert': `${state}/tls-cert.pem`,
  'gateway.tls_key': `${state}/tls-key.pem`,
  'gateway.unidentified_per_address_max': 4096,
  'admin.listen': '127.0.0.1:0',
  'media.listen': '[::]:0',
  'media.loopback_only': true,
  'media.workers': 2,
  'media.pin_workers': false,
  'media.late_ms_max': 2000,
  'tokens.keys': `[{id="dev", alg="HS256", file="${state}/token.key"}]`,
};

export class Relay {
  static async start(settings = {}) {
    const relay = new Relay();
    const args = Object.entries({ ...SETTINGS, ...settings }).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    relay.child = new Child(program, args);
    const [, gateway] = await relay.child.prints('out', /^ready gateway=(\S+) udp=\S+ api=\S+$/m, 20_000);
    relay.gateway = gateway;
    return relay;
  }

  // Sanitizers report through the exit code.
  async stop() {
    const code = await this.child.stop('SIGTERM', 10_000);
    assert.equal(code, 0, `the relay ended with ${code}:\n${this.child.err}`);
  }
}

export async function makeToken({ server, user, session, channel }) {
  const names = ['--server', server, '--user', user, '--session', session, '--channel', channel];
  const { stdout } = await promisify(execFile)(earshot, ['token', ...names, '--state', state]);
  return stdout.trim();
}
