"""uwsgi packets of the bench's own: announcements of the node (docs/protocol/subscription.md), a question to it."""

import socket
import struct
import threading

REQUEST, SUBSCRIBE = 0, 224  # modifier1; with modifier2 0 the latter subscribes
ANSWER_BYTES_MAX = 4096
EVERY_SECONDS = 3.0


def packet(modifier1, fields):
    """A uwsgi packet: header, then each pair with its lengths, little-endian."""
    pairs = b"".join(
        struct.pack("<H", len(text)) + text
        for pair in fields.items() for text in (part.encode() for part in pair))
    return struct.pack("<BHB", modifier1, len(pairs), 0) + pairs


def subscribe_packet(key, address, proto):
    return packet(SUBSCRIBE, {"key": key, "address": address, "modifier1": "0", "modifier2": "0",
                              "cores": "1", "load": "0", "weight": "1", "proto": proto})


def requests_served(node_path):
    """How many requests the node has taken so far."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(node_path)
        connection.sendall(packet(REQUEST, {"PATH_INFO": "/served"}))
        answer = b"".join(iter(lambda: connection.recv(ANSWER_BYTES_MAX), b""))
    return int(answer.rpartition(b"\r\n\r\n")[2])


class Announcer:
    """Sends its packets to each server, at once on add() and then every few seconds, from a thread of its own."""

    def __init__(self, packets):
        self._packets = packets
        self._servers = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, server_path):
        if server_path not in self._servers:
            self._servers.append(server_path)
        self._send(server_path)

    def stop(self):
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self):
        while not self._ended.wait(EVERY_SECONDS):
            for path in list(self._servers):
                self._send(path)

    def _send(self, path):
        try:
            for datagram in self._packets:
                self._socket.sendto(datagram, path)
        except OSError:
            pass  # not up yet, gone, or full: the next packet, or the readiness check, tells
