"""The stage of the integration tests: processes, waiting, and a router under test.

Nothing here sleeps for luck: `wait_until` polls a condition until its deadline, and
FEALTY_SLOW (a factor, 1 by default) stretches every deadline for sanitizer builds.
FEALTY_BIN_DIR says where the binaries are (build/bin of the checkout by default),
FEALTY_SANITIZE with which sanitizer they were built.
Each test has a Scene of its own with a directory of its own, and only ever touches
processes that it started, so tests may run beside each other.
"""
import collections
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

import clients
import packets

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
APPS = HERE / "apps"
BIN_DIR = pathlib.Path(os.environ.get("FEALTY_BIN_DIR") or TOP / "build" / "bin").resolve()
ROUTER = BIN_DIR / "fealty-router"
FEALTY = BIN_DIR / "fealty"
SHORTCUTS = TOP / "conf" / "shortcuts.ini"
SLOW = float(os.environ.get("FEALTY_SLOW") or 1)
SANITIZER_BUILD = os.environ.get("FEALTY_SANITIZE") or ""    # "address", "thread" or none
LOG_TAIL_BYTES = 6000
SANITIZER = re.compile(r"==\d+==ERROR: |WARNING: ThreadSanitizer|: runtime error: ")


def wait_until(condition, what, seconds=10.0, every=0.02):
    """Returns the condition's first true value; fails by name once the deadline is over."""
    deadline = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * SLOW:g} s: {what}")
        time.sleep(every)


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def yaml_text(value, indent=0):
    """Block YAML of dicts, lists and scalars; every string quoted, None as null."""
    pad = " " * indent
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                lines.append(f"{pad}{key}:\n{yaml_text(inner, indent + 2)}")
            else:
                lines.append(f"{pad}{key}: {json.dumps(inner)}")
        return "\n".join(lines)
    return "\n".join(f"{pad}- {json.dumps(item)}" for item in value)


class Process:
    """A child in a session of its own, with its log in a file."""

    ends_by_sigterm = False  # whether a test's end should ask before it kills

    def __init__(self, name, argv, log_path, *, env=None, cwd=None):
        self.name, self.log_path = name, log_path
        with open(log_path, "ab") as log:
            self.popen = subprocess.Popen(
                [str(part) for part in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True)
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace")

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, seconds=15.0):
        """The exit code; below 0 the signal that ended it."""
        try:
            return self.popen.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {seconds * SLOW:g} s") from None

    def session_pids(self):
        """Every live process of this session, grandchildren too, by /proc."""
        pids = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                    if int(after_name[3]) == self.pid and after_name[0] != "Z":
                        pids.append(int(entry.name))
        return pids

    def signal_session(self, number):
        for pid in self.session_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end_gently(self):
        """SIGTERM, and a second one if it drains: only so can it report its leaks."""
        for _ in range(2):
            if self.alive():
                self.signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.popen.wait(2 * SLOW)

    def sanitizer_report(self):
        """What a sanitizer wrote to the log; empty if nothing."""
        found = SANITIZER.search(self.log()) if self.log_path.exists() else None
        return self.log()[found.start():][:LOG_TAIL_BYTES] if found else ""

    def end(self):
        """Nothing of the session survives this."""
        while self.session_pids():
            self.signal_session(signal.SIGKILL)
            time.sleep(0.005)
        self.popen.wait()


class Scene:
    """One test's directory and everything that runs in it."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fealty-test-"))
        self.directory.chmod(0o755)  # a router that dropped to www-data looks in here
        self.processes = []
        self.closers = []

    def spawn(self, name, argv, **how):
        log_path = self.directory / f"{name}.{len(self.processes)}.log"
        process = Process(name, argv, log_path, **how)
        self.processes.append(process)
        return process

    def subdirectory(self, name, mode=0o755):
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path

    def on_close(self, closer):
        self.closers.append(closer)

    def logs(self):
        """(title, text) of every process, the end of each log."""
        return [(f"{process.name} (pid {process.pid})", process.log()[-LOG_TAIL_BYTES:])
                for process in self.processes if process.log_path.exists()]

    def close(self):
        """Ends everything; fails where a sanitizer had something to say."""
        for closer in reversed(self.closers):
            closer()
        for process in reversed(self.processes):
            if process.ends_by_sigterm:
                process.end_gently()
            process.end()
        findings = "".join(process.sanitizer_report() for process in self.processes)
        shutil.rmtree(self.directory, ignore_errors=True)
        if findings:
            raise AssertionError(findings)


def successor(process, serving):
    """SIGUSR2 to the pid that serves, until another one does; its pid. They have one log."""
    says = re.compile(r"upgrade: pid (\d+) serves")
    before = len(says.findall(process.log()))
    os.kill(serving, signal.SIGUSR2)
    found = wait_until(
        lambda: found if len(found := says.findall(process.log())) > before else None,
        "a successor serves", 30)
    return int(found[-1])


class Router:
    """A fealty-router on free ports of the loopback, ready once the constructor returns.

    `changes` replaces whole top-level keys of the configuration, but for dicts, whose
    entries are replaced one by one; None for a key leaves it out. `more_admin` are admin
    listeners besides the own one.
    """

    attempts_max = 3  # a port may be taken between our look and the router's bind

    def __init__(self, scene, *, more_admin=(), **changes):
        self.scene, self._more_admin = scene, more_admin
        self._barriers = 0
        for _ in range(self.attempts_max):
            self.config_path = scene.directory / f"router-{len(scene.processes)}.yaml"
            self._write(changes)
            self.start()
            if self._came_up():
                return
        raise AssertionError(f"the router does not come up:\n{self.process.log()[-2000:]}")

    def _write(self, changes):
        self.port, self.admin_port = free_port(), free_port()
        self.subscribe = str(self.scene.directory / f"subscribe-{self.port}")
        self.subscribe_udp = ("127.0.0.1", free_port(socket.SOCK_DGRAM))
        udp = f"127.0.0.1:{self.subscribe_udp[1]}"
        config = {
            "workers": 2,
            "user": "root" if os.geteuid() == 0 else None,
            "listeners": [{"address": f"127.0.0.1:{self.port}", "protocol": "http"}],
            "subscription": {
                "servers": [{"address": f"unix:{self.subscribe}", "mode": "0666"},
                            {"address": udp}],
                "tolerance": "30s"},
            # Who starts a process stands still until that runs, which takes seconds on a
            # busy machine, and the clients of a load are threads of his.
            "timeouts": {"drain": "10s", "keepalive": "60s"},
            "admin": [f"127.0.0.1:{self.admin_port}", *self._more_admin]}
        self.config = config
        self.change(**changes)

    def change(self, **changes):
        """Writes the configuration with other values, as the constructor takes them."""
        for key, value in changes.items():
            if isinstance(value, dict):
                self.config[key] = {**(self.config.get(key) or {}), **value}
            else:
                self.config[key] = value
        given = {key: value for key, value in self.config.items() if value is not None}
        self.config_path.write_text(yaml_text(given) + "\n")

    def reload(self, said="the configuration was reloaded", **changes):
        """SIGHUP with these changes, until the log says how it went."""
        self.change(**changes)
        before = self.process.log().count(said)
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: self.process.log().count(said) > before, f"the log says: {said}")

    def upgrade(self):
        """SIGUSR2 to the process that serves, until another one does; its pid."""
        self.serving = successor(self.process, self.serving)
        return self.serving

    def start(self, env=None):
        """Starts it, or starts it again after its end, with the same configuration."""
        self.process = self.scene.spawn("router", [ROUTER, "--config", self.config_path],
                                        env=env)
        self.process.ends_by_sigterm = True
        self.serving = self.process.pid  # another one's after an upgrade

    def _came_up(self):
        def ready_or_dead():
            return not self.process.alive() or self.healthy()
        wait_until(ready_or_dead, "the admin listener answers /healthz with 200")
        return self.process.alive()

    def healthy(self):
        try:
            return self.admin("/healthz").status == 200
        except (OSError, clients.Incomplete):
            return False

    @property
    def pid(self):
        return self.process.pid

    def client(self, **how):
        """A connection of the tests' own HTTP client; use it in a `with`."""
        return clients.Client(("127.0.0.1", self.port), **how)

    def get(self, path="/", host="app.test", seconds=10.0, method="GET", **more):
        """One request on a connection of its own."""
        with self.client(seconds=seconds) as client:
            return client.request(method, path, host=host, **more)

    def admin(self, path, method="GET"):
        """An answer of the admin listener's.

        A connection that says nothing for 100 ms gets the stats; on a machine that is
        busy that may happen to a client between its connect and its first byte.
        """
        for attempt in range(5):
            with clients.Client(("127.0.0.1", self.admin_port)) as client:
                try:
                    return client.request(method, path, host="admin.test")
                except (clients.NotHttp, BrokenPipeError, ConnectionResetError):
                    if attempt == 4:
                        raise

    def metric(self, name):
        """The value of a metric without labels."""
        found = re.search(rf"^{name} (\d+)$", self.admin("/metrics").text, re.MULTILINE)
        return int(found[1])

    def stats(self):
        return json.loads(self.admin("/").body)

    def explain(self, host, path=None):
        query = {"host": host} if path is None else {"host": host, "path": path}
        return self.admin("/explain?" + urllib.parse.urlencode(query))

    def nodes(self, key):
        """The stats' nodes of a key; empty where the key is unknown."""
        for pool in self.stats()["subscriptions"]:
            if pool["key"] == key:
                return pool["nodes"]
        return []

    def wait_for_nodes(self, key, count, seconds=10.0):
        return wait_until(lambda: len(found := self.nodes(key)) == count and (found or True),
                          f"{key} has {count} node(s)", seconds)

    def deliver(self, packet, sign_with=None):
        """A raw packet to the subscription socket, and the certainty that it was judged.

        The router reads a socket's datagrams in order: once an announcement that was sent
        later shows in the stats, the packet has been taken or refused. `sign_with` signs
        that later announcement, of barrier.test, where the router wants signatures.
        """
        packets.send(packet, self.subscribe)
        self._barriers += 1
        address = f"127.0.0.1:{self._barriers}"
        packets.send(packets.subscription("barrier.test", address, sign_with=sign_with),
                     self.subscribe)
        wait_until(lambda: any(node["name"] == address for node in self.nodes("barrier.test")),
                   "the announcement sent after the packet is in the stats")

    def wait_answering(self, host, names, path="/"):
        """Until every worker gives `host`'s requests to exactly `names`, in equal shares.

        The stats come from the control thread; a worker adopts a change a moment later.
        """
        rounds = 4

        def even():
            try:
                answers = [self.get(path, host, seconds=2)
                           for _ in range(rounds * len(names))]
            except (OSError, clients.Incomplete):
                return False
            seen = collections.Counter(answer.text for answer in answers)
            return seen == {name: rounds for name in names}
        wait_until(even, f"{host} is answered by {', '.join(names)} in turn", every=0.05)

    def wait_known(self, host, path="/"):
        """Until no worker answers `host` with 404, which is said at once.

        What a node answers, and whether it ever does, is not looked at.
        """
        def known():
            with self.client(seconds=0.3) as client:
                client.send(clients.request_bytes("GET", path, host=host))
                try:
                    return not client.socket.recv(12).endswith(b"404")
                except (ConnectionResetError, TimeoutError):
                    return True
        wait_until(lambda: all(known() for _ in range(8)), f"{host} is known", every=0.05)

    def wait_leaving(self, node, key, host=None):
        """Unsubscribes the only node of a pool; until every worker holds its requests."""
        node.unsubscribe(self, key)
        self.wait_for_nodes(key, 0)

        def holds():
            with self.client(seconds=0.3) as client:
                client.send(clients.request_bytes("GET", "/", host=host or key))
                try:
                    return not client.socket.recv(1)
                except TimeoutError:
                    return True
        wait_until(lambda: all(holds() for _ in range(8)), f"no worker has a node of {key}")
        wait_until(lambda: self.metric("fealty_held_requests") == 0, "nobody waits")

    def wait_status(self, host, status, path="/"):
        """Until every worker answers `host` with this status."""
        wait_until(lambda: all(self.get(path, host).status == status for _ in range(8)),
                   f"{host} is answered with {status}", every=0.05)

    def rss_kib(self):
        """Its resident memory, counted page by page (VmRSS is off by some hundred KiB)."""
        text = pathlib.Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+)", text, re.MULTILINE)[1])

    def terminate(self):
        self.process.signal(signal.SIGTERM)
