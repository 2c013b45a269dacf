"""The errors that a client sees: the right status, a request id, nothing internal."""
import re
import time

import pytest

import clients
import harness
import nodes
from clients import request_bytes
from harness import SLOW

ID = re.compile(r"\b(?=[0-9A-Za-z-]*[0-9])[0-9A-Za-z-]{6,}\b")


def check_page(scene, answer, status):
    """A short page of the router's own that says what happened and gives nothing away."""
    assert answer.status == status
    page = answer.text
    assert str(status) in page
    assert 0 < len(page) < 2000
    assert "equest" in page and ID.search(page), "it names a request id"
    for internal in (str(scene.directory), "unix:", ".sock", "/tmp", "node.sock", "errno",
                     ".cc", "uwsgi", "Traceback", "127.0.0.1"):
        assert internal not in page, internal


def raw(router, data, method="GET"):
    with router.client() as client:
        client.send(data)
        return client.read_answer(method)


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nBad Header: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nX-Space : x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\n folded: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a.test\r\nX: a\x00b\r\n\r\n",
    b"GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello",
    b"nonsense\r\n\r\n",
], ids=["no_host", "two_hosts", "space_in_name", "space_before_colon", "folded_first", "nul",
        "control_in_path", "two_lengths", "negative_length", "huge_length", "both_framings", "tls",
        "nonsense"])
def test_a_malformed_request_gets_400_and_the_connection_ends(scene, router, data):
    with router.client() as client:
        client.send(data)
        check_page(scene, client.read_answer(), 400)
        assert client.closed_by_peer()


def test_a_malformed_chunk_gets_400(scene, router, node):
    data = request_bytes("POST", "/", host="app.test", headers=[("Transfer-Encoding", "chunked")])
    answer = raw(router, data + b"zz\r\nabc\r\n0\r\n\r\n", "POST")
    check_page(scene, answer, 400)
    assert node.requests == []


def test_an_unknown_domain_gets_404(scene, router):
    check_page(scene, router.get(host="unknown.test"), 404)


def test_a_head_request_gets_an_error_without_a_body(router):
    with router.client() as client:
        client.send(request_bytes("HEAD", "/", host="unknown.test",
                                  headers=[("Connection", "close")]))
        assert client.read_answer("HEAD").status == 404
        assert client.read_to_end() == b""


def test_the_host_is_not_reflected_as_markup(router):
    page = raw(router, request_bytes("GET", "/<script>x</script>", host="unknown.test")).text
    assert "<script>" not in page


def test_each_error_has_an_id_of_its_own(router):
    pages = {router.get(host="unknown.test").text for _ in range(5)}
    assert len(pages) == 5


def test_a_head_that_does_not_end_gets_408(scene):
    router = harness.Router(scene, timeouts={"head": "1s"})
    with router.client() as client:
        since = time.monotonic()
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n")
        answer = client.read_answer()
        assert time.monotonic() - since > 0.8
        check_page(scene, answer, 408)
        assert client.closed_by_peer()


def test_a_head_that_drips_gets_408_all_the_same(scene):
    router = harness.Router(scene, timeouts={"head": "1s"})
    deadline = time.monotonic() + 8 * SLOW
    with router.client(seconds=0.2 / SLOW) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n")
        while True:
            assert time.monotonic() < deadline, "every byte bought it more time"
            try:
                client.send(b"X")
                check_page(scene, client.read_answer(), 408)
                return
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return  # closed, and the 408 was lost to our own late byte


@pytest.fixture
def small_bodies(scene):
    router = harness.Router(scene, limits={"body_bytes": "1k"})
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    return router


def test_a_body_over_the_limit_gets_413_without_being_read(scene, small_bodies):
    data = request_bytes("POST", "/", host="app.test", headers=[("Content-Length", "1025")])
    check_page(scene, raw(small_bodies, data, "POST"), 413)


def test_a_chunked_body_over_the_limit_gets_413(scene, small_bodies):
    data = request_bytes("POST", "/", host="app.test", headers=[("Transfer-Encoding", "chunked")])
    data += b"".join(list(clients.chunked(b"x" * 1100, size=100))[:-1])
    check_page(scene, raw(small_bodies, data, "POST"), 413)


def test_a_body_at_the_limit_passes(small_bodies):
    assert small_bodies.get(headers=[("Content-Length", "1024")], body=b"x" * 1024).text == "node"


def test_a_head_over_the_limit_gets_431(scene):
    router = harness.Router(scene, limits={"head_bytes": "8k"})
    data = request_bytes("GET", "/", host="app.test", headers=[("X-Long", "x" * 9000)])
    check_page(scene, raw(router, data), 431)


def test_a_head_over_the_limit_that_never_ends_gets_431(scene):
    router = harness.Router(scene, limits={"head_bytes": "8k"})
    data = request_bytes("GET", "/", host="app.test", headers=[("X-Long", "x" * 9000)])
    check_page(scene, raw(router, data[:-4]), 431)


def test_variables_that_do_not_fit_a_packet_get_431(scene, router, node):
    # Six bytes more a header there than here: the head fits its limit, the packet does not.
    many = [(f"H{number:04}", "v") for number in range(6000)]
    data = request_bytes("GET", "/", host="app.test", headers=many)
    assert len(data) < 65000
    check_page(scene, raw(router, data), 431)
    assert node.requests == []


def test_a_large_head_that_fits_passes_whole(router, node):
    value = "v" * 60000
    assert raw(router, request_bytes("GET", "/", host="app.test",
                                     headers=[("X-Large", value)])).text == "node"
    assert node.requests[-1].variables["HTTP_X_LARGE"] == value


def test_a_transfer_coding_that_is_not_chunked_gets_501(scene, router, node):
    data = request_bytes("POST", "/", host="app.test",
                         headers=[("Transfer-Encoding", "gzip, chunked")])
    check_page(scene, raw(router, data + b"0\r\n\r\n", "POST"), 501)
    assert node.requests == []


def scripted(scene, behave, **changes):
    router = harness.Router(scene, **changes)
    node = nodes.Node(scene, "node", behave)
    node.subscribe(router, "app.test")
    router.wait_known("app.test")
    return router


@pytest.mark.parametrize("said", [
    b"", b"HTTP/1.1 200", b"this is not HTTP\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad\x00: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 99999 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 2000000],
    ids=["nothing", "cut", "garbage", "nul", "two_lengths", "no_status", "endless_head"])
def test_an_answer_that_is_none_gets_502(scene, said):
    router = scripted(scene, lambda seen: seen.send(said))
    check_page(scene, router.get(), 502)


def test_a_domain_whose_nodes_are_all_dead_gets_503_with_retry_after(scene, router, node):
    node.close()
    answer = router.get()
    check_page(scene, answer, 503)
    assert int(answer.header("retry-after")) >= 1


def test_a_node_that_does_not_answer_gets_504_that_names_the_timeout(scene):
    def never(seen):
        seen.connection.recv(1)  # until the router gives up
    router = scripted(scene, never, timeouts={"node": "1s"})
    since = time.monotonic()
    answer = router.get()
    assert 0.8 < time.monotonic() - since < 5 * SLOW
    check_page(scene, answer, 504)
    assert "timeouts.node" in answer.text


def test_an_error_leaves_the_router_serving(router, node):
    for data in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        raw(router, data)
    assert router.get().text == "node"
