"""A cluster on three hosts in namespaces, each with an HTTP(S) router, a fastrouter, a
Legion member with its forwarder, and real uWSGI vassals of conf/shortcuts.ini; and a
client on a fourth host, who asks the floating address.

The daemons start as root and become other users, as on a server: routers www-data, the
Legion member `daemon`, whom the routers trust without a signature. Vassals sign.
"""
import collections
import json
import pathlib
import pwd
import re
import secrets
import socket
import struct
import subprocess
import sys

import failover
import netns
from failover import BIN_DIR, TOP, Child, wait_until

FLOATING = failover.FLOATING
DOMAIN = "app.test"
GUARDED = "guarded.test"     # for clients with a certificate
MEMBER_USER = "daemon"
CAPTURE = """
import socket, sys
taps = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
taps.bind(("eth0", 0))
taps.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
with open(sys.argv[1], "wb", 0) as out:
    print("ready", flush=True)
    while True:
        frame = taps.recv(65536)
        out.write(len(frame).to_bytes(4, "little") + frame)
"""


def openssl(*argv):
    return subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True).stdout


def yaml_file(path, value):
    path.write_text(json.dumps(value))     # JSON is YAML
    return path


class Server:
    """One host's daemons and its vassals; `certificate` is (key, crt) on its disk."""

    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.host = cluster.net.address(name)
        self.home = cluster.directory / name
        for part in ("run", "vassals", "etc", "subscribe"):
            (self.home / part).mkdir(parents=True)
        (self.home / "etc" / "uwsgi.key").write_bytes(cluster.signing_key.read_bytes())
        self.subscribe = self.home / "subscribe"
        self.daemons = {}

    def spawn(self, what, *argv):
        self.daemons[what] = Child(self.cluster, f"{what}-{self.name}", self.name, argv)
        return self.daemons[what]

    def others(self, port):
        return [f"{self.cluster.net.address(name)}:{port}"
                for name in self.cluster.names if name != self.name]

    def sign_check(self, *trusted):
        return {"digest": "SHA1", "keys": str(self.cluster.keys), "skip_uids": list(trusted)}

    def router_config(self):
        key, crt = self.cluster.default_identity
        return {
            "user": "www-data", "workers": 1,
            "listeners": [
                {"address": "0.0.0.0:80", "protocol": "http"},
                {"address": "0.0.0.0:443", "protocol": "https", "certificate": str(crt),
                 "key": str(key)}],
            "subscription": {
                "servers": [
                    {"address": f"unix:{self.subscribe}/http", "mode": "0666"},
                    {"address": f"unix:{self.subscribe}/forwarded", "mode": "0660",
                     "group": MEMBER_USER}],
                "sign_check": self.sign_check(pwd.getpwnam(MEMBER_USER).pw_uid),
                "allow_addresses": [f"unix:{self.home}/run/"],
                "allow_trusted_addresses": ["10.9.0.0/24"]},
            "timeouts": {"connect": "1s"},
            "tls": {"ticket_secret_file": str(self.cluster.secrets["tickets"])},
            "cluster": {"secret_file": str(self.cluster.secrets["cluster"])},
            "admin": [f"unix:{self.home}/admin-router"]}

    def fastrouter_config(self):
        return {
            "user": "www-data", "workers": 1,
            "listeners": [{"address": f"{self.host}:1999", "protocol": "uwsgi",
                           "sealed": True}],
            "cluster": {"secret_file": str(self.cluster.secrets["cluster"])},
            "subscription": {
                "servers": [{"address": f"unix:{self.subscribe}/fastrouter",
                             "mode": "0666"}],
                "sign_check": self.sign_check(),
                "allow_addresses": [f"unix:{self.home}/run/"],
                "resubscribe": [f"unix:{self.subscribe}/dgram"]},
            "admin": [f"unix:{self.home}/admin-fastrouter"]}

    def legion_config(self):
        return {
            "user": MEMBER_USER,
            "legions": [{
                "name": "cluster", "address": f"{self.host}:2000", "nodes": self.others(2000),
                "valor": self.cluster.names[self.name],
                "quorum": len(self.cluster.names) // 2 + 1, "wire": "sealed",
                "secret_file": str(self.cluster.secrets["legion"]), "freq": "1s", "tolerance": "3s",
                "hooks": {"lord": [f"ip_add: {FLOATING}/24 dev eth0"],
                          "unlord": [f"ip_del: {FLOATING}/24 dev eth0"]}}],
            "forwarder": {
                "listen": f"unix:{self.subscribe}/dgram",
                "send_from": f"{self.host}:3026", "to": self.others(3022),
                "receive": f"{self.host}:3022",
                "deliver": f"unix:{self.subscribe}/forwarded",
                "secret_file": str(self.cluster.secrets["legion"])},
            "admin": [f"unix:{self.home}/admin-legion"]}

    def start(self):
        for what, program, config in (("legion", "fealty-legion", self.legion_config()),
                                      ("router", "fealty-router", self.router_config()),
                                      ("fastrouter", "fealty-router",
                                       self.fastrouter_config())):
            path = yaml_file(self.home / f"{what}.yaml", config)
            self.spawn(what, BIN_DIR / program, "-c", path)
        for what in self.daemons:
            wait_until(lambda what=what: self.metrics(what), f"{what} of {self.name} answers")
        self.spawn("emperor", "env", f"HOME={self.home}", f"FEALTY_RUN={self.home}/run",
                   f"FEALTY_SUBSCRIBE={self.subscribe}", "uwsgi", "--emperor",
                   self.home / "vassals", "--emperor-freq", "1", "--die-on-term",
                   "--vassals-include-before", TOP / "conf" / "shortcuts.ini")

    def write_vassal(self, name, option):
        draft = self.home / "draft"
        draft.write_text(
            "[uwsgi]\nplugin = python3\nmaster = true\nneed-app = true\nprocesses = 1\n"
            f"wsgi-file = {TOP}/tests/integration/apps/hello.py\n"
            f"env = VASSAL_NAME={name}\nenv = VASSAL_BEGUN={self.home}/begun\n"
            f"subscribe-freq = 1\ndisable-logging = true\n{option}\n")
        draft.rename(self.home / "vassals" / f"{name}.ini")

    def metrics(self, what):
        """{name with labels: value} of a daemon's; None where it does not answer."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(f"{self.home}/admin-{what}")
                client.sendall(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n")
                text = b""
                while part := client.recv(65536):
                    text += part
            except OSError:
                return None
        found = re.findall(r"^(\w+(?:\{[^}]*\})?) (\d+)$", text.decode(), re.MULTILINE)
        return {name: int(value) for name, value in found}

    def start_member(self):
        """Again, after it was killed."""
        self.spawn("legion", BIN_DIR / "fealty-legion", "-c", self.home / "legion.yaml")

    def node_count(self, domain):
        """Of the domain, in the router's table."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{self.home}/admin-router")
            client.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
            text = b""
            while part := client.recv(65536):
                text += part
        found = json.loads(text.partition(b"\r\n\r\n")[2])["subscriptions"]
        return sum(len(each["nodes"]) for each in found if each["key"] == domain)

    def dropped(self, reason):
        return self.metrics("legion")[f'fealty_forwarder_dropped_total{{reason="{reason}"}}']

    def power_off(self):
        self.cluster.net.power_off(self.name)
        for child in self.daemons.values():
            child.end()


class Cluster(failover.Observed):
    def __init__(self, directory, hosts="abc"):
        self.directory = pathlib.Path(directory)
        self.directory.chmod(0o755)
        self.names = {name: 90 - 10 * i for i, name in enumerate(hosts)}   # and their valor
        self.address, self.probe = FLOATING, None
        self.children, self.servers, self.holders = [], {}, {}
        self._make_keys()
        self.net = netns.Net([*self.names, "client"])
        try:
            for name in self.names:
                self.servers[name] = Server(self, name)
            self.captures = [self._capture(name) for name in self.names]
            self.holders = {name: self._watch(name, "holder", FLOATING) for name in self.names}
            for server in self.servers.values():
                server.start()
        except BaseException:
            self.close()
            raise

    @property
    def daemons(self):
        """The Legion members."""
        return {name: server.daemons["legion"] for name, server in self.servers.items()}

    def serve_everywhere(self):
        """A vassal on each host; the domain's certificate on the first one's disk alone."""
        key, crt = self.domain_identity
        for name in self.names:
            first = name == list(self.names)[0]
            self[name].write_vassal(name, f"ssl-cluster-domain = {DOMAIN} {key} {crt}" if first
                                    else f"cluster-domain = {DOMAIN}")
        wait_until(lambda: set(self.seen(4 * len(self.names))) == set(self.names),
                   "the Lord's router balances over all", 60)

    def start_probe(self):
        self.probe = self._watch("client", "http", FLOATING, DOMAIN)

    def __getitem__(self, name):
        return self.servers[name]

    def _make_keys(self):
        self.secrets = {name: self.directory / f"{name}.key"
                        for name in ("legion", "cluster", "tickets")}
        for path in self.secrets.values():
            path.write_text(secrets.token_hex(32) + "\n")
            path.chmod(0o600)
        self.signing_key = self.directory / "customer.key"
        openssl("genrsa", "-out", self.signing_key, "2048")
        self.keys = self.directory / "domains"
        self.keys.mkdir()
        for domain in (DOMAIN, GUARDED):
            openssl("rsa", "-in", self.signing_key, "-pubout", "-out",
                    self.keys / f"{domain}.pem")
        self.default_identity = self.identity("default.test")
        self.domain_identity = self.identity(DOMAIN)

    def identity(self, name):
        key, crt = self.directory / f"{name}.key", self.directory / f"{name}.crt"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", crt,
                "-days", "30", "-subj", f"/CN={name}")
        return key, crt

    def _capture(self, name):
        path = self.directory / f"{name}.frames"
        child = Child(self, f"capture-{name}", name, [sys.executable, "-c", CAPTURE, path])
        wait_until(lambda: child.lines() == ["ready"], f"{name} is captured")
        return path

    def frames(self):
        """Of all hosts, as they crossed eth0."""
        for path in self.captures:
            data, at = path.read_bytes(), 0
            while at + 4 <= len(data):
                (size,) = struct.unpack_from("<I", data, at)
                yield data[at + 4:at + 4 + size]
                at += 4 + size

    def curl(self, url, address=FLOATING, *more):
        """The body that the client gets; None where there is no answer with 200."""
        done = self.net.run("client", "curl", "--silent", "--insecure", "--fail", "--max-time",
                            "3", "--connect-to", f"::{address}:", *more, url, check=False)
        return done.stdout if done.returncode == 0 else None

    def seen(self, rounds=12, **how):
        """How often each vassal answered over HTTPS."""
        return collections.Counter(self.curl(f"https://{DOMAIN}/", **how)
                                   for _ in range(rounds))

    def certificate_name(self, address=FLOATING):
        done = self.net.run("client", "openssl", "s_client", "-connect", f"{address}:443",
                            "-servername", DOMAIN, check=False, stdin=subprocess.DEVNULL)
        found = re.search(r"subject=CN = (\S+)", done.stdout)
        return found and found[1]

    def session(self, address, *argv):
        """What openssl's client says of a connection that asks for a page."""
        return self.net.run(
            "client", "openssl", "s_client", "-connect", f"{address}:443", "-servername",
            DOMAIN, "-ign_eof", *argv, check=False,
            input=f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n").stdout

    def send_udp(self, sender, datagram, to):
        """From one host of the cluster to another's forwarder."""
        path = self.directory / "datagram"
        path.write_bytes(datagram)
        self.net.run(sender, sys.executable, "-c",
                     "import socket, sys; socket.socket(2, 2).sendto(open(sys.argv[1], 'rb')"
                     ".read(), (sys.argv[2], 3022))", path, self.net.address(to))

    def logs(self):
        return [(child.path.name, child.path.read_text(errors="replace")[-3000:])
                for child in self.children]

    def close(self):
        for child in reversed(self.children):
            child.end()
        # The Emperors' vassals are in sessions of their own namespaces alone.
        for namespace in self.net.hosts.values():
            for pid in netns.run("ip", "netns", "pids", namespace, check=False).stdout.split():
                netns.run("kill", "-9", pid, check=False)
        self.net.close()
