"""The client's side of a WebSocket (RFC 6455), as much as the tests need of it."""
import base64
import hashlib
import os
import struct

import clients

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE = 1, 2, 8


class WebSocket:
    """Takes a connection of clients.Client through the handshake; then frames."""

    def __init__(self, client, host="app.test", path="/ws"):
        self.client = client
        key = base64.b64encode(os.urandom(16)).decode()
        client.send(clients.request_bytes("GET", path, host=host, headers=[
            ("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key),
            ("Origin", "http://app.test")]))
        self.version, self.status, self.reason, self.headers = client._read_head()
        accept = base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()
        self.accepted = dict(self.headers).get("sec-websocket-accept") == accept

    def send(self, payload, opcode=TEXT):
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        mask = os.urandom(4)
        keys = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(
            size, "big")
        self.client.send(head + mask + masked)

    def receive(self):
        """The next frame: (opcode, payload)."""
        first, size = self.client._exactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", self.client._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self.client._exactly(8))
        return first & 0x0f, self.client._exactly(size)
