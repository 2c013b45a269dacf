"""The REST API under test: fealty-api on free ports, over SQLite or a real PostgreSQL.

The PostgreSQL cluster is one a run, in a directory of its own, reached by a Unix socket
alone and without its durability (tests that kill the API kill nothing of it); each Api has
a database of its own there.
"""
import base64
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.parse

import jsonschema

import harness

FEALTY_API = harness.BIN_DIR / "fealty-api"
SOAK = os.environ.get("FEALTY_SOAK") == "1"
DATABASES = ["sqlite", "postgresql"]
# What servers reach it by.
DOMAIN = "api.test"
_numbers = itertools.count(1)


def unique(prefix="x"):
    return f"{prefix}{next(_numbers)}"


class Reply:
    """One answer: status, headers (lower case), text, and its JSON."""

    def __init__(self, status, headers, data):
        self.status, self.data = status, data
        self.headers = {key.lower(): value for key, value in headers}

    @property
    def text(self):
        return self.data.decode()

    @property
    def json(self):
        return json.loads(self.data)

    def __repr__(self):
        return f"<{self.status} {self.data[:300]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def request(address, method, path, body=None, headers=None, seconds=30):
    """`address` is a port of the loopback or a Unix socket's path."""
    seconds *= harness.SLOW
    if isinstance(address, int):
        connection = http.client.HTTPConnection("127.0.0.1", address, timeout=seconds)
    else:
        connection = UnixConnection(address, seconds)
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    with contextlib.closing(connection):
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, answer.getheaders(), answer.read())


class Customer:
    """Somebody who can log in."""

    def __init__(self, api, username=None, password="deimos"):
        self.api, self.username = api, username or unique("customer")
        self.password = password
        made = api.admin("POST", "/admin/customers",
                         {"username": self.username, "password": password})
        assert made.status == 201, made
        self.id, self.uuid = made.json["id"], made.json["uuid"]

    @property
    def basic(self):
        pair = f"{self.username}:{self.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode()}

    def __call__(self, method, path, body=None, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.api.request(method, path, body, {**self.basic, **(headers or {})})

    def get(self, path, **query):
        return self("GET", path, **query)

    def post(self, path, body=None, **query):
        return self("POST", path, body, **query)

    def delete(self, path, body=None):
        return self("DELETE", path, body)


class Document:
    """The OpenAPI document of the API: what every answer is held against."""

    LONG = 20
    _known = None

    @classmethod
    def of(cls, port):
        if cls._known is None:
            cls._known = cls(request(port, "GET", "/api/openapi.json").json)
        return cls._known

    def __init__(self, document):
        self.document = document
        self.paths = []
        for pattern, operations in document["paths"].items():
            pieces = re.split(r"(\{\w+\})", pattern)
            expression = "".join("[^/]+" if piece.startswith("{") else re.escape(piece)
                                 for piece in pieces)
            self.paths.append((re.compile(expression + "/?"), operations))
        # What has no parameters comes first: /private/containers/{uid}.ini, /me/containers.
        self.paths.sort(key=lambda path: path[0].pattern.count("[^/]+"))

    def schema(self, part):
        return {**part, "components": self.document["components"]}

    def operation(self, method, path):
        path = path.partition("?")[0]
        for expression, operations in self.paths:
            if expression.fullmatch(path) and method.lower() in operations:
                return operations[method.lower()]
        return None

    def check(self, method, path, reply):
        if not 200 <= reply.status < 300 or method not in ("GET", "POST", "DELETE"):
            return
        if path.partition("?")[0].rstrip("/") in ("", "/openapi.json"):
            return
        operation = self.operation(method, path)
        assert operation, f"{method} {path} is not in the document"
        described = operation["responses"].get(str(reply.status))
        assert described, (method, path, reply.status)
        content = described["content"].get(reply.headers["content-type"].partition(";")[0])
        assert content, (method, path, reply.headers["content-type"])
        if "json" not in reply.headers["content-type"]:
            return
        value = reply.json
        # Of long lists the beginning.
        if isinstance(value, list):
            value = value[:self.LONG]
        jsonschema.validate(value, self.schema(content["schema"]),
                            jsonschema.Draft202012Validator)
        # And it shows nothing that the document does not tell of.
        unknown = self.unknown(value, content["schema"])
        assert not unknown, (method, path, unknown)

    def unknown(self, value, schema):
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "allOf" in schema:
            return set.intersection(*(self.unknown(value, one) for one in schema["allOf"]))
        if "anyOf" in schema:
            return min((self.unknown(value, one) for one in schema["anyOf"]), key=len)
        if isinstance(value, list):
            return {key for item in value for key in self.unknown(item, schema.get("items", {}))}
        if not isinstance(value, dict):
            return set()
        properties = schema.get("properties", {})
        return (set(value) - set(properties)).union(
            *(self.unknown(value[key], properties[key]) for key in set(value) & set(properties)))


class Api:
    """A fealty-api, ready once the constructor returns."""

    def __init__(self, scene, database="sqlite", postgresql=None, admin=None, **changes):
        self.scene, self.postgresql = scene, postgresql
        self.directory = scene.subdirectory(unique("api"))
        self.port = harness.free_port()
        self.admin_socket = admin or self.directory / "admin.sock"
        url = (f"sqlite://{self.directory}/api.db" if database == "sqlite"
               else postgresql.new_database())
        self.config = {
            "user": "root" if os.geteuid() == 0 else None,
            "listen": f"127.0.0.1:{self.port}",
            "admin_listen": f"unix:{self.admin_socket}",
            "database": url,
            "secrets_key_file": str(self.directory / "api.key"),
            "domain": DOMAIN,
            "limits": {"threads": 16},
            "dns": {"servers": ["127.0.0.1:1"], "timeout": "500ms"}, **changes}
        self.config_path = self.directory / "api.yaml"
        given = {key: value for key, value in self.config.items() if value is not None}
        self.config_path.write_text(harness.yaml_text(given) + "\n")
        self.start()

    def start(self):
        self.process = self.scene.spawn("api", [FEALTY_API, "--config", self.config_path])
        self.process.ends_by_sigterm = True
        self.serving = self.process.pid  # another one's after an upgrade
        harness.wait_until(lambda: not self.process.alive() or self.answers(),
                           "the API answers", 30)
        assert self.process.alive(), self.process.log()

    def answers(self):
        try:
            return self.admin("GET", "/admin/distros").status == 200
        except OSError:
            return False

    def upgrade(self):
        self.serving = harness.successor(self.process, self.serving)
        return self.serving

    def kill(self):
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def end(self):
        self.process.signal(signal.SIGTERM)
        assert self.process.wait() == 0

    def sql(self, *statements):
        """Past the service, in one transaction."""
        text = "; ".join(statements)
        url = self.config["database"]
        if url.startswith("postgresql:"):
            assert self.postgresql.try_psql(text, url.rpartition("/")[2]), text
            return
        file = self.directory / "api.db"
        with contextlib.closing(sqlite3.connect(file, 30 * harness.SLOW)) as connection:
            connection.executescript(f"BEGIN IMMEDIATE; {text}; COMMIT")

    def stored(self, columns, table):
        """What the database itself holds, as text."""
        url, query = self.config["database"], f"SELECT {columns} FROM {table}"
        if url.startswith("postgresql:"):
            return self.postgresql.psql(query, url.rpartition("/")[2])
        file = self.directory / "api.db"
        with contextlib.closing(sqlite3.connect(file, 30 * harness.SLOW)) as connection:
            return repr(connection.execute(query).fetchall())

    def request(self, method, path, body=None, headers=None):
        reply = request(self.port, method, "/api" + path, body, headers)
        Document.of(self.port).check(method, path, reply)
        return reply

    def admin(self, method, path, body=None):
        return request(self.admin_socket, method, path, body)

    def made(self, path, /, **fields):
        reply = self.admin("POST", "/admin/" + path, fields)
        assert reply.status == 201, reply
        return reply.json

    def server(self, owner=None, memory=100_000, storage=100_000):
        number = next(_numbers)
        return self.made("servers", name=f"server{number}", hd="sda", memory=memory,
                         storage=storage, owner=owner.username if owner else "",
                         address=f"192.0.{number // 250}.{number % 250 + 1}")

    def container(self, customer, server, memory=10, storage=10):
        """Its uid."""
        return self.made("containers", customer=customer.username, server=server["name"],
                         name=unique("container"), memory=memory, storage=storage)["uid"]

    def domain(self, customer, name=None):
        return self.made("domains", customer=customer.username,
                         name=name or unique("d") + ".example.com")

    def as_server(self, server, method, path, body=None, **query):
        """As the router hands over a server's request."""
        if query:
            path += "?" + urllib.parse.urlencode(query)
        return self.request(method, "/private" + path, body,
                            {"X-Client-DN": "/CN=" + server["name"],
                             "X-Forwarded-Host": DOMAIN + ":8443",
                             "X-Forwarded-For": server["address"]})


class Postgresql:
    """A cluster of the tests' own."""

    BIN = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"),
              key=lambda path: float(path.parent.name),
              default=pathlib.Path("/usr/lib/postgresql/15/bin"))

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="fealty-pg-", dir="/tmp"))
        self.user = "postgres" if os.geteuid() == 0 else None
        if self.user:
            shutil.chown(self.directory, self.user, self.user)
        self.directory.chmod(0o755)
        self._run("initdb", "--pgdata", self.data, "--username", "fealty", "--auth", "trust",
                  "--encoding", "UTF8", "--no-sync", "--locale", "C.UTF-8")
        log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(
            self._argv("postgres", "-D", self.data, "-k", self.directory, "-c",
                       "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300"),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True)
        log.close()
        harness.wait_until(lambda: self.try_psql("SELECT 1"), "PostgreSQL answers", 30)

    @property
    def data(self):
        return self.directory / "data"

    def _argv(self, program, *arguments):
        prefix = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}",
                  "--clear-groups"] if self.user else []
        return [*prefix, str(self.BIN / program), *map(str, arguments)]

    def _run(self, program, *arguments):
        subprocess.run(self._argv(program, *arguments), check=True, capture_output=True,
                       timeout=120, cwd="/")

    def try_psql(self, statement, database="postgres"):
        return self._psql(statement, database).returncode == 0

    def psql(self, statement, database):
        done = self._psql(statement, database)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _psql(self, statement, database):
        return subprocess.run(
            ["psql", "-h", str(self.directory), "-U", "fealty", "-d", database, "-Atqc",
             statement], capture_output=True, text=True, timeout=60, check=False)

    def new_database(self):
        name = unique("api")
        assert self.try_psql(f"CREATE DATABASE {name}")
        host = urllib.parse.quote(str(self.directory), safe="")
        return f"postgresql://fealty@{host}/{name}"

    def stop(self):
        """A fast shutdown, as its manual has it."""
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20 * harness.SLOW)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def on_one_day(check):
    """Checks; once more where midnight, UTC's, came meanwhile."""
    day = time.time() // 86_400
    try:
        check()
    except AssertionError:
        if time.time() // 86_400 == day:
            raise
        check()


def wait_past(unix):
    """Until the clock shows a later second."""
    harness.wait_until(lambda: time.time() >= unix + 1, "the next second")
