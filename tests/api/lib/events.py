"""A reader of /v1/events, in a thread of its own."""

import json
import threading
import time

from lib.client import Client


class Event:
    def __init__(self, identity, name, data):
        self.id, self.name, self.data = identity, name, data

    def __repr__(self):
        return f"{self.id} {self.name} {self.data}"


class Stream:
    """What the node says from now on. Ends with close(), or when the node ends it."""

    def __init__(self, node, key, query="", last_event_id=None):
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        self.client = Client(node.admin, node.keys.get(key, key))
        self.connection = self.client.open()
        self.connection.request("GET", "/v1/events" + query, headers={
            "Authorization": f"Bearer {self.client.key}", **headers})
        # http.client lets go of it once a response has no end but the connection's.
        self.socket = self.connection.sock
        self.socket.settimeout(60)
        self.response = self.connection.getresponse()
        self.events, self.comments = [], []
        self.position = None
        self.is_over = False
        self.changed = threading.Condition()
        assert self.response.status == 200, self.response.read()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        fields = {}
        try:
            for line in self.response:
                text = line.decode().rstrip("\n")
                if text.startswith(":"):
                    self.comments.append(text)
                elif text:
                    name, _, value = text.partition(": ")
                    fields.setdefault(name, []).append(value)
                elif "data" not in fields:
                    # An id alone says where to come back to.
                    self.position = fields.pop("id", [self.position])[-1]
                else:
                    data = json.loads("\n".join(fields["data"]))
                    event = Event(fields.get("id", [None])[-1], fields.get("event", [None])[-1], data)
                    fields = {}
                    with self.changed:
                        self.events.append(event)
                        self.changed.notify_all()
        except (OSError, ValueError):
            pass
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def expect(self, name, seconds=15, **members):
        """The first event of that name whose data has these members."""
        def found():
            for event in self.events:
                if event.name == name and all(event.data.get(k) == v for k, v in members.items()):
                    return event
            return None
        with self.changed:
            until = time.monotonic() + seconds
            while not (event := found()):
                left = until - time.monotonic()
                if left <= 0 or self.is_over:
                    raise AssertionError(f"no event {name} {members} in {self.events}")
                self.changed.wait(left)
            return event

    def ends(self, seconds=15):
        self.thread.join(seconds)
        return self.is_over

    def names(self):
        with self.changed:
            return [event.name for event in self.events]

    def close(self):
        # The thread may be in the midst of a read.
        try:
            self.socket.shutdown(2)
        except OSError:
            pass
        self.thread.join(5)
        self.connection.close()
