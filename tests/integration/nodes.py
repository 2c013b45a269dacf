"""Nodes that are no uWSGI: they do exactly what a test says, and remember what they saw."""
import contextlib
import socket
import struct
import threading

import packets


class Seen:
    """One request as it arrived: `pairs` in order, `variables` as a dict, the socket."""

    def __init__(self, connection, header, pairs):
        self.connection = connection
        self.modifier1, self.modifier2 = header[0], header[2]
        self.pairs = pairs
        self.variables = dict(pairs)
        self.body = b""

    def read_body(self):
        left = int(self.variables.get("CONTENT_LENGTH") or 0)
        self.body = receive_exactly(self.connection, left)
        return self.body

    def send(self, data):
        self.connection.sendall(data)

    def answer(self, body=b"", status="200 OK", headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def reset(connection):
    """Ends a TCP connection with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive_exactly(connection, size):
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(min(65536, size - len(data)))
        if not piece:
            raise EOFError(f"{len(data)} of {size} bytes")
        data += piece
    return bytes(data)


def receive_request(connection):
    header = struct.unpack("<BHB", receive_exactly(connection, 4))
    return Seen(connection, header, packets.decode_pairs(receive_exactly(connection, header[1])))


class Node:
    """Listens on a Unix socket (or TCP) and hands each request to `behave(seen)`.

    `on_accept(connection)`, if given, is called instead, before anything is read; the
    connection is closed afterwards either way. By default a node answers its name.
    """

    def __init__(self, scene, name, behave=None, *, tcp=False, on_accept=None, backlog=128):
        self.name = name
        self.requests = []
        self.accepted = 0
        self._behave = behave or self._say_name
        self._on_accept = on_accept
        self._listener = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self._listener.bind(("127.0.0.1", 0) if tcp else str(scene.directory / f"{name}.sock"))
        self._listener.listen(backlog)
        bound = self._listener.getsockname()
        self.address = f"{bound[0]}:{bound[1]}" if tcp else bound
        if not tcp:
            (scene.directory / f"{name}.sock").chmod(0o666)
        scene.on_close(self.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Stops listening; from now on connections are refused."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def subscribe(self, router, key, **fields):
        packets.send(packets.subscription(key, self.address, **fields), router.subscribe)

    def unsubscribe(self, router, key, **fields):
        packets.send(packets.subscription(key, self.address, unsubscribe=True, **fields),
                     router.subscribe)

    def _say_name(self, seen):
        seen.read_body()
        seen.answer(self.name.encode())

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError, EOFError):
            if self._on_accept:
                self._on_accept(connection)
                return
            seen = receive_request(connection)
            self.requests.append(seen)
            self._behave(seen)


class HttpSeen:
    """One HTTP request as it arrived: `line`, `headers` in order, the socket's reader."""

    def __init__(self, connection, reader, line):
        self.connection, self.reader = connection, reader
        self.line = line
        self.method, self.target, self.version = line.split(" ")
        self.headers = []
        while head := reader.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = head.partition(": ")
            self.headers.append((name, value))
        self.body = b""

    def header(self, name):
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def read_body(self):
        if self.header("Transfer-Encoding") == "chunked":
            while size := int(self.reader.readline(), 16):
                self.body += self.reader.read(size)
                self.reader.readline()
            self.reader.readline()
        elif length := self.header("Content-Length"):
            self.body = self.reader.read(int(length))
        return self.body

    send = Seen.send
    answer = Seen.answer


class HttpNode(Node):
    """The same for HTTP/1.1: `behave(seen)` for each request, and connections are kept.

    `behave` closes `seen.connection` where the connection should end.
    """

    def subscribe(self, router, key, **fields):
        super().subscribe(router, key, **{"proto": "http", **fields})

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError, EOFError, ValueError):
            if self._on_accept:
                self._on_accept(connection)
                return
            reader = connection.makefile("rb")
            while line := reader.readline().decode("latin-1").rstrip("\r\n"):
                seen = HttpSeen(connection, reader, line)
                self.requests.append(seen)
                self._behave(seen)


class Announcer:
    """Repeats an announcement of a node until it is told to be silent."""

    def __init__(self, scene, router, node, key, every=0.5, **fields):
        self._silent = threading.Event()
        self._work = (router, node, key, every, fields)
        self.thread = threading.Thread(target=self._run, daemon=True)
        scene.on_close(self.silence)
        self.thread.start()

    def silence(self):
        self._silent.set()
        self.thread.join()

    def _run(self):
        router, node, key, every, fields = self._work
        while not self._silent.is_set():
            with contextlib.suppress(OSError):
                node.subscribe(router, key, **fields)
            self._silent.wait(every)
