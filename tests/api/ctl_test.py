"""`earshot ctl` against a real node: what it prints, and how it ends."""

import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time
import unittest

from lib.client import Client
from lib.node import EARSHOT, STATE, Node, Process, run
from lib.voice import Voice

node = None


def setUpModule():
    global node
    node = Node()
    for name, key in node.keys.items():
        with open(f"{node.folder}/{name}.key", "w", encoding="ascii") as file:
            file.write(key + "\n")


def tearDownModule():
    node.stop()


def command(*arguments, key="all", api=None):
    return (EARSHOT, "ctl", "--state", STATE, "--api", api or node.url,
            "--api-key-file", f"{node.folder}/{key}.key", *arguments)


class CtlTest(unittest.TestCase):
    def ctl(self, *arguments, code=0, **options):
        """(standard output, standard error)"""
        result = run(*command(*arguments, **options))
        self.assertEqual(result[0], code, result)
        for line in result[1].splitlines():
            # Tokens are as long as they are.
            is_free = "--json" in arguments or line.startswith("token")
            self.assertTrue(is_free or len(line) <= 100, line)
            self.assertEqual(line, line.rstrip())
        return result[1:]

    def sentence(self, *arguments, code=1, **options):
        """What it says when it fails: one line, and nothing on standard output."""
        output, errors = self.ctl(*arguments, code=code, **options)
        self.assertEqual(output, "")
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertTrue(errors.startswith("earshot ctl: "), errors)
        return errors

    def participant(self, user, channel="7", server="1"):
        output, _ = self.ctl("join", server, channel, user, "--json")
        voice = Voice(json.loads(output))
        self.addCleanup(voice.close)
        self.assertIsNone(voice.code)
        return voice


class CommandsTest(CtlTest):
    def test_every_command_and_its_json(self):
        voices = [self.participant(user) for user in ("ada", "ben", "a/b%")]
        # command: what a person reads
        rows = [
            (("status",), r"^node 0 of cluster earshot, version \S+\nready, up .*\n\d+ of 12\d sessions"),
            (("channels",), r"^server +channel +participants"),
            (("channels", "--server", "1"), r"\n1 +7 +3 +default"),
            (("channels", "--server", "nobody"), r"^no channels\n$"),
            (("participants", "1", "7"), r"^user +state .*\na/b% +live .*\nada +live .*\nben +live"),
            (("mute", "1", "7", "ada"), r"^ada in 1/7: muted, not deafened\n$"),
            (("deafen", "1", "7", "ada"), r"^ada in 1/7: muted, deafened\n$"),
            (("unmute", "1", "7", "ada"), r"^ada in 1/7: not muted, deafened\n$"),
            (("undeafen", "1", "7", "ada"), r"^ada in 1/7: not muted, not deafened\n$"),
            (("mute", "1", "7", "nobody"), r"nobody of that name is there now"),
            (("mute", "1", "7", "a/b%"), r"^a/b% in 1/7: muted"),
            (("set", "1", "7", "late_ms_max=120", "speakers_max=default"),
             r"^1/7: late_ms_max 120, participants_max default, speakers_max default\n$"),
            (("set", "1", "..", "speakers_max=3"), r"^1/..: .*speakers_max 3"),
            (("close", "1", "..", "--yes"), r"^closed channel .. of server 1\n$"),
            (("join", "1", "7", "carl"), r"^endpoint +127.0.0.1:\d+\n(.*\n)*session +\S+\ntoken +\S+\n$"),
            (("join", "1", "7", "carl", "--session", "s-9", "--ttl-seconds", "60"), r"\nsession +s-9\n"),
            (("move", "1", "7", "ben", "8", "--yes"), r"\nchannel +8\n"),
            (("disconnect", "1", "7", "ada", "--yes"), r"^disconnected ada in channel 7 of server 1\n$"),
            (("close", "1", "7", "--yes"), r"^closed channel 7 of server 1\n$"),
        ]
        as_json = {"status", "channels", "participants", "mute", "set", "join"}
        for arguments, pattern in rows:
            for voice in voices:
                if arguments[-1] != "--yes":
                    voice.heartbeat()
            with self.subTest(" ".join(arguments)):
                output, errors = self.ctl(*arguments)
                self.assertRegex(output, pattern)
                self.assertEqual(errors, "")
                if arguments[0] in as_json:
                    as_json.remove(arguments[0])
                    value = json.loads(self.ctl(*arguments, "--json")[0])
                    self.assertIsInstance(value, dict)
        self.assertEqual(voices[0].closed_with(), 4014)
        self.assertEqual(voices[2].closed_with(), 4022)
        self.ctl("set", "1", "z", "speakers_max=1")
        self.assertEqual(json.loads(self.ctl("close", "1", "z", "--yes", "--json")[0]), {})

    def test_json_is_what_the_api_says(self):
        client = Client(node.admin, node.keys["all"])
        self.ctl("set", "1", "same", "speakers_max=5")
        output, _ = self.ctl("channels", "--server", "1", "--json")
        self.assertEqual(json.loads(output), client.get("/v1/servers/1/channels").json)
        told, said = json.loads(self.ctl("status", "--json")[0]), client.get("/v1/node").json
        self.assertEqual(set(told), set(said))
        # Options may stand before the command, too.
        self.assertEqual(self.ctl("--json", "channels", "--server", "1")[0], output)
        self.ctl("close", "1", "same", "--yes")
        client.close()

    def test_a_recording_is_fetched_and_ours_alone(self):
        path = f"{node.folder}/node.rec"
        output, errors = self.ctl("record", "--out", path)
        self.assertEqual(errors, "")
        self.assertRegex(output, r"node\.rec: [\d,]+ bytes; earshot replay reads it\n$")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        told = json.loads(self.ctl("record", "--out", path, "--json")[0])
        self.assertEqual((told["file"], told["bytes"]), (path, os.stat(path).st_size))
        self.assertRegex(self.ctl("recordings")[0], r"Z-asked\.rec +asked +[\d,]+\n")
        self.assertIn("cannot write", self.sentence("record", "--out", "/nonexistent/node.rec"))
        for key in ("look", "one"):
            self.sentence("record", "--out", path, key=key)

    def test_lists_have_all_their_pages(self):
        # More than the API gives in one page.
        client = Client(node.admin, node.keys["all"])
        paths = [f"/v1/servers/pages/channels/{number}" for number in range(1_050)]
        client.burst("PATCH", paths, b'{"speakers_max":9}')
        output, _ = self.ctl("channels", "--server", "pages")
        self.assertEqual([line.split()[1] for line in output.splitlines()[1:]],
                         [str(number) for number in range(len(paths))])
        told = json.loads(self.ctl("channels", "--server", "pages", "--json")[0])
        self.assertEqual((len(told["channels"]), told["next"]), (len(paths), None))
        client.burst("DELETE", paths)
        client.close()


class ErrorsTest(CtlTest):
    def test_what_the_api_refuses(self):
        self.assertIn("nobody", self.sentence("participants", "1", "nowhere"))
        self.assertIn("ada", self.sentence("disconnect", "1", "7", "ada", "--yes"))
        self.assertIn("late_ms_max", self.sentence("set", "1", "7", "late_ms_max=5"))
        self.assertIn("admin", self.sentence("mute", "1", "7", "ada", key="look"))
        self.assertIn("server", self.sentence("channels", "--server", "2", key="look-one"))
        self.assertIn("server", self.sentence("events", "--server", "2", key="look-one"))
        # As JSON the problem itself stands on standard output.
        output, errors = self.ctl("participants", "1", "nowhere", "--json", code=1)
        self.assertEqual(json.loads(output)["status"], 404)
        self.assertEqual(errors.count("\n"), 1)

    def test_keys(self):
        def with_key(text):
            with open(f"{node.folder}/other.key", "w", encoding="utf-8") as file:
                file.write(text)
            return self.sentence("status", key="other")
        wrong = "A" * 43
        errors = with_key(wrong + "\n")
        self.assertIn("other.key", errors)
        self.assertNotIn(wrong, errors)
        for text in ("", "A" * 42 + "\x01\n"):
            self.assertIn("43 characters" if text else "cannot read", with_key(text))
        self.assertIn("--api-key-file", self.sentence("status", key="missing"))

    def test_connections(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            free = f"https://127.0.0.1:{silent.getsockname()[1]}"
            self.assertIn(f"cannot connect to {free}", self.sentence("status", api=free))
            self.assertIn("cannot connect", self.sentence("events", api=free))
        code, output, errors = run(*command("status", "--ca", f"{STATE}/token.key"))
        self.assertEqual((code, output), (1, ""))
        self.assertIn("cannot read the authority", errors)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{node.folder}/ca.key",
                        "-out", f"{node.folder}/ca.pem", "-subj", "/CN=other", "-days", "2"],
                       check=True, capture_output=True)
        errors = self.sentence("status", "--ca", f"{node.folder}/ca.pem")
        self.assertIn("is not to be trusted", errors)
        self.assertIn("--ca", errors)
        # A name that the certificate does not have.
        other = f"https://127.0.0.2:{node.admin[1]}"
        with socket.create_server(("127.0.0.2", 0)) as forward:
            other = f"https://127.0.0.2:{forward.getsockname()[1]}"
            threading.Thread(target=pipe_one, args=(forward, node.admin), daemon=True).start()
            self.assertIn("is not to be trusted", self.sentence("status", api=other))
        with socket.create_server(("127.0.0.1", 0)) as plain:
            def answer():
                peer, _ = plain.accept()
                peer.recv(1000)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.close()
            threading.Thread(target=answer, daemon=True).start()
            url = f"https://127.0.0.1:{plain.getsockname()[1]}"
            self.assertIn("does not speak TLS", self.sentence("status", api=url))
        # Whatever the environment says, nobody stands between.
        code, _, errors = run(*command("status"), environment={"https_proxy": "http://127.0.0.1:1"})
        self.assertEqual(code, 0, errors)
        # The public port speaks TLS with the same certificate, and is not the API.
        url = f"https://{node.endpoint}"
        self.assertTrue(self.sentence("status", api=url))

    def test_usage(self):
        # Each costs the start of a program, which sanitizers make slow.
        for arguments in ((), ("dance",), ("mute", "1", "7"), ("mute", "1", "7", "a b"),
                          ("set", "1", "7", "x=y"), ("set", "1", "7", "x=1", "x=2"),
                          ("events", "--since", "a b")):
            with self.subTest(str(arguments)):
                output, errors = self.ctl(*arguments, code=2)
                self.assertEqual(output, "")
                self.assertTrue(errors)
        for url in ("http://127.0.0.1:1",):
            with self.subTest(url):
                self.assertTrue(self.ctl("status", api=url, code=2)[1])
        for help_of in ((),):
            self.assertEqual(run(EARSHOT, "ctl", *help_of, "--help")[0], 0)

    def test_what_cannot_be_taken_back_asks(self):
        voice = self.participant("asked", "ask")
        for arguments in (("disconnect", "1", "ask", "asked"), ("close", "1", "ask"),
                          ("move", "1", "ask", "asked", "8")):
            self.assertIn("--yes", self.sentence(*arguments, code=2))
        code, text = self.on_a_terminal("n\n", "disconnect", "1", "ask", "asked")
        self.assertEqual(code, 1, text)
        self.assertIn("Disconnect asked in channel ask of server 1? [y/N]", text)
        self.assertIn("nothing was done", text)
        code, text = self.on_a_terminal("y\n", "disconnect", "1", "ask", "asked")
        self.assertEqual(code, 0, text)
        self.assertEqual(voice.closed_with(), 4014)

    def on_a_terminal(self, answer, *arguments):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(EARSHOT, command(*arguments))
        os.write(terminal, answer.encode())
        text = b""
        try:
            while data := os.read(terminal, 4096):
                text += data
        except OSError:
            pass  # Linux's end of a terminal
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), text.decode()

    def test_the_default_is_the_state_folder(self):
        folder = f"{node.folder}/state"
        os.makedirs(folder)
        for name in ("ca.pem", "api-key"):
            source = f"{STATE}/ca.pem" if name == "ca.pem" else f"{node.folder}/all.key"
            os.symlink(source, f"{folder}/{name}")
        with open(f"{folder}/relay.toml", "w", encoding="ascii") as file:
            file.write(f'[admin]\nlisten = ["127.0.0.1:{node.admin[1]}"]\n')
        code, output, errors = run(EARSHOT, "ctl", "status", "--state", folder)
        self.assertEqual((code, errors), (0, ""))
        self.assertIn("node 0", output)
        with open(f"{folder}/relay.toml", "w", encoding="ascii") as file:
            file.write('[admin]\nlisten = "127.0.0.1:0"\n')
        code, output, errors = run(EARSHOT, "ctl", "status", "--state", folder)
        self.assertEqual((code, output), (1, ""))
        self.assertIn("--api", errors)

    def test_nobody_reads(self):
        for arguments in (("status",), ("events",)):
            read, write = os.pipe()
            os.close(read)
            process = subprocess.Popen(command(*arguments), stdout=write, stderr=subprocess.PIPE)
            os.close(write)
            client = Client(node.admin, node.keys["all"])
            until = time.monotonic() + 10
            while process.poll() is None and time.monotonic() < until:
                client.send("PATCH", "/v1/servers/1/channels/x", {"speakers_max": 2})
                time.sleep(0.1)
            client.send("DELETE", "/v1/servers/1/channels/x")
            client.close()
            self.assertEqual(process.wait(5), 1)
            self.assertIn(b"standard output", process.stderr.read())
            process.stderr.close()


def pipe_one(listener, address):
    """Passes one connection on, until either side ends."""
    peer, _ = listener.accept()
    onward = socket.create_connection(address)
    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        target.close()
    threading.Thread(target=copy, args=(onward, peer), daemon=True).start()
    copy(peer, onward)


class EventsTest(CtlTest):
    def setUp(self):
        self.node = Node()
        with open(f"{self.node.folder}/all.key", "w", encoding="ascii") as file:
            file.write(self.node.keys["all"])
        self.client = Client(self.node.admin, self.node.keys["all"])

    def tearDown(self):
        self.client.close()
        self.node.stop()

    def follow(self, *arguments):
        return Process(EARSHOT, "ctl", "--state", STATE, "--api", self.node.url, "--api-key-file",
                       f"{self.node.folder}/all.key", "events", *arguments)

    def change(self, name):
        answer = self.client.send("PATCH", f"/v1/servers/1/channels/{name}", {"speakers_max": 2})
        self.assertEqual(answer.status, 200)

    def test_events_are_followed_across_a_restart(self):
        people, machines = self.follow("--server", "1"), self.follow("--json")
        until = time.monotonic() + 15
        for follower in (people, machines):
            while not follower.output and time.monotonic() < until:
                self.change("first")
                time.sleep(0.05)
        people.says(people.output, r"^\d\d:\d\d:\d\d\.\d{3}  channel_updated +1/first  .*speakers_max 2", 5)
        event = json.loads(machines.output[0])
        self.assertEqual((event["event"], event["data"]["channel_id"]), ("channel_updated", "first"))

        self.client.close()
        self.node.restart()
        people.says(people.errors, "coming back", 5)
        people.says(people.output, " gap ", 15)
        machines.says(machines.output, '"event":"gap"', 15)
        self.change("second")
        people.says(people.output, "1/second", 5)
        machines.says(machines.output, '"second"', 5)
        names = [json.loads(line)["event"] for line in machines.output]
        self.assertEqual(names.count("gap"), 1)

        since = [json.loads(line) for line in machines.output][-1]["id"]
        self.change("third")
        machines.says(machines.output, '"third"', 5)
        late = self.follow("--json", "--since", since)
        late.says(late.output, '"third"', 10)
        self.assertEqual(len(late.output), 1)

        self.assertEqual(people.end(signal.SIGINT, 3), 130)
        self.assertEqual(machines.end(signal.SIGTERM, 3), 130)
        self.assertEqual(late.end(signal.SIGINT, 3), 130)

    def test_an_interrupt_ends_the_wait_for_a_node(self):
        follower = self.follow("--json")
        until = time.monotonic() + 15
        while not follower.output and time.monotonic() < until:
            self.change("x")
            time.sleep(0.05)
        self.client.close()
        self.node.stop()
        follower.says(follower.errors, "coming back", 5)
        begin = time.monotonic()
        self.assertEqual(follower.end(signal.SIGINT, 3), 130)
        self.assertLess(time.monotonic() - begin, 1.5)
        self.node.start()


if __name__ == "__main__":
    unittest.main(verbosity=1)
