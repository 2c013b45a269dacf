"""Answers reach the client unchanged, and a cut one never looks complete."""
import hashlib
import threading

import pytest

import clients
import nodes
from clients import Incomplete, request_bytes

PATTERN = bytes(range(256)) * 256


def pattern(size):
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


@pytest.mark.parametrize("path", ["/big/10000000", "/until-eof/3000000"])
def test_a_large_answer_arrives_whole(router, vassal, path):
    size = int(path.rpartition("/")[2])
    body = router.get(path).body
    assert len(body) == size
    assert hashlib.sha256(body).digest() == hashlib.sha256(pattern(size)).digest()


def test_a_chunked_answer_arrives_whole(router, vassal):
    answer = router.get("/chunks/500/1000")
    assert answer.body == b"".join(bytes([97 + at % 26]) * 1000 for at in range(500))


def test_the_connection_serves_on_after_an_answer_without_a_length(router, vassal):
    with router.client() as client:
        assert len(client.request("GET", "/until-eof/10", host="app.test").body) == 10
        # Either it was chunked and the connection stays, or the end was the connection's.
        if not client.closed_by_peer(seconds=0.3):
            assert client.request("GET", "/", host="app.test").text == "vassal"


def test_an_answer_is_streamed_as_it_comes(scene, router):
    release = threading.Event()

    def in_two_parts(seen):
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        release.wait(20)
        seen.send(b"later")
    scene.on_close(release.set)
    scripted(scene, router, in_two_parts)
    with router.client() as client:
        client.send(request_bytes("GET", "/", host="app.test"))
        received = b""
        while not received.endswith(b"first"):
            received += client.socket.recv(4096)
        release.set()
        assert client.socket.recv(4096) == b"later"


def test_hop_by_hop_headers_stay_between_node_and_router(router, vassal):
    answer = router.get("/hop")
    assert answer.text == "hop"
    assert answer.header("x-private") is None
    assert "99" not in answer.header("keep-alive", "")
    assert "x-private" not in answer.header("connection", "").lower()
    assert answer.header("x-public") == "stays"
    assert answer.all("set-cookie") == ["a=1", "b=2"]


def test_the_status_and_its_reason_pass(router, vassal):
    answer = router.get("/status/418")
    assert (answer.status, answer.reason) == (418, "Of The Application")


def test_an_applications_own_error_page_passes(router, vassal):
    answer = router.get("/status/503")
    assert (answer.status, answer.text) == (503, "503")
    assert answer.header("retry-after") is None


def incomplete(router, path="/", method="GET"):
    """Whether the answer to a request is cut, as any careful client would see it."""
    with router.client() as client:
        client.send(request_bytes(method, path, host="app.test"))
        try:
            answer = client.read_answer(method)
        except (Incomplete, ConnectionResetError):
            return True
        return answer.status == 502


def test_an_answer_shorter_than_its_length_is_cut(router, vassal):
    assert incomplete(router, "/short/10")
    assert incomplete(router, "/short/300000")


def test_a_chunked_answer_without_its_last_chunk_is_cut(router, vassal):
    assert incomplete(router, "/cut/3")


def scripted(scene, router, behave, **how):
    node = nodes.Node(scene, "scripted", behave, **how)
    node.subscribe(router, "app.test")
    router.wait_known("app.test")
    return node


@pytest.mark.parametrize("tail", [
    b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r", b"5\r\nhello\r\n", b"5\r\nhello\r\n0",
    b"5\r\nhello\r\n0\r\n", b"5", b"", b"xyz\r\nhello\r\n0\r\n\r\n"],
    ids=["data", "data_end", "cr", "crlf", "zero", "last_line", "size", "nothing", "no_number"])
def test_chunks_cut_at_any_point_never_look_complete(scene, router, tail):
    scripted(scene, router, lambda seen: seen.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tail))
    assert incomplete(router)


def test_a_reset_within_an_answer_without_a_length_is_cut(scene, router):
    def start_and_reset(seen):
        seen.send(b"HTTP/1.1 200 OK\r\n\r\nthis is not al")
        nodes.reset(seen.connection)
    scripted(scene, router, start_and_reset, tcp=True)
    assert incomplete(router)


def test_more_than_the_promised_length_is_not_passed_on(scene, router):
    node = scripted(scene, router, lambda seen: seen.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\n\r\nevil"))
    with router.client() as client:
        assert client.request("GET", "/", host="app.test").text == "good"
        client.send(request_bytes("GET", "/second", host="app.test"))
        assert client.read_answer().text == "good"
    assert node.requests[-1].variables["PATH_INFO"] == "/second"


def test_a_client_that_leaves_lets_the_nodes_connection_go(scene, router):
    gone = threading.Event()

    def until_gone(seen):
        seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        try:
            while True:
                seen.send(PATTERN)
        except OSError:
            gone.set()
    scripted(scene, router, until_gone)
    with router.client() as client:
        client.send(request_bytes("GET", "/", host="app.test"))
        client.socket.recv(1000)
    assert gone.wait(10 * clients.SLOW)
