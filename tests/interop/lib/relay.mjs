// A relay of the test's own, on loopback and on any free ports, with the development configuration of the state folder
// EARSHOT_STATE otherwise.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { Child } from './child.mjs';

const { EARSHOT: earshot, EARSHOT_RELAY: program, EARSHOT_STATE: state } = process.env;

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) => addresses.some(({ address }) => address === '::1'));

const SETTINGS = {
  'gateway.listen': '127.0.0.1:0',
  'admin.listen': '127.0.0.1:0',
  // IPv4 clients on a socket for both families, as in production.
  'media.listen': hasIpv6 ? '[::]:0' : '0.0.0.0:0',
  'media.workers': 2,
  'media.pin_workers': false,
  // Test machines stall for longer than the 200 ms after which a backlog is dropped by default. Real pauses are longer
  // than this bound: a relay that takes them for lateness fails all the same.
  'media.late_ms_max': 2000,
  'media.stale_ms_max': 0,
};

export class Relay {
  static async start(settings = {}) {
    const relay = new Relay();
    relay.settings = { ...SETTINGS, ...settings };
    await relay.#start();
    return relay;
  }

  async #start() {
    const sets = Object.entries(this.settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    this.child = new Child(program, ['--config', `${state}/relay.toml`, ...sets]);
    const ready = /^ready gateway=(\S+) udp=\S+:(\d+) api=(\S+)$/m;
    const [, gateway, mediaPort, api] = await this.child.prints('out', ready, 60_000);
    this.gateway = gateway;
    this.mediaPort = Number(mediaPort);
    this.api = api;
  }

  // A new process with the same addresses.
  async restart() {
    await this.stop();
    this.settings['gateway.listen'] = this.gateway;
    this.settings['admin.listen'] = new URL(this.api).host;
    await this.#start();
  }

  // Sanitizers report through the exit code.
  async stop() {
    const code = await this.child.stop('SIGTERM', 30_000);
    assert.equal(code, 0, `the relay ended with ${code}:\n${this.child.err}`);
  }
}

export const apiKeyFile = `${state}/api-key`;

export function apiKey() {
  return readFileSync(apiKeyFile, 'utf8').trim();
}

export async function makeToken({ server, user, session, channel }) {
  const names = ['--server', server, '--user', user, '--session', session, '--channel', channel];
  const { stdout } = await promisify(execFile)(earshot, ['token', ...names, '--state', state]);
  return stdout.trim();
}
