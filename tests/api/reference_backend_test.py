"""tools/reference-backend between a browser or client of its own and a real node."""

import http.client
import json
import os
import re
import shutil
import signal
import stat
import tempfile
import threading
import time
import unittest
import urllib.parse

from lib.client import Client
from lib.node import STATE, Node, Process, run

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "reference-backend")
WAIT_SECONDS_MAX = 30


class Backend:
    """The program, and requests to it."""

    def __init__(self, node):
        self.state = tempfile.mkdtemp(prefix="earshot-backend-")
        shutil.copy(f"{STATE}/ca.pem", self.state)
        self.write("api-key", node.keys["all"])
        self.options = ["--state", self.state, "--api", node.url]
        self.process = Process(PROGRAM, *self.options, "--port", "0")
        ready = self.process.says(self.process.output, r"^ready http://(127\.0\.0\.1):(\d+)$", WAIT_SECONDS_MAX)
        self.host, self.port = ready[1], int(ready[2])

    def write(self, name, text):
        with open(os.path.join(self.state, name), "w", encoding="ascii") as file:
            file.write(text + "\n")

    def invite(self, *options):
        """The path of a link."""
        code, output, errors = run(PROGRAM, "--invite", "--port", str(self.port), "--state", self.state, *options)
        assert code == 0, errors
        url = urllib.parse.urlsplit(output.strip())
        assert (url.scheme, url.netloc) == ("http", f"{self.host}:{self.port}"), output
        return url.path

    def ask(self, method, path, key=None, body=None, **headers):
        """(status, headers, JSON or text)"""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=WAIT_SECONDS_MAX)
        if key:
            headers["Authorization"] = "Bearer " + key
        connection.request(method, path, body, headers)
        with connection.getresponse() as response:
            text = response.read().decode()
            is_json = response.headers["Content-Type"] == "application/json"
            return response.status, response.headers, json.loads(text) if is_json else text

    def join(self, path, key=None):
        status, _, answer = self.ask("POST", path, key)
        assert status == 201, answer
        return answer

    def present(self, key):
        status, _, answer = self.ask("GET", "/presence", key)
        assert status == 200, answer
        return {p["user_id"]: p["channel_id"] for p in answer["participants"]}

    def stop(self):
        code = self.process.end(signal.SIGTERM)
        shutil.rmtree(self.state)
        assert code == 0, self.process.text()


def until(what, is_true):
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not is_true():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.05)


class ReferenceBackendTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = Node()
        cls.api = Client(cls.node.admin, cls.node.keys["all"])
        cls.backend = Backend(cls.node)

    @classmethod
    def tearDownClass(cls):
        cls.backend.stop()
        cls.node.stop()

    def test_from_the_invitation_to_a_move(self):
        backend = self.backend
        path = backend.invite("--server", "1", "--channel", "7")
        answer = backend.join(path)
        join, key = answer["join"], answer["client_key"]
        user = join["user_id"]
        self.assertEqual((join["server_id"], join["channel_id"]), ("1", "7"))
        talk = self.node.talk(join)
        until("it is in the list", lambda: backend.present(key) == {user: "7"})

        updates = []
        waiting = threading.Thread(
            target=lambda: updates.append(backend.ask("GET", f"/updates?after={answer['after']}", key)))
        waiting.start()
        moved = self.api.send("POST", f"/v1/servers/1/channels/7/participants/{user}/move", {"channel_id": "8"})
        self.assertEqual(moved.status, 200, moved)
        waiting.join(WAIT_SECONDS_MAX)
        status, _, update = updates[0]
        self.assertEqual(status, 200, update)
        there = update["voice_server_update"]
        self.assertEqual((there["channel_id"], there["user_id"]), ("8", user))
        second = self.node.talk(there)
        until("the list has the new channel", lambda: backend.present(key) == {user: "8"})
        self.assertEqual(second.end(signal.SIGINT), 0)
        until("the list is empty", lambda: backend.present(key) == {})
        talk.end(signal.SIGINT)

        # The same guest comes back, and is not told of the old move again.
        again = backend.join(path, key)
        self.assertEqual(again["join"]["user_id"], user)
        self.assertGreaterEqual(again["after"], update["number"])
        # Everybody else is somebody else.
        self.assertNotEqual(backend.join(path)["join"]["user_id"], user)
        for secret in (join["token"], there["token"], key, path.rpartition("/")[2], self.node.keys["all"]):
            self.assertNotIn(secret, backend.process.text())

    def test_it_knows_who_was_there_before_it(self):
        client = self.api.send("POST", "/v1/joins", {"server_id": "3", "channel_id": "9", "user_id": "early"})
        talk = self.node.talk(client.json)
        late = Backend(self.node)
        try:
            key = late.join(late.invite("--server", "3"))["client_key"]
            until("it is in the list", lambda: late.present(key) == {"early": "9"})
            other = self.backend.join(self.backend.invite("--server", "4"))["client_key"]
            self.assertEqual(self.backend.present(other), {}, "who is on another server")
        finally:
            late.stop()
            talk.end(signal.SIGINT)

    def test_what_is_not_signed_is_not_known(self):
        backend = self.backend
        path = backend.invite("--server", "1", "--channel", "7")
        key = backend.join(path)["client_key"]
        content, signature = path.rpartition("/")[2].split(".")
        refused = ("/invite/x", "/invite/" + content, f"/invite/{content}.", f"/invite/{content}x.{signature}",
                   "/invite/" + key, "/invite/" + "x" * 5000, "/invite/é.é", backend.invite("--minutes", "0"))
        for path in (urllib.parse.quote(path) for path in refused):
            for method in ("GET", "POST"):
                with self.subTest(path[:40], method=method):
                    self.assertEqual(backend.ask(method, path)[0], 404)
        for page in ("/presence", "/updates"):
            for wrong in (None, "x", f"{content}.{signature}"):
                with self.subTest(page, key=wrong):
                    self.assertEqual(backend.ask("GET", page, wrong)[0], 401)
        self.assertEqual(backend.ask("GET", "/updates?after=x", key)[0], 400)
        for method, page in (("GET", "/"), ("GET", "/invite/"), ("GET", "/presence/x"), ("POST", "/presence")):
            self.assertEqual(backend.ask(method, page, key)[0], 404, page)

    def test_the_page_is_safe(self):
        path = self.backend.invite("--server", "<b>", "--channel", "\"&'")
        status, headers, page = self.backend.ask("GET", path)
        self.assertEqual(status, 200)
        self.assertIn("channel &quot;&amp;&#x27; of server &lt;b&gt;", page)
        nonce = re.search(r'<script nonce="([^"]+)">', page)[1]
        self.assertIn(f"script-src 'nonce-{nonce}'", headers["Content-Security-Policy"])
        self.assertEqual((headers["Cache-Control"], headers["Referrer-Policy"]), ("no-store", "no-referrer"))
        self.assertEqual(self.backend.ask("GET", path, Host="evil.example")[0], 421)

    def test_files_and_errors(self):
        mode = stat.S_IMODE(os.stat(os.path.join(self.backend.state, "reference-backend.key")).st_mode)
        self.assertEqual(mode, 0o600)
        for options, expected in (
                (["--api", "https://127.0.0.1:1"], "cannot reach 127.0.0.1:1: "),
                (["--state", "/nowhere"], "there is no /nowhere"),
                (["--port", str(self.backend.port)], "Address already in use")):
            with self.subTest(options):
                code, output, errors = run(PROGRAM, *self.backend.options, *options)
                self.assertEqual((code, output, errors.count("\n")), (1, "", 1), errors)
                self.assertIn(expected, errors)


if __name__ == "__main__":
    unittest.main()
