"""Applications that speak HTTP by themselves: Node.js and Gunicorn.

Announced by the test with subscribe(), or, where a router is given, by
`fealty subscribe ... -- COMMAND`, which the application then runs under.
"""
import re
import signal
import socket

import harness
import packets

NODEJS = "node"
GUNICORN = "gunicorn"


class WebApp:
    """A process that listens on a Unix socket (or TCP).

    With a `router`, fealty subscribe announces it under `key`, every second; `subscribe`
    are further options of that.
    """

    def __init__(self, scene, name, tcp=False, *, router=None, key="app.test", server=None,
                 subscribe=(), env=None):
        self.scene, self.name = scene, name
        self.port = harness.free_port() if tcp else None
        self.address = f"127.0.0.1:{self.port}" if tcp else str(
            scene.directory / f"{name}.sock")
        self.announced = router is not None
        prefix = []
        if self.announced:
            prefix = [harness.FEALTY, "subscribe", "--server", server or router.subscribe,
                      "--key", key, "--addr", self.address, "--every", "1s", *subscribe, "--"]
        self._argv, self._env = [*prefix, *self.argv()], {**self.env(), **(env or {})}
        self.start()

    def start(self):
        """Starts it, or starts it again after its end."""
        self.process = self.scene.spawn(self.name, self._argv, env=self._env)
        # COMMAND has a session of its own: it is ended through its announcer.
        self.process.ends_by_sigterm = self.announced

    def argv(self):
        raise NotImplementedError

    def env(self):
        return {}

    def subscribe(self, router, key, **fields):
        harness.wait_until(self.listens, f"{self.name} listens", 30)
        packets.send(packets.subscription(key, self.address, proto="http", **fields),
                     router.subscribe)

    def listens(self):
        assert self.process.alive(), self.process.log()
        family = socket.AF_INET if self.port else socket.AF_UNIX
        with socket.socket(family) as probe:
            return probe.connect_ex(
                ("127.0.0.1", self.port) if self.port else self.address) == 0

    def command_pid(self):
        """COMMAND's, as its announcer says it."""
        def said():
            return re.search(r"started \S+ as pid (\d+)", self.process.log())
        return int(harness.wait_until(said, f"{self.name} is started")[1])

    def stop(self):
        """SIGTERM; the exit code."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait(20)


class NodeJs(WebApp):
    """apps/web.js."""

    def argv(self):
        return [NODEJS, harness.APPS / "web.js", self.name, self.port or self.address]


class Gunicorn(WebApp):
    """apps/hello.py, with threads, so that connections are kept."""

    def __init__(self, scene, name, tcp=False, options=(), **how):
        self._options = options
        super().__init__(scene, name, tcp, **how)

    def argv(self):
        bind = self.address if self.port else f"unix:{self.address}"
        return [GUNICORN, "--chdir", harness.APPS, "--bind", bind, "--umask", "0",
                "--worker-class", "gthread", "--threads", 8,
                "--worker-tmp-dir", self.scene.directory, "--log-level", "warning",
                *self._options, "hello:application"]

    def env(self):
        return {"VASSAL_NAME": self.name,
                "VASSAL_BEGUN": str(self.scene.directory / f"{self.name}.begun"),
                "PYTHONDONTWRITEBYTECODE": "1"}
