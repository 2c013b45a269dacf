"""The setting of a run: temporary folder, node, announcer, peers; all of it ended on the way out."""

import http.client
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time

from cases import HOST, HTTP_HOST
from node_link import Announcer, subscribe_packet
from peers import REPOSITORY
from processes import BenchError, Child, free_port

READY_SECONDS = 10.0
POLL_SECONDS = 0.02
BUILT_NODE = os.path.join(REPOSITORY, "build", "bench", "bench_backend")
NODE_SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "backend.cc")


class Setting:
    """A context manager; inside it every peer is up and has answered once."""

    def __init__(self, options, peers):
        self.options = options
        self.peers = peers
        self.children = {}  # by peer name
        self.node = None
        self.http_node = ""  # IP:PORT
        self.announcer = None
        self.directory = ""

    def __enter__(self):
        self.directory = tempfile.mkdtemp(prefix="fealty-compare-")
        try:
            self._start_node()
            for peer in self.peers:
                self._start_peer(peer)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave anything running
        if self.announcer:
            self.announcer.stop()
        for child in [*self.children.values(), self.node]:
            if child:
                child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_node(self):
        path = os.path.join(self.directory, "node.sock")
        command = [self._node_program(), "--listen", f"unix:{path}", "--listen-http", "127.0.0.1:0"]
        self.node = Child(command, self.options.load_cpu,
                          os.path.join(self.directory, "node.log"), stdout=subprocess.PIPE)
        ready = [self.node.process.stdout.readline().decode().split() for _ in range(2)]
        if [words[:1] for words in ready] != [["ready"], ["ready"]]:
            raise BenchError(f"the node did not start:\n{self.node.log_tail()}")
        self.http_node = ready[1][1]
        self.announcer = Announcer([subscribe_packet(HOST, path, "uwsgi"),
                                    subscribe_packet(HTTP_HOST, self.http_node, "http")])

    def _node_program(self):
        """The one given, else the one built, else one compiled here and now."""
        if self.options.backend:
            return self.options.backend
        if os.access(BUILT_NODE, os.X_OK):
            return BUILT_NODE
        program = os.path.join(self.directory, "node")
        if subprocess.run(["g++", "-std=c++20", "-O2", "-o", program, NODE_SOURCE], check=False).returncode != 0:
            raise BenchError(f"{NODE_SOURCE} does not compile")
        return program

    def _start_peer(self, peer):
        peer.directory = os.path.join(self.directory, peer.name)
        os.mkdir(peer.directory)
        peer.port = free_port()
        peer.node_path = os.path.join(self.directory, "node.sock")
        peer.http_node = self.http_node
        peer.prepare()
        child = Child(peer.command(), self.options.peer_cpu, peer.path("output.log"))
        self.children[peer.name] = child
        deadline = time.monotonic() + READY_SECONDS
        while problem := self._problem_of(peer):
            self.check_alive()
            if time.monotonic() > deadline:
                raise BenchError(f"{peer.name} does not answer as it must: {problem}; the end of its log:\n"
                                 f"{child.log_tail()}")
            time.sleep(POLL_SECONDS)

    def check_alive(self):
        for name, child in self.children.items():
            if child.ended():
                raise BenchError(f"{name} ended with {child.process.returncode}; the end of its log:\n"
                                 f"{child.log_tail()}")

    def _problem_of(self, peer):
        if peer.announced:
            self.announcer.add(peer.subscription_path)
        hosts = [host for host, node in ((HOST, "uwsgi-node"), (HTTP_HOST, "http-node")) if node in peer.offers]
        return next(filter(None, (problem_of_answers(peer, host, "/10", 10) for host in hosts)), None)


def connection_to(peer):
    if "https" not in peer.offers:
        return http.client.HTTPConnection("127.0.0.1", peer.port, timeout=5)
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", peer.port, timeout=5, context=anybody)


def problem_of_answers(peer, host, path, body_bytes):
    """Asks twice on one connection; says what is wrong with the answers, or None."""
    connection = connection_to(peer)
    try:
        sockets = []
        for _ in range(2):
            connection.request("GET", path, headers={"Host": host})
            sockets.append(connection.sock)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200 or len(body) != body_bytes:
                return f"{path}: status {answer.status}, {len(body)} bytes of body, {body_bytes} expected"
        return None if sockets[0] is sockets[1] else f"{path}: the connection was not kept alive"
    except (OSError, http.client.HTTPException) as error:
        return f"{path}: {error!r}"
    finally:
        connection.close()
