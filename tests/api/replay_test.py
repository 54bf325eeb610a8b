"""`earshot replay`: in virtual time against a second implementation of the policy, and through a real relay."""

import csv
import json
import os
import random
import shutil
import tempfile
import unittest

from lib.node import EARSHOT, STATE, Node, run

HEADER = "arrival_ns,ssrc,seq,timestamp,size\n"
START_NS = 1_790_000_000_123_456_789


class Policy:
    """The late-frame policy once more, as docs/late-frames.md has it."""

    def __init__(self, late_ms_max):
        self.bound = (late_ms_max or 200) * 48
        self.is_off = late_ms_max == 0
        self.newest = None

    def rebase(self, at, transit):
        self.lows = [transit, transit]
        self.half = at
        self.backlog = False

    def judge(self, at, seq, timestamp, small):
        """(kept, lateness in ticks)"""
        if self.newest is not None:
            step = (seq - self.newest[0] + 0x8000) % 0x10000 - 0x8000
            media_step = (timestamp - self.newest[1] + 0x80000000) % 0x100000000 - 0x80000000
        if self.newest is None or ((media_step <= 0 or step > 3000) if step > 0 else
                                   (step < -100 or media_step > 0)):
            self.newest, self.media, self.at, self.paused = (seq, timestamp), timestamp, at, small
            self.mean64 = self.wall = self.spoken = 0
            self.rebase(at, at - timestamp)
            return True, 0
        transit = at - self.media - media_step
        wall_step = at - self.at
        if step > 0:
            paused = self.paused
            self.newest, self.at, self.paused = (seq, timestamp), at, small
            self.media += media_step
            if wall_step >= 2_880_000 or (paused and wall_step - media_step > self.bound):
                self.rebase(at, transit)
                return True, 0
        if at - self.half >= 240_000:
            self.lows = [transit, self.lows[0]]
            self.half = at
        self.lows[0] = min(self.lows[0], transit)
        late = min(transit - min(self.lows), 480_000)
        kept = self.decide(step, late, at, transit, wall_step, media_step)
        return kept or self.is_off, late

    def average(self, late):
        self.mean64 += late - int(self.mean64 / 64)

    def decide(self, step, late, at, transit, wall_step, media_step):
        is_late = late > self.bound + int(2 * self.mean64 / 64)
        if step <= 0:
            return not is_late
        if not is_late:
            self.backlog = False
            self.average(late)
            return True
        if wall_step - media_step >= 1_920:
            self.backlog, self.wall, self.spoken = True, 0, 0
            return False
        if not self.backlog:
            self.average(late)
            return True
        self.wall += min(wall_step, 480_000)
        self.spoken += min(media_step, 480_000)
        if self.wall < 720 or self.wall * 4 <= self.spoken:
            return False
        self.rebase(at, transit)
        return True


def expected(rows, late_ms_max):
    streams = {}
    for index, (arrival, ssrc, seq, timestamp, size) in enumerate(rows):
        policy, seen = streams.setdefault(ssrc, (Policy(late_ms_max), []))
        if (seq, timestamp) in seen[-128:]:
            yield [str(index), str(ssrc), str(seq), "", "duplicate"]
            continue
        seen.append((seq, timestamp))
        kept, late = policy.judge(arrival * 3 // 62_500, seq, timestamp, size <= 3)
        yield [str(index), str(ssrc), str(seq), f"{late / 48:.3f}", "keep" if kept else "late"]


def trouble(seed, streams=3, frames=2_000):
    """Stalls, reordering, duplicates, pauses, restarts and jumps of several streams, in order of arrival."""
    chance = random.Random(seed)
    rows = []
    for number in range(streams):
        ssrc = chance.randrange(1, 1 << 32)
        seq, timestamp = chance.randrange(1 << 16), chance.randrange(1 << 32)
        sent = START_NS + number * 7_000_000
        path = until = 0
        for _ in range(frames):
            if chance.random() < 0.01:
                until = sent + chance.randrange(2_000_000_000)
            if chance.random() < 0.005:
                path = chance.randrange(400_000_000)
            if chance.random() < 0.005:
                sent += chance.randrange(3_000_000_000)
            if chance.random() < 0.002:
                seq, timestamp = chance.randrange(1 << 16), chance.randrange(1 << 32)
            size = 3 if chance.random() < 0.05 else chance.randrange(40, 160)
            at = max(sent + path + chance.randrange(40_000_000), until)
            rows.append((at, ssrc, seq, timestamp, size))
            if chance.random() < 0.01:
                rows.append((at + chance.randrange(90_000_000), ssrc, seq, timestamp, size))
            seq, timestamp, sent = (seq + 1) % (1 << 16), (timestamp + 960) % (1 << 32), sent + 20_000_000
    return sorted(rows)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="earshot-replay-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def write_rows(self, name, rows):
        return self.write(name, HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows))

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def rows(self, name):
        with open(self.path(name), encoding="ascii", newline="") as file:
            return list(csv.reader(file))

    def replay(self, *arguments, code=0):
        result = run(EARSHOT, "replay", *arguments)
        self.assertEqual(result[0], code, result)
        return result[1:]


class VirtualTest(Folder):
    def test_every_verdict_is_what_the_policy_says(self):
        for seed, bound in ((1, 200), (2, 120), (3, 80), (4, 20), (5, 2000), (6, 0)):
            with self.subTest(seed=seed, bound=bound):
                rows = trouble(seed)
                self.replay("--virtual", "--late-ms-max", str(bound), "--verdicts", self.path("out.csv"),
                            self.write_rows("in.csv", rows))
                told = self.rows("out.csv")
                self.assertEqual(told[0], ["index", "ssrc", "seq", "lateness_ms", "verdict"])
                self.assertEqual(told[1:], list(expected(rows, bound)))
                if bound not in (0, 2000):
                    self.assertGreater(sum(row[4] == "late" for row in told), 20)

    def test_same_input_and_seed_are_the_same_bytes(self):
        source = self.write_rows("in.csv", trouble(7))
        outputs = []
        for seed in ("7", "7", "8"):
            self.replay("--seed", seed, "--profile", "wifi-busy", "--late-ms-max", "120", "--json",
                        self.path("out.json"), "--verdicts", self.path("out.csv"), source)
            outputs.append((self.read("out.json"), self.read("out.csv")))
        self.assertEqual(outputs[0], outputs[1])
        self.assertNotEqual(outputs[0][1], outputs[2][1])

    def test_what_is_written_as_csv_is_read_as_the_same(self):
        self.replay("--synth", "3", "--synth-seconds", "60", "--csv", self.path("a.csv"))
        output, _ = self.replay("--csv", self.path("b.csv"), self.path("a.csv"))
        self.assertEqual(self.read("a.csv"), self.read("b.csv"))
        self.assertIn("packets of 3 streams", output)

    def test_the_table_names_policies_and_listeners(self):
        output, errors = self.replay("--synth", "2", "--synth-seconds", "60", "--profile", "wifi-stalls",
                                     "--compare", "late=120,off")
        self.assertEqual(errors, "")
        for word in ("late=120", "off", "adaptive", "fixed 60 ms", "never skips", "MOS"):
            self.assertIn(word, output)
        for line in output.splitlines():
            self.assertLessEqual(len(line), 100)

    def test_a_worse_run_fails_the_comparison(self):
        common = ("--synth", "2", "--synth-seconds", "120", "--late-ms-max", "200")
        self.replay(*common, "--profile", "clean", "--json", self.path("a.json"))
        self.replay(*common, "--profile", "dsl-loss", "--json", self.path("b.json"))
        a, b = self.path("a.json"), self.path("b.json")
        output, _ = self.replay("--diff", a, b, code=1)
        self.assertIn("WORSE", output)
        self.replay("--diff", a, a)
        self.replay("--diff", b, a)
        self.replay("--diff", a, b, "--max-mos-loss", "3.5")
        for wrong in ("{}", "[", '{"earshot_replay": 1, "policies": [{}]}'):
            _, errors = self.replay("--diff", a, self.write("c.json", wrong), code=2)
            self.assertEqual(errors.count("\n"), 1, errors)

    def test_what_is_wrong_is_one_sentence(self):
        good = self.write_rows("in.csv", trouble(1, streams=1, frames=50))
        rows = (
            (1, ("/nonexistent",)),
            (1, (self.write("empty", ""),)),
            (1, (self.write("text", "hello\n"),)),
            (1, (self.write_rows("none.csv", []),)),
            (1, (self.write("bad.csv", HEADER + "1,2,70000,4,5\n"),)),
            (1, (self.write("short.csv", HEADER + "1,2,3\n"),)),
            (1, (good, "--verdicts", "/nonexistent/out.csv")),
            (1, (good, "--json", self.folder)),
            (2, ()),
            (2, (good, "--synth", "2")),
            (2, (good, "--late-ms-max", "19")),
            (2, (good, "--compare", "late=200,never")),
            (2, (good, "--compare", "off,off")),
            (2, (good, "--compare", "off,late=200", "--verdicts", self.path("v.csv"))),
            (2, (good, "--listeners", "human")),
            (2, (good, "--profile", "moon")),
            (2, (good, "--uplink", "delay=fast")),
            (2, (good, "--overhead", "x")),
            (2, (good, "--live")),
            (2, (good, "--live", "--virtual", "--endpoint", "127.0.0.1:1", "--state", STATE)),
            (2, (good, "--live", "--endpoint", "127.0.0.1:1")),
            (1, (good, "--live", "--endpoint", "127.0.0.1:1", "--state", STATE)),
        )
        for code, arguments in rows:
            with self.subTest(arguments=arguments):
                output, errors = self.replay(*arguments, code=code)
                self.assertEqual(output, "")
                self.assertEqual(errors.count("\n"), 1, errors)
                self.assertTrue(errors.startswith("earshot replay: "), errors)

    def test_time_that_runs_backwards_is_raised_and_counted(self):
        rows = [(START_NS + 20_000_000 * i, 5, i, 960 * i, 80) for i in range(100)]
        rows[50] = (START_NS, *rows[50][1:])
        output, _ = self.replay("--json", self.path("out.json"), self.write_rows("in.csv", rows))
        self.assertIn("time ran backwards", output)
        self.assertEqual(json.loads(self.read("out.json"))["input"]["clamped"], 1)


def conversation(stall_every=100):
    """Two streams for five seconds; what is sent in a stall of 400 ms comes in one burst."""
    rows = []
    for ssrc in (111, 222):
        held_until = 0
        for i in range(250):
            sent = START_NS + 20_000_000 * i + ssrc * 10_000
            if i % stall_every == 60:
                held_until = sent + 400_000_000
            rows.append((max(sent, held_until), ssrc, (65_500 + i) % 65_536, 960 * i, 80))
    return sorted(rows)


class LiveTest(Folder):
    def live(self, workers):
        node = Node(settings={"media.workers": workers})
        self.addCleanup(node.stop)
        source = self.write_rows("in.csv", conversation())
        keys = self.write("key", node.keys["all"] + "\n")
        output, _ = self.replay(
            "--live", "--endpoint", node.endpoint, "--ca", f"{STATE}/ca.pem", "--state", STATE,
            "--api", node.url, "--api-key-file", keys, "--late-ms-max", "120", "--listeners", "adaptive,fixed",
            "--verdicts", self.path("out.csv"), "--json", self.path("out.json"), source)
        told = json.loads(self.read("out.json"))
        live = told["live"]
        self.assertEqual([s["ssrc"] for s in live["streams"]], [111, 222])
        self.assertEqual(len({s["relay_ssrc"] for s in live["streams"]}), 2)
        self.assertTrue(live["has_recording"])
        self.assertEqual(live["verdicts_different"], 0)
        self.assertEqual(live["verdicts_reproduced"], 500)
        verdicts = self.rows("out.csv")[1:]
        self.assertEqual(len(verdicts), 500)
        late = sum(row[4] == "late" for row in verdicts)
        self.assertGreaterEqual(late, 20)  # two stalls each of which some 14 frames are later than 120 ms
        # What was kept has reached both listeners, and nothing else has.
        for listener in told["policies"][0]["listeners"]:
            self.assertEqual(listener["total"]["lost"], late)
        return output

    def test_one_worker(self):
        self.assertIn("came to again: 500, not: 0", self.live(1))

    def test_two_workers(self):
        self.assertIn("came to again: 500, not: 0", self.live(2))


if __name__ == "__main__":
    unittest.main(verbosity=2)
