"""Members of Legions: our own and real uWSGI's, on free ports of the loopback."""
import collections
import json
import os
import re
import signal
import socket

import clients
import harness

LEGION = harness.BIN_DIR / "fealty-legion"
FREQ, TOLERANCE = 1, 3


def free_ports(count):
    """UDP ports that are free and differ."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Member:
    """What both kinds have: a port, a valor, a process, whose Lord it sees."""

    def __init__(self, legion, name, port, valor):
        self.legion, self.name, self.port, self.valor = legion, name, port, valor
        self.process = None

    def nodes(self):
        return [f"127.0.0.1:{port}" for port in self.legion.ports if port != self.port]

    def alive(self):
        return self.process is not None and self.process.alive()

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def restart(self, valor=None):
        if self.alive():
            self.kill()
        if valor is not None:
            self.valor = valor
        self.start()


class Ours(Member):
    def __init__(self, *how, **legion_options):
        super().__init__(*how)
        self.options = legion_options
        self.admin = str(self.legion.scene.directory / f"admin-{self.name}")
        self.config_path = self.legion.scene.directory / f"{self.name}.yaml"

    def config(self):
        legion = {"name": "mixed", "address": f"127.0.0.1:{self.port}", "valor": self.valor,
                  "cipher": self.legion.cipher, "secret": self.legion.secret,
                  "iv": self.legion.iv, "nodes": self.nodes(),
                  "quorum": self.legion.quorum, "freq": f"{FREQ}s",
                  "tolerance": f"{TOLERANCE}s", "scroll": f"scroll of {self.name}",
                  **self.options}
        return {"user": "root" if os.geteuid() == 0 else "nobody", "admin": [f"unix:{self.admin}"],
                "legions": [{key: value for key, value in legion.items() if value is not None}]}

    def write_config(self, **changes):
        self.options.update(changes)
        self.config_path.write_text(harness.yaml_text(self.config()) + "\n")

    def start(self):
        self.write_config()
        self.process = self.legion.scene.spawn(
            self.name, [LEGION, "--config", self.config_path])
        self.process.ends_by_sigterm = True

    def reload(self, **changes):
        self.write_config(**changes)
        self.process.signal(signal.SIGHUP)

    def get(self, path="/"):
        with clients.Client(self.admin) as client:
            return client.request("GET", path, host="admin.test")

    def answers(self):
        try:
            return self.get("/healthz").status == 200
        except (OSError, clients.Incomplete, clients.NotHttp):
            return False

    def stats(self):
        return json.loads(self.get().body)["legions"][0]

    def lord_uuid(self):
        """Of whom it sees as Lord and votes for; None without a quorum."""
        try:
            stats = self.stats()
        except (OSError, clients.Incomplete, clients.NotHttp):
            return None
        lord = stats["lord"]
        return lord["uuid"] if lord and stats["has_quorum"] else None

    def uuid(self):
        return self.stats()["uuid"]

    def says_it_is_lord(self):
        return self.stats()["i_am_the_lord"] > 0


class Theirs(Member):
    """A real uWSGI; what it sees is in its stats."""

    def start(self):
        self.stats_port = harness.free_port()
        legion = self.legion
        secret = f"{legion.cipher}:{legion.secret}" + (f" {legion.iv}" if legion.iv else "")
        argv = ["uwsgi", "--master", "--socket", f"127.0.0.1:{harness.free_port()}",
                "--stats", f"127.0.0.1:{self.stats_port}", "--die-on-term",
                "--legion", f"mixed 127.0.0.1:{self.port} {self.valor} {secret}",
                "--legion-quorum", f"mixed {legion.quorum}", "--legion-freq", str(FREQ),
                "--legion-tolerance", str(TOLERANCE),
                "--legion-scroll", f"mixed scroll of {self.name}"]
        for node in self.nodes():
            argv += ["--legion-node", f"mixed {node}"]
        self.process = legion.scene.spawn(
            self.name, argv, env={"OPENSSL_CONF": str(self._openssl_conf())})
        self.process.ends_by_sigterm = True

    def _openssl_conf(self):
        """OpenSSL 3 has bf-cbc in its legacy provider, which uWSGI does not load itself."""
        path = self.legion.scene.directory / "openssl.cnf"
        path.write_text("openssl_conf = init\n[init]\nproviders = providers\n[providers]\n"
                        "default = on\nlegacy = on\n[on]\nactivate = 1\n")
        return path

    def stats(self):
        with socket.create_connection(("127.0.0.1", self.stats_port), 2) as client:
            text = b""
            while part := client.recv(65536):
                text += part
        return json.loads(text)["legions"][0]

    def uuid(self):
        return self.stats()["uuid"]

    def lord_uuid(self):
        """Whom it votes for, once its log says that the quorum is for that one."""
        try:
            voted = self.stats()["lord_uuid"]
        except (OSError, ValueError):
            return None
        reports = re.findall(r"WE HAVE QUORUM FOR LEGION mixed !!! \(valor: \d+ uuid: (\S+)",
                             self.process.log())
        return voted if reports and reports[-1] == voted else None

    def says_it_is_lord(self):
        return self.stats()["i_am_the_lord"] > 0


class Legion:
    """Members in order; `kinds` maps a name to (class, valor)."""

    def __init__(self, scene, kinds, *, quorum=2, cipher="aes-128-cbc", secret="secret",
                 iv=None, **ours):
        self.scene, self.quorum, self.cipher = scene, quorum, cipher
        self.secret, self.iv = secret, iv
        self.ports = free_ports(len(kinds))
        self.members = collections.OrderedDict()
        for port, (name, (kind, valor)) in zip(self.ports, kinds.items()):
            options = ours if kind is Ours else {}
            self.members[name] = kind(self, name, port, valor, **options)

    def __getitem__(self, name):
        return self.members[name]

    def start(self):
        for member in self.members.values():
            member.start()
        return self

    def agrees_on(self, name):
        """Whether every living member sees this one as Lord, and it alone says that it is."""
        living = [member for member in self.members.values() if member.alive()]
        try:
            uuid = self[name].uuid()
            if any(member.lord_uuid() != uuid for member in living):
                return False
            return [member.name for member in living if member.says_it_is_lord()] == [name]
        except (OSError, ValueError, clients.Incomplete, clients.NotHttp):
            return False

    def wait_up(self):
        """Until our members answer."""
        for member in self.members.values():
            if isinstance(member, Ours) and member.alive():
                harness.wait_until(member.answers, f"{member.name} answers")
        return self

    def wait_for(self, name, seconds=25.0):
        harness.wait_until(lambda: self.agrees_on(name),
                           f"every member agrees that {name} is Lord", seconds, every=0.1)
