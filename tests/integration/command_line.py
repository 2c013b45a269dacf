"""fealty as a customer types it: with a home of its own, on pipes or on a terminal; and a
proxy that loses answers."""
import contextlib
import fcntl
import os
import pty
import select
import socket
import subprocess
import termios
import threading
import time

import harness

SECONDS = 30 * harness.SLOW


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"<{self.code} {self.out!r} {self.err!r}>"


class Home:
    """Somebody's home, and what they type in it."""

    def __init__(self, directory):
        self.directory = directory
        self.config = directory / "config"
        self.profiles = self.config / "fealty" / "profiles.json"
        kept = {key: value for key, value in os.environ.items()
                if not key.startswith("FEALTY_") and key not in ("COLUMNS", "LINES")}
        self.env = {**kept, "HOME": str(directory), "XDG_CONFIG_HOME": str(self.config),
                    "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "dumb",
                    "PATH": f"{harness.BIN_DIR}:{os.environ['PATH']}"}

    def __call__(self, *words, code=0, text=None, env=None):
        """Runs `fealty WORDS` without a terminal; its code must be `code`."""
        done = subprocess.run(
            ["fealty", *map(str, words)], input=text, stdin=None if text is not None else
            subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False,
            start_new_session=True, cwd=self.directory, env={**self.env, **(env or {})})
        found = Done(done.returncode, done.stdout, done.stderr)
        assert found.code == code, (words, found)
        return found

    def log_in(self, url, customer, *words):
        return self("login", url, "--user", customer.username, "--password-stdin", *words,
                    text=customer.password + "\n")

    def file(self, name, text, mode=0o600):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return path

    @contextlib.contextmanager
    def terminal(self, *argv, columns=100):
        terminal = Terminal(argv, self.env, self.directory, columns)
        try:
            yield terminal
        finally:
            terminal.close()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv, env, cwd, columns):
        self.side, inner = pty.openpty()
        size = (24).to_bytes(2, "little") + columns.to_bytes(2, "little") + bytes(4)
        fcntl.ioctl(inner, termios.TIOCSWINSZ, size)
        self.inner = inner
        self.text = ""
        self.process = subprocess.Popen(
            list(map(str, argv)), stdin=inner, stdout=inner, stderr=inner, env=env, cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def type(self, text):
        os.write(self.side, text.encode())

    def wait_for(self, text):
        """All that came until `text` did, from what was not waited for yet."""
        end = time.monotonic() + SECONDS
        while text not in self.text:
            assert time.monotonic() < end, (text, self.text)
            self._read(0.1)
        found, _, self.text = self.text.partition(text)
        return found + text

    def end(self):
        """Its code, once all it wrote was read."""
        end = time.monotonic() + SECONDS
        while self.process.poll() is None or self._read(0):
            assert time.monotonic() < end, self.text
            self._read(0.05)
        return self.process.returncode

    @property
    def echoes(self):
        return bool(termios.tcgetattr(self.inner)[3] & termios.ECHO)

    def _read(self, seconds):
        if not select.select([self.side], [], [], seconds)[0]:
            return False
        self.text += os.read(self.side, 65536).decode(errors="replace")
        return True

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.side)
        os.close(self.inner)


class LossyProxy:
    """Hands on what comes to `port`, and keeps to itself the first `lost` answers, and those
    to requests that begin with `loses`."""

    def __init__(self, port, lost):
        self.upstream, self.lost, self.requests = port, lost, []
        self.loses = b"\0"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(SECONDS)
                self._pass(client)

    def _pass(self, client):
        request = b""
        while b"\r\n\r\n" not in request:
            piece = client.recv(65536)
            if not piece:
                return
            request += piece
        head, _, body = request.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        while len(body) < int(fields.get(b"content-length", 0)):
            body += client.recv(65536)
        self.requests.append((head, body))
        with socket.create_connection(("127.0.0.1", self.upstream), SECONDS) as api:
            api.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            answer = b"".join(iter(lambda: api.recv(65536), b""))
        if len(self.requests) > self.lost and not head.startswith(self.loses):
            client.sendall(answer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()
