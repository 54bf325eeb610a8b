// A program under test as a child process: what it prints, and that it ends as it should. Never outlives this process.
import { spawn } from 'node:child_process';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

export class Child {
  constructor(path, args) {
    this.name = path.split('/').pop();
    this.out = '';
    this.err = '';
    this.child = spawn(path, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this.child);
    this.child.stdout.setEncoding('utf8').on('data', (text) => (this.out += text));
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.err += text));
    // The exit code, or the signal that ended it; 'close' comes when its output has come too.
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => resolve(error.message));
      this.child.once('close', (code, signal) => resolve(code ?? signal));
    }).finally(() => running.delete(this.child));
  }

  // The first match in what it prints to the stream 'out' or 'err'.
  async prints(stream, pattern, timeoutMs) {
    const until = Date.now() + timeoutMs;
    let hasEnded = false;
    this.ended.then(() => (hasEnded = true));
    for (;;) {
      const match = pattern.exec(this[stream]);
      if (match) return match;
      if (hasEnded || Date.now() > until) throw new Error(`${this.name} did not print ${pattern}:\n${this.err}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(signal, timeoutMs) {
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), timeoutMs);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }
}
