"""A relay node of the test's own, on loopback and on any free ports, with keys of every kind."""

import atexit
import hashlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time

EARSHOT = os.environ["EARSHOT"]
RELAY = os.environ["EARSHOT_RELAY"]
STATE = os.environ["EARSHOT_STATE"]
READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 15

running = set()


@atexit.register
def kill_what_is_left():
    for process in list(running):
        process.kill()


class Process:
    """A program under test, and what it says."""

    def __init__(self, *command, stdin=subprocess.DEVNULL, environment=None):
        self.name = os.path.basename(command[0])
        self.process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", env={**os.environ, **(environment or {})})
        running.add(self.process)
        self.output, self.errors = [], []
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in (
            (self.process.stdout, self.output), (self.process.stderr, self.errors))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(pipe, lines):
        for line in pipe:
            lines.append(line)

    def says(self, lines, pattern, seconds):
        """The first match in the lines that it prints."""
        until = time.monotonic() + seconds
        while True:
            for line in list(lines):
                found = re.search(pattern, line)
                if found:
                    return found
            if self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"{self.name} did not say {pattern}:\n{self.text()}")
            time.sleep(0.01)

    def text(self):
        return "".join(self.output) + "".join(self.errors)

    def end(self, number=None, seconds=STOP_SECONDS_MAX):
        """Its exit code, after a signal if there is one to send."""
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.name} did not end:\n{self.text()}") from None
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        running.discard(self.process)
        return code


def run(*command, **options):
    """Runs a program to its end: (exit code, standard output, standard error)."""
    process = Process(*command, **options)
    code = process.end(seconds=30)
    return code, "".join(process.output), "".join(process.errors)


class Node:
    """EARSHOT_RELAY, started; its keys are those of `keys`, by name."""

    # name: scopes, server
    KEYS = {"all": (["read", "admin"], None), "look": (["read"], None),
            "one": (["admin"], "1"), "look-one": (["read"], "1")}

    def __init__(self, settings=(), ports=None):
        self.folder = tempfile.mkdtemp(prefix="earshot-api-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.keys_file = os.path.join(self.folder, "keys.toml")
        self.keys = {}
        with open(self.keys_file, "w", encoding="ascii") as file:
            for name, (scopes, server) in self.KEYS.items():
                self.keys[name] = secrets.token_urlsafe(32)
                file.write(self.entry(name, scopes, server, self.keys[name]))
        self.settings = {
            "gateway.listen": "127.0.0.1:0", "admin.listen": "127.0.0.1:0",
            "media.listen": "127.0.0.1:0", "media.workers": "2", "media.pin_workers": "false",
            "media.sessions_per_worker_max": "64", "admin.keys_file": self.keys_file,
            **dict(settings)}
        self.start()

    @staticmethod
    def entry(name, scopes, server, key):
        quoted = ", ".join(f'"{scope}"' for scope in scopes)
        bound = f'server = "{server}"\n' if server else ""
        digest = hashlib.sha256(key.encode()).hexdigest()
        return f'[[keys]]\nname = "{name}"\nscopes = [{quoted}]\n{bound}sha256 = "{digest}"\n\n'

    def start(self):
        sets = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        self.process = Process(RELAY, "--config", f"{STATE}/relay.toml", *sets)
        ready = self.process.says(self.process.output,
                                  r"^ready gateway=(\S+) udp=(\S+) api=https://(\S+)",
                                  READY_SECONDS_MAX)
        self.gateway, self.media, self.admin = (self.address(text) for text in ready.groups())

    @staticmethod
    def address(text):
        host, port = text.rsplit(":", 1)
        return host, int(port)

    @property
    def url(self):
        return f"https://{self.admin[0]}:{self.admin[1]}"

    @property
    def endpoint(self):
        return f"{self.gateway[0]}:{self.gateway[1]}"

    def reload(self, event="reloaded"):
        """Returns when the node says that it has reread its files, or with `event` that it could not."""
        def count():
            return sum(f"event={event}" in line for line in list(self.process.errors))
        before, until = count(), time.monotonic() + 15
        self.process.process.send_signal(signal.SIGHUP)
        while count() == before:
            assert time.monotonic() < until, self.process.text()
            time.sleep(0.01)

    def stop(self):
        """Sanitizers report through the exit code."""
        code = self.process.end(signal.SIGTERM)
        text = self.process.text()
        assert code == 0 and "runtime error" not in text, f"the node ended with {code}:\n{text}"

    def restart(self):
        """The same addresses, a new run."""
        self.stop()
        self.settings["admin.listen"] = f"{self.admin[0]}:{self.admin[1]}"
        self.settings["gateway.listen"] = self.endpoint
        self.start()

    def talk(self, join, *options):
        """`earshot talk` as a participant, once it has joined."""
        talk = Process(EARSHOT, "talk", "--endpoint", join["endpoint"], "--ca", f"{STATE}/ca.pem",
                       "--token", join["token"], "--play", "tone:440", "--seconds", "100", *options)
        talk.says(talk.errors, "joined channel", READY_SECONDS_MAX)
        return talk
