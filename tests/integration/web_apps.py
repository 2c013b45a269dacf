"""Applications that speak HTTP by themselves: Node.js and Gunicorn."""
import pathlib
import socket

import harness
import packets

NODEJS = "node"
GUNICORN = "gunicorn"


class WebApp:
    """A process that listens on a Unix socket (or TCP), announced by the test."""

    def __init__(self, scene, name, tcp=False):
        self.scene, self.name = scene, name
        self.port = harness.free_port() if tcp else None
        self.address = f"127.0.0.1:{self.port}" if tcp else str(
            scene.directory / f"{name}.sock")

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


class NodeJs(WebApp):
    """apps/web.js."""

    def __init__(self, scene, name, tcp=False):
        super().__init__(scene, name, tcp)
        self.process = scene.spawn(
            name, [NODEJS, harness.APPS / "web.js", name, self.port or self.address])


class Gunicorn(WebApp):
    """apps/hello.py, with threads, so that connections are kept."""

    def __init__(self, scene, name, tcp=False, options=()):
        super().__init__(scene, name, tcp)
        begun = pathlib.Path(scene.directory / f"{name}.begun")
        bind = self.address if tcp else f"unix:{self.address}"
        self.process = scene.spawn(
            name,
            [GUNICORN, "--chdir", harness.APPS, "--bind", bind, "--umask", "0",
             "--worker-class", "gthread", "--threads", 8, "--worker-tmp-dir", scene.directory,
             "--log-level", "warning", *options,
             "hello:application"],
            env={"VASSAL_NAME": name, "VASSAL_BEGUN": str(begun),
                 "PYTHONDONTWRITEBYTECODE": "1"})
