"""Real uWSGI: single vassals, and an Emperor with conf/shortcuts.ini."""
import collections
import os
import pathlib
import signal
import socket

import clients
import harness
import packets

UWSGI = "uwsgi"
HELLO = harness.APPS / "hello.py"


class Vassal:
    """A uWSGI instance with apps/hello.py that subscribes by itself.

    It ends on SIGTERM (with `die_on_term`, else it reloads), announces itself every
    second, and notes each begun request that carries an X-Tag (see `begun`). A worker
    of uWSGI's that is signalled while it starts may miss the signal: the master's mercy
    with it is short here.
    """

    def __init__(self, scene, router, name, key="app.test", *, processes=2, threads=None,
                 tcp=False, sign_with=None, server=None, options=(), subscribe=(), die_on_term=True,
                 **fields):
        self.name = name
        self._begun_path = scene.directory / f"{name}.begun"
        self._begun_path.touch()
        self.socket = f"127.0.0.1:{harness.free_port()}" if tcp else str(
            scene.directory / f"{name}.socket")
        words = {"server": server or router.subscribe, "key": key, "addr": self.socket, **fields}
        if sign_with is not None:
            words["sign"] = f"SHA1:{sign_with}"
        announcements = [words, *({**words, **more} for more in subscribe)]
        argv = [UWSGI, "--plugin", "python3", "--master", "--need-app",
                *(["--die-on-term"] if die_on_term else []), "--processes", processes,
                "--reload-mercy", 5, "--worker-reload-mercy", 5, "--wsgi-file", HELLO,
                "--socket", self.socket,
                "--chmod-socket=666", "--listen", 128, "--subscribe-freq", 1,
                "--disable-logging", *options]
        if threads:
            argv += ["--threads", threads]
        for announcement in announcements:
            text = ",".join(f"{word}={value}" for word, value in announcement.items())
            argv += ["--subscribe2", text]
        self.process = scene.spawn(name, argv, env={
            "VASSAL_NAME": name, "VASSAL_BEGUN": str(self._begun_path)})

    def begun(self):
        """The tags of the requests that it began, with how often."""
        lines = self._begun_path.read_text().splitlines()
        return collections.Counter(line.partition(" ")[2] for line in lines)

    def reload(self):
        """SIGHUP, and the moment when the new workers have been spawned."""
        def spawns():
            return self.process.log().count("spawned uWSGI worker 1 ")
        before = spawns()
        self.process.signal(signal.SIGHUP)
        harness.wait_until(lambda: spawns() > before, f"{self.name} has reloaded", 20)

    def freeze(self):
        """SIGSTOP to all of it: the socket still takes connections, nobody answers."""
        self.process.signal_session(signal.SIGSTOP)

    def kill(self):
        """SIGKILL to all of it, whatever it is at."""
        self.process.signal_session(signal.SIGKILL)

    def kill_while_busy(self):
        """SIGKILL to all of it from within a request of its own, sent past the router.

        With one worker no other request is half read at that moment, so what it had
        begun and what it had not is exactly what it has noted.
        """
        unix = socket.socket(socket.AF_UNIX)
        with unix:
            unix.connect(self.socket)
            unix.sendall(packets.request_packet("/die"))
            self.process.wait()


def read_direct(vassal, path):
    """An answer of the vassal's own, without any router."""
    with clients.Client(pathlib.Path(vassal.socket)) as client:
        client.send(packets.request_packet(path))
        return client.read_answer()


class Emperor:
    """uWSGI's Emperor over a home as a container has it: vassals/, run/, etc/uwsgi.key."""

    def __init__(self, scene, router, key_pair, name="home"):
        self.home = scene.subdirectory(name)
        self.run = scene.subdirectory(f"{name}/run")
        self.vassals = scene.subdirectory(f"{name}/vassals")
        scene.subdirectory(f"{name}/etc")
        (self.home / "etc" / "uwsgi.key").write_bytes(key_pair.private.read_bytes())
        subscribe = scene.subdirectory(f"{name}-subscribe")
        os.symlink(router.subscribe, subscribe / "http")
        self.process = scene.spawn(
            "emperor",
            [UWSGI, "--emperor", self.vassals, "--emperor-freq", 1, "--die-on-term",
             "--vassals-include-before", harness.SHORTCUTS],
            env={"HOME": str(self.home), "FEALTY_RUN": str(self.run),
                 "FEALTY_SUBSCRIBE": str(subscribe)})

    def write(self, name, text):
        """Adds or changes a vassal, whole at once, as the Emperor should see it."""
        draft = self.home / f"{name}.draft"
        draft.write_text(f"[uwsgi]\n{text}")
        draft.rename(self.vassals / f"{name}.ini")

    def touch(self, name):
        """A change as the Emperor sees it: it compares whole seconds."""
        path = self.vassals / f"{name}.ini"
        later = path.stat().st_mtime + 2
        os.utime(path, (later, later))

    def remove(self, name):
        (self.vassals / f"{name}.ini").unlink()
