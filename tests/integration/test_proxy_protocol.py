"""The PROXY header in front of a connection: who the client is, said by a load balancer."""
import signal
import socket
import struct
import time

import pytest

import clients
import harness
import nodes
import tls

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"
V6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n"


def v2(command=0x21, family=0x11, data=b"\xc0\0\2\7\x0a\0\0\1" + struct.pack(">HH", 4711, 443)):
    return SIGNATURE + struct.pack(">BBH", command, family, len(data)) + data


def proxied(scene, trusted=("127.0.0.0/8",), **more):
    router = harness.Router(scene, **more)
    router.reload(listeners=[{"address": f"127.0.0.1:{router.port}", "proxy_protocol": True,
                              "trusted": list(trusted)}])
    return router


@pytest.fixture
def balanced(scene):
    router = proxied(scene)
    node = nodes.Node(scene, "node")
    router.deliver(nodes.packets.subscription("app.test", node.address))

    def known():
        return asked(router, V1).status == 200
    harness.wait_until(lambda: all(known() for _ in range(8)), "every worker knows app.test")
    node.requests.clear()
    return router, node


def asked(router, header, pieces=None):
    request = clients.request_bytes("GET", "/", host="app.test")
    with router.client() as client:
        for piece in pieces or [header + request]:
            client.send(piece)
        return client.read_answer()


@pytest.mark.parametrize("header, addr, port", [
    (V1, "192.0.2.7", "4711"), (V6, "2001:db8::7", "4711"), (v2(), "192.0.2.7", "4711"),
    (v2(data=v2()[16:] + b"\x04\0\2xx"), "192.0.2.7", "4711")])
def test_the_client_is_who_the_header_says(balanced, header, addr, port):
    router, node = balanced
    assert asked(router, header).status == 200
    variables = node.requests[-1].variables
    assert (variables["REMOTE_ADDR"], variables["REMOTE_PORT"]) == (addr, port)


@pytest.mark.parametrize("header", [v2(0x20, 0, b""), b"PROXY UNKNOWN\r\n"])
def test_the_balancers_own_connection_is_its_own(balanced, header):
    router, node = balanced
    assert asked(router, header).status == 200
    assert node.requests[-1].variables["REMOTE_ADDR"] == "127.0.0.1"


def test_it_may_come_byte_by_byte(balanced):
    router, node = balanced
    request = clients.request_bytes("GET", "/", host="app.test")
    for header in (V1, v2()):
        pieces = [bytes([byte]) for byte in header] + [request]
        assert asked(router, header, pieces).status == 200
        assert node.requests[-1].variables["REMOTE_ADDR"] == "192.0.2.7"


def test_http_nodes_get_it_as_x_forwarded_for(scene):
    router = proxied(scene)
    node = nodes.HttpNode(scene, "http")
    router.deliver(nodes.packets.subscription("app.test", node.address, proto="http"))
    harness.wait_until(lambda: asked(router, V1).status == 200, "app.test is known")
    assert node.requests[-1].header("X-Forwarded-For") == "192.0.2.7"


@pytest.mark.parametrize("begin", [
    b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", b"PROXY TCP4 nobody\r\n", v2(0x22), b"\x16\x03\x01",
    b"PROXY UNKNOWN " + b"x" * 200, v2(data=b"x" * 5000)])
def test_what_is_no_header_ends_the_connection(balanced, begin):
    router, node = balanced
    before = router.metric("fealty_proxy_refused_total")
    with router.client() as client:
        client.send(begin)
        assert client.closed_by_peer()
    assert router.metric("fealty_proxy_refused_total") == before + 1
    assert node.requests == []


def test_who_only_looks_whether_somebody_listens_is_no_refusal(balanced):
    router, _ = balanced
    before = router.metric("fealty_proxy_refused_total")
    for _ in range(3):
        router.client().close()
    harness.wait_until(lambda: router.stats()["active_sessions"] == 0, "all are gone")
    assert router.metric("fealty_proxy_refused_total") == before


def test_refusals_are_said_and_not_for_each(scene):
    router = proxied(scene, trusted=["192.0.2.0/24"], workers=1)
    for _ in range(20):
        with router.client() as client:
            assert client.closed_by_peer()
    assert router.process.log().count("connection of 127.0.0.1 refused") == 1


def test_who_has_sent_nothing_does_not_hold_up_the_end(scene):
    router = proxied(scene, timeouts={"head": "60s", "drain": "60s"})
    with router.client():
        harness.wait_until(lambda: router.stats()["active_sessions"] == 1, "it is there")
        router.process.signal(signal.SIGTERM)
        assert router.process.wait(5) == 0


def test_who_is_not_trusted_is_refused(scene):
    router = proxied(scene, trusted=["192.0.2.0/24"])
    with router.client() as client:
        assert client.closed_by_peer()
    assert router.metric("fealty_proxy_refused_total") == 1


def test_a_header_that_does_not_come_is_not_waited_for(scene):
    router = proxied(scene, timeouts={"head": "300ms"})
    for begin in (b"", b"PROXY TCP4 192.", v2()[:20]):
        with router.client() as client:
            client.send(begin)
            since = time.monotonic()
            assert client.closed_by_peer()
            assert time.monotonic() - since > 0.2


def test_a_header_that_stays_incomplete_costs_no_time(balanced):
    router, _ = balanced

    def ticks():
        fields = open(f"/proc/{router.pid}/stat", encoding="ascii").read().rpartition(")")[2]
        return sum(map(int, fields.split()[11:13]))
    with router.client() as client:
        client.send(V1[:20])
        before = ticks()
        time.sleep(0.5)  # what is measured is that nothing happens
        assert ticks() - before < 10


def test_tls_comes_behind_it(scene):
    files = tls.Files(scene.directory)
    router = tls.Router(scene, files, https={"proxy_protocol": True, "trusted": ["127.0.0.1"]})
    node = nodes.Node(scene, "node")
    router.announce(node, "app.test")
    for header in (V1, v2()):
        with socket.create_connection(("127.0.0.1", router.tls_port), 10) as plain:
            plain.sendall(header)
            secure = tls.context_for().wrap_socket(plain, server_hostname="app.test")
            with secure:
                secure.sendall(clients.request_bytes("GET", "/", host="app.test"))
                assert secure.recv(100).startswith(b"HTTP/1.1 200")
        variables = node.requests[-1].variables
        assert variables["REMOTE_ADDR"] == "192.0.2.7"
        assert variables["HTTPS"] == "on"
