// One channel of its own for one test, with whoever is in it, and everything that went wrong there. What no library may
// do at all, throw where nobody catches it, fails the whole run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

const uncaught = [];
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    uncaught.push(error);
    process.exitCode = 1;
  });
}

// The last test of a file.
export function nothingUncaught() {
  assert.deepEqual(uncaught, [], 'thrown where nobody caught it');
}

// Ids look like those that applications use: decimal numbers of 64 bits.
let lastId = 1_180_000_000_000_000_000n;
export function makeId() {
  return String((lastId += 4_194_304n + 1n));
}

export class Room {
  server = makeId();
  channel = makeId();
  members = [];
  faults = [];
  tolerated = /^$/; // what a test brings about itself

  constructor(relay) {
    this.relay = relay;
  }

  // Another channel of the same server.
  beside() {
    return Object.assign(new Room(this.relay), { ...this, channel: makeId() });
  }

  // Any client: it has a `user` and can `leave()` more than once.
  add(member) {
    this.members.push(member);
    return member;
  }

  fault(member, what) {
    if (!this.tolerated.test(what)) this.faults.push(`${member.user}: ${what?.stack ?? what}`);
  }
}

// A test with a channel of its own on that relay. Whatever it leaves behind goes, and nobody may have seen an error.
export function inRoom(name, { relay, skip }, body) {
  test(name, { timeout: 200_000, skip }, async (context) => {
    const room = new Room(relay());
    try {
      await body(room, context);
      await Promise.all(room.members.map((member) => member.leave()));
      assert.deepEqual(room.faults, []);
    } catch (error) {
      console.error(`--- ${name}: ${error.message}`);
      for (const member of room.members) console.error(`--- ${name}: ${member.user}\n${member.log().join('\n')}`);
      throw error;
    } finally {
      await Promise.allSettled(room.members.map((member) => member.leave()));
    }
  });
}

export async function until(what, isTrue, timeoutMs = 30_000) {
  const end = Date.now() + timeoutMs;
  while (!isTrue()) {
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await sleep(10);
  }
}

export function assertHeard(what, count, expected, share = 0.98) {
  assert.ok(expected > 0 && count >= share * expected, `${what}: ${count} of ${expected} frames`);
}
