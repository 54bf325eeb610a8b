// Our own client on the command line as a member of a room: `earshot talk`.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.mjs';
import { makeToken } from './relay.mjs';
import { makeId } from './room.mjs';
import { toneFramesInWav } from './tones.mjs';

const { EARSHOT: program, EARSHOT_STATE: state } = process.env;

export class Earshot {
  user = makeId();

  // `options` are more arguments, such as '--play', 'tone:440'.
  static async join(room, options = []) {
    const earshot = room.add(new Earshot());
    const token = await makeToken({ ...room, user: earshot.user, session: makeId() });
    earshot.folder = mkdtempSync(join(state, 'heard-'));
    const where = ['--endpoint', room.relay.gateway, '--ca', `${state}/ca.pem`, '--token', token];
    earshot.child = new Child(program, ['talk', ...where, '--json', '--record', earshot.folder, ...options]);
    await earshot.child.prints('err', / joined channel /, 60_000);
    return earshot;
  }

  log() {
    return [this.child?.err, this.child?.out];
  }

  // Its own summary.
  leave() {
    return (this.summary ??= this.#leave());
  }

  async #leave() {
    const code = await this.child?.stop('SIGINT', 30_000);
    assert.equal(code, 0, `earshot talk ended with ${code}`);
    return JSON.parse(this.child.out);
  }

  // Leaves, and tells what it heard of that user: frames received, and frames of that tone in the recording.
  async heard(user, hz) {
    const { speakers } = await this.leave();
    const streams = speakers.filter((speaker) => speaker.user_id === user);
    const received = streams.reduce((sum, stream) => sum + stream.received, 0);
    const tone = received > 0 ? await toneFramesInWav(readFileSync(join(this.folder, `${user}.wav`)), hz) : 0;
    return { received, tone, streams };
  }
}
