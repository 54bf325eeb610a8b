"""Plain HTTPS to a node: nothing is repaired, retried or followed."""

import http.client
import json
import os
import socket
import ssl

STATE = os.environ["EARSHOT_STATE"]


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # by lower-case name
        self.body = body

    @property
    def type(self):
        return self.headers.get("content-type", "").split(";")[0].strip()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The last word of a problem's type."""
        if self.type != "application/problem+json":
            return None
        return self.json["type"].rsplit(":", 1)[-1]

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


def tls_context():
    return ssl.create_default_context(cafile=f"{STATE}/ca.pem")


class Client:
    """One connection at a time to `address`, from `source` if it matters; kept open while it can."""

    def __init__(self, address, key=None, source=None):
        self.address, self.key, self.source = address, key, source
        self.context = tls_context()
        self.connection = None

    def open(self):
        connection = http.client.HTTPSConnection(
            *self.address, timeout=20, context=self.context,
            source_address=(self.source, 0) if self.source else None)
        connection.connect()
        # A request in two segments must not wait for an acknowledgement.
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def send(self, method, path, body=None, headers=None, key=None):
        """`body`: bytes as they are, or a value that becomes JSON. `key`: "" for none."""
        key = self.key if key is None else key
        headers = dict(headers or {})
        if key:
            headers.setdefault("Authorization", f"Bearer {key}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        for is_last in (False, True):
            is_fresh = self.connection is None
            if is_fresh:
                self.connection = self.open()
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                data = response.read()
                break
            except (http.client.HTTPException, OSError) as error:
                # A connection that was kept may have been closed meanwhile.
                self.close()
                if is_fresh or is_last or isinstance(error, TimeoutError):
                    raise
        names = {name.lower(): value for name, value in response.getheaders()}
        if response.will_close:
            self.close()
        return Answer(response.status, names, data)

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def burst(self, method, paths, body=b""):
        """One request for each path, many at a time on a connection of its own: their bodies."""
        head = (f"Host: node\r\nAuthorization: Bearer {self.key}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        answers = []
        with socket.create_connection(self.address, timeout=20) as plain:
            with self.context.wrap_socket(plain, server_hostname=self.address[0]) as connection:
                reader = connection.makefile("rb")
                for first in range(0, len(paths), 100):
                    some = paths[first:first + 100]
                    connection.sendall(b"".join(
                        f"{method} {path} HTTP/1.1\r\n".encode() + head for path in some))
                    answers += [self._body(reader) for _ in some]
        return answers

    @staticmethod
    def _body(reader):
        size = 0
        while (line := reader.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        return reader.read(size)
