"""A participant without media: voice gateway version 8 up to Session Description, by hand."""

import base64
import json
import os
import socket
import struct

from lib.client import tls_context


class Voice:
    """In its channel when made. `join` is what the API answered to createJoin."""

    def __init__(self, join):
        host, port = join["endpoint"].rsplit(":", 1)
        self.join = join
        self.buffer = b""
        self.code = None  # of the relay's close frame; 1006 without one
        self.media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        plain = socket.create_connection((host, int(port)), timeout=20)
        self.socket = tls_context().wrap_socket(plain, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /?v=8 HTTP/1.1\r\nHost: {join['endpoint']}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head
        self.expect(8)
        self.send(0, {"server_id": join["server_id"], "user_id": join["user_id"],
                      "session_id": join["session_id"], "token": join["token"]})
        ready = self.expect(2)
        if ready is None:
            return
        self.ssrc = ready["ssrc"]
        self.media.bind(("127.0.0.1", 0))
        self.send(1, {"protocol": "udp", "data": {
            "address": "127.0.0.1", "port": self.media.getsockname()[1],
            "mode": "aead_xchacha20_poly1305_rtpsize"}})
        self.expect(4)

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the relay has closed")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _frame(self):
        first, length = self._take(2)
        if length == 126:
            length = struct.unpack(">H", self._take(2))[0]
        elif length == 127:
            length = struct.unpack(">Q", self._take(8))[0]
        return first & 15, self._take(length)

    def _send_frame(self, opcode, payload):
        assert len(payload) < 65536
        head = bytes([0x80 | opcode, 0x80 | (len(payload) if len(payload) < 126 else 126)])
        if len(payload) >= 126:
            head += struct.pack(">H", len(payload))
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def send(self, op, data):
        self._send_frame(1, json.dumps({"op": op, "d": data}).encode())

    def send_text(self, text):
        self._send_frame(1, text.encode())

    def expect(self, op):
        """The data of the next message with that opcode; None if the relay closes before."""
        try:
            while True:
                opcode, payload = self._frame()
                if opcode == 8:
                    self.code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                    self._send_frame(8, payload[:2])
                    return None
                if opcode == 1:
                    message = json.loads(payload)
                    if message["op"] == op:
                        return message["d"]
        except (OSError, ConnectionError):
            self.code = self.code or 1006
            return None

    def closed_with(self, seconds=20):
        self.socket.settimeout(seconds)
        if self.code is None:
            self.expect(-1)
        return self.code

    def heartbeat(self):
        """Due every 13.75 s, which a slow machine may need between two steps of a test."""
        self.send(3, {"t": 1, "seq_ack": -1})

    def close(self):
        self.socket.close()
        self.media.close()

    def speak(self, flags):
        self.send(5, {"speaking": flags, "delay": 0, "ssrc": self.ssrc})

    def leave(self):
        self._send_frame(8, struct.pack(">H", 1000))
        self.closed_with()
        self.close()
