"""HTTP as the tests need to see it: whole answers, cut answers, raw bytes.

http.client hides what matters here (whether an answer was complete, what came after it,
whether the connection stayed), so this client reads HTTP/1 itself, strictly.
"""
import collections
import dataclasses
import http.client
import os
import socket
import threading
import time

SLOW = float(os.environ.get("FEALTY_SLOW") or 1)


class Incomplete(Exception):
    """The connection ended before the answer did; `got` holds what there was of it."""

    def __init__(self, why, got=b""):
        super().__init__(why)
        self.got = got


class NotHttp(Incomplete):
    """What came is no HTTP."""


@dataclasses.dataclass
class Answer:
    version: str
    status: int
    reason: str
    headers: list  # of (lower-case name, value), in order
    body: bytes
    interim: list  # the 1xx statuses that came before

    def header(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def all(self, name):
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Client:
    """One connection. Reads go through a buffer, so pipelined answers do not mix."""

    def __init__(self, address, *, seconds=10.0, receive_buffer=None, source=None):
        family = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(seconds * SLOW)
        self.buffer = b""
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address if isinstance(address, tuple) else str(address))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    @property
    def local_port(self):
        return self.socket.getsockname()[1]

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, path, *, host, headers=(), body=b"", version="1.1"):
        """Sends a request and reads its answer."""
        self.send(request_bytes(method, path, host=host, headers=headers, body=body,
                                version=version))
        return self.read_answer(method)

    def read_answer(self, method="GET"):
        """The next final answer, complete, or Incomplete."""
        interim = []
        while True:
            version, status, reason, headers = self._read_head()
            if status >= 200:
                break
            interim.append(status)
        answer = Answer(version, status, reason, headers, b"", interim)
        answer.body = self._read_body(answer, method)
        return answer

    def read_to_end(self):
        """Everything until the peer closes."""
        while self._fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed_by_peer(self, seconds=5.0):
        """Whether the peer ends the connection, with nothing more to say, in time."""
        self.socket.settimeout(seconds * SLOW)
        try:
            return self.buffer == b"" and not self._fill()
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def _fill(self):
        data = self.socket.recv(262144)
        self.buffer += data
        return bool(data)

    def _line(self):
        while b"\n" not in self.buffer:
            if not self._fill():
                raise Incomplete("ended within a line", self.buffer)
        line, _, self.buffer = self.buffer.partition(b"\n")
        if not line.endswith(b"\r"):
            raise NotHttp(f"a line without CR: {line!r}")
        return line[:-1].decode("latin-1")

    def _exactly(self, size):
        parts, left = [], size
        while left > 0:
            if not self.buffer and not self._fill():
                raise Incomplete(f"{left} of {size} bytes missing", b"".join(parts))
            part, self.buffer = self.buffer[:left], self.buffer[left:]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _read_head(self):
        version, _, rest = self._line().partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or len(code) != 3:
            raise Incomplete(f"not a status line: {version} {rest}")
        headers = []
        while line := self._line():
            name, _, value = line.partition(":")
            headers.append((name.lower(), value.strip()))
        return version, int(code), reason, headers

    def _read_body(self, answer, method):
        if method == "HEAD" or answer.status in (204, 304):
            return b""
        if "chunked" in (answer.header("transfer-encoding") or "").lower():
            return self._read_chunks()
        length = answer.header("content-length")
        if length is not None:
            return self._exactly(int(length))
        return self.read_to_end()

    def _read_chunks(self):
        parts = []
        while True:
            try:
                size = int(self._line().partition(";")[0], 16)
                parts.append(self._exactly(size))
                if self._line() != "":
                    raise Incomplete("a trailer, or a chunk without its end")
            except Incomplete as end:
                raise Incomplete(f"within chunks: {end}", b"".join(parts) + end.got) from None
            if size == 0:
                return b"".join(parts)


def request_bytes(method, path, *, host, headers=(), body=b"", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    names = {name.lower() for name, _ in headers}
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(body, size=16384):
    """A body in chunked framing, as bytes objects to be sent one by one."""
    for at in range(0, len(body), size):
        piece = body[at:at + size]
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


class Load:
    """Threads that send requests (GET) until told to stop, or until a number is reached.

    Each request carries an X-Tag of its own. `results` holds (tag, status or None,
    text or the error), in no particular order.
    """

    def __init__(self, port, *, host, connections, path="/", requests=None, keep_alive=True,
                 seconds=10.0, method="GET"):
        self.port, self.host, self.path, self.method = port, host, path, method
        self.keep_alive, self.timeout = keep_alive, seconds * SLOW
        self.results = []
        self._left = requests
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True)
                        for number in range(connections)]
        for thread in self.threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        return self.join()

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.results

    def wait_for_more(self, count, seconds=30.0):
        """Until `count` more requests have been answered than by now."""
        goal, deadline = len(self.results) + count, time.monotonic() + seconds * SLOW
        while len(self.results) < goal:
            if time.monotonic() > deadline:
                raise AssertionError(f"the load stands still at {len(self.results)} answers")
            time.sleep(0.01)

    def answered_by(self):
        return collections.Counter(text for _, status, text in self.results if status == 200)

    def failures(self):
        return [result for result in self.results if result[1] != 200]

    def _take(self):
        if self._stop.is_set():
            return False
        with self._lock:
            if self._left is None:
                return True
            self._left -= 1
            return self._left >= 0

    def _run(self, number):
        connection, at = None, 0
        while self._take():
            at += 1
            tag = f"{number}.{at}"
            connection = connection or http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=self.timeout)
            try:
                status, text = self._once(connection, tag)
            except (OSError, http.client.HTTPException) as error:
                status, text = None, repr(error)
            self.results.append((tag, status, text))
            if status is None or not self.keep_alive:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _once(self, connection, tag):
        headers = {"Host": self.host, "X-Tag": tag}
        if not self.keep_alive:
            headers["Connection"] = "close"
        connection.request(self.method, self.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("latin-1")
