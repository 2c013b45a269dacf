"""Raw nodes (modifier1 123): a packet, and then nothing but bytes, both ways."""
import json
import socket
import threading

import pytest

import clients
import harness
import nodes
import packets
import tls
from harness import wait_until

RAW = 123
REQUEST = (b"POST /a?b=1 HTTP/1.1\r\nHost: raw.test\r\nX-Client-DN: /CN=root\r\n"
           b"Content-Length: 5\r\n\r\nhello")


class RawNode:
    """What it does with a connection is the test's business; those of others it ends."""

    def __init__(self, scene, name="raw"):
        self.address = str(scene.directory / f"{name}.sock")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.address)
        self.listener.listen(64)
        scene.on_close(self.listener.close)

    def announce(self, router, **fields):
        router.deliver(packets.subscription("raw.test", self.address, modifier1=RAW, **fields))
        router.wait_known("raw.test")

    def accept(self, path="/a", seconds=10.0):
        """The connection on which this path is asked for, and the packet."""
        while True:
            self.listener.settimeout(seconds * clients.SLOW)
            connection, _ = self.listener.accept()
            connection.settimeout(seconds * clients.SLOW)
            seen = nodes.receive_request(connection)
            if seen.variables["PATH_INFO"] == path:
                return connection, seen
            connection.close()


@pytest.fixture
def router(scene):
    return harness.Router(scene)


@pytest.fixture
def raw(scene):
    return RawNode(scene)


def test_bytes_of_both_sides_are_passed_on(router, raw):
    raw.announce(router, modifier2=7)
    with router.client() as client:
        client.send(REQUEST)
        node, seen = raw.accept()
        with node:
            assert (seen.modifier1, seen.modifier2) == (0, 7)
            assert seen.variables["REQUEST_URI"] == "/a?b=1"
            assert "HTTP_X_CLIENT_DN" not in seen.variables
            assert nodes.receive_exactly(node, 5) == b"hello"
            node.sendall(b"this is no HTTP\r\n")
            assert client._line() == "this is no HTTP"
            # Another request of the client's is the node's business too.
            second = b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n"
            client.send(second)
            assert nodes.receive_exactly(node, len(second)) == second
            wait_until(lambda: router.metric("fealty_tunnels") == 1,
                       "those that asked whether it is known have gone")
            # Each side's end reaches the other by itself.
            client.socket.shutdown(socket.SHUT_WR)
            assert node.recv(1) == b""
            node.sendall(b"goodbye\r\n")
        assert client.read_to_end() == b"goodbye\r\n"


def test_as_uwsgis_own_router_does_it(scene, router, raw):
    """The same request through both: the same modifier, the same bytes behind the packet."""
    own, server = harness.free_port(), harness.free_port(socket.SOCK_DGRAM)
    scene.spawn("uwsgi-http", ["uwsgi", "--plugins", "http", "--master",
                               "--http", f"127.0.0.1:{own}",
                               "--http-subscription-server", f"127.0.0.1:{server}"])
    raw.announce(router)

    def asked(port, seconds):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(REQUEST)
            connection, seen = raw.accept(seconds=seconds)
            with connection:
                body = nodes.receive_exactly(connection, 5)
                client.sendall(b"more")
                return seen.modifier1, body, nodes.receive_exactly(connection, 4)

    def asked_uwsgi():
        packets.send(packets.subscription("raw.test", raw.address, modifier1=RAW),
                     ("127.0.0.1", server))
        try:
            return asked(own, 0.3)
        except OSError:
            return None
    theirs = wait_until(asked_uwsgi, "uWSGI's router has the node")
    assert theirs == asked(router.port, 10) == (0, b"hello", b"more")


def test_a_chunked_body_keeps_its_framing(router, raw):
    raw.announce(router)
    with router.client() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: raw.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n0\r\n\r\n")
        node, _ = raw.accept()
        with node:
            assert nodes.receive_exactly(node, 13) == b"3\r\nabc\r\n0\r\n\r\n"


def test_much_goes_both_ways(router, raw):
    """More than any buffer holds, while nobody reads at first."""
    raw.announce(router)
    size = 8 << 20
    with router.client(seconds=30) as client:
        client.send(b"GET /a HTTP/1.1\r\nHost: raw.test\r\n\r\n")
        node, _ = raw.accept()
        sending = [threading.Thread(target=end.sendall, args=(byte * size,), daemon=True)
                   for end, byte in ((node, b"n"), (client.socket, b"c"))]
        for thread in sending:
            thread.start()
        assert nodes.receive_exactly(node, size) == b"c" * size
        assert client._exactly(size) == b"n" * size
        node.close()


def test_a_raw_node_without_an_answer_is_a_502(router, raw):
    raw.announce(router)
    with router.client() as client:
        client.send(REQUEST)
        raw.accept()[0].close()
        assert client.read_answer().status == 502
    wait_until(lambda: router.metric("fealty_tunnels") == 0, "no tunnel is left")


def test_a_raw_node_that_says_nothing_is_a_504(scene, raw):
    router = harness.Router(scene, timeouts={"node": "1s"})
    raw.announce(router)
    with router.client() as client:
        client.send(REQUEST)
        node, _ = raw.accept()
        with node:
            assert client.read_answer().status == 504


def test_one_that_is_gone_leaves_it_to_another(scene, router, raw):
    gone = RawNode(scene, "gone")
    gone.listener.close()
    raw.announce(router)
    gone.announce(router)
    for _ in range(4):
        with router.client() as client:
            client.send(REQUEST)
            node, _ = raw.accept()
            with node:
                assert nodes.receive_exactly(node, 5) == b"hello"
                node.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert client.read_to_end() == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_the_access_log_has_the_status_of_one_that_speaks_http(scene, raw):
    path = scene.directory / "access.log"
    router = harness.Router(scene, access_log={"path": str(path), "format": "json"})
    raw.announce(router)
    for answer in (b"HTTP/1.1 201 Created\r\n\r\n", b"hello"):
        with router.client() as client:
            client.send(REQUEST)
            node, _ = raw.accept()
            with node:
                assert nodes.receive_exactly(node, 5) == b"hello"
                node.sendall(answer)
            assert client.read_to_end() == answer

    def logged():
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        return sorted(entry["status"] for entry in entries if entry["uri"] == "/a?b=1")
    wait_until(lambda: logged() == [0, 201], "both are in the log")


def test_over_tls_it_is_told_so(scene, raw):
    router = tls.Router(scene, tls.Files(scene.subdirectory("tls")))
    raw.announce(router)
    with router.tls("raw.test") as client:
        client.send(REQUEST)
        node, seen = raw.accept()
        with node:
            assert seen.variables["HTTPS"] == "on"
            assert nodes.receive_exactly(node, 5) == b"hello"
            node.sendall(b"yes")
            assert client._exactly(3) == b"yes"
