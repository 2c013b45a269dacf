"""Requests: bodies in every framing, connections that stay, old clients."""
import hashlib
import json
import signal
import threading
import time

import pytest

import clients
import harness
import nodes
from clients import request_bytes

MIB = 1 << 20


def payload(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def digest_of(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)


@pytest.mark.parametrize("size", [1, 4095, 65536, 3 * MIB])
def test_a_body_with_a_length_arrives_whole(router, vassal, size):
    body = payload(size)
    seen = digest_of(router.get("/digest", headers=[("Content-Length", str(size))], body=body))
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert seen["content_length"] == str(size)


@pytest.mark.parametrize("size", [0, 1, 70000, 20 * MIB],
                         ids=["empty", "one_byte", "70_kB", "20_MiB"])
def test_a_chunked_body_gets_a_content_length(router, vassal, size):
    body = payload(size)
    with router.client(seconds=30) as client:
        client.send(request_bytes("POST", "/digest", host="app.test",
                                  headers=[("Transfer-Encoding", "chunked")]))
        for frame in clients.chunked(body):
            client.send(frame)
        seen = digest_of(client.read_answer())
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert int(seen["content_length"] or 0) == seen["bytes"] == size


def test_chunk_extensions_and_trailers_stay_out_of_the_body(router, node):
    with router.client() as client:
        client.send(request_bytes("POST", "/", host="app.test",
                                  headers=[("Transfer-Encoding", "chunked")]))
        client.send(b"3;name=value\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n")
        assert client.read_answer().status == 200
    assert node.requests[-1].body == b"abcdefg"
    assert node.requests[-1].variables["CONTENT_LENGTH"] == "7"
    assert "HTTP_TRANSFER_ENCODING" not in node.requests[-1].variables


def test_a_chunked_body_in_single_bytes_arrives_whole(router, node):
    data = request_bytes("POST", "/", host="app.test",
                         headers=[("Transfer-Encoding", "chunked")])
    data += b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    with router.client() as client:
        for at in range(len(data)):
            client.send(data[at:at + 1])
        assert client.read_answer().status == 200
    assert node.requests[-1].body == b"hello world"


def test_the_same_body_comes_back(router, vassal):
    body = payload(MIB)
    assert router.get("/mirror", headers=[("Content-Length", str(MIB))], body=body).body == body


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_expect_100_continue_is_answered_before_the_body_is_sent(router, vassal, framing):
    body = payload(5000)
    header = ("Content-Length", "5000") if framing == "length" else (
        "Transfer-Encoding", "chunked")
    with router.client() as client:
        client.send(request_bytes("POST", "/digest", host="app.test",
                                  headers=[("Expect", "100-continue"), header]))
        interim = client.buffer
        while b"\r\n\r\n" not in interim:
            interim += client.socket.recv(4096)
        assert interim.startswith(b"HTTP/1.1 100")
        for piece in [body] if framing == "length" else clients.chunked(body):
            client.send(piece)
        assert digest_of(client.read_answer())["bytes"] == 5000


def test_head_has_the_headers_and_no_body(router, vassal):
    with router.client() as client:
        got = client.request("GET", "/big/5000", host="app.test")
        head = client.request("HEAD", "/big/5000", host="app.test")
        after = client.request("GET", "/", host="app.test")
    assert head.status == got.status == 200
    assert head.header("content-length") == got.header("content-length") == "5000"
    assert after.text == "vassal", "nothing of the HEAD's body was sent"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_does_not_disturb_the_next(router, vassal, status):
    with router.client() as client:
        assert client.request("GET", f"/status/{status}", host="app.test").status == status
        assert client.request("GET", "/", host="app.test").text == "vassal"


def test_a_connection_serves_many_requests(router, vassal):
    with router.client() as client:
        answers = [client.request("GET", "/", host="app.test") for _ in range(50)]
    assert {(answer.status, answer.text) for answer in answers} == {(200, "vassal")}
    assert all(answer.header("connection", "keep-alive") != "close" for answer in answers)


def test_requests_with_bodies_follow_each_other_on_one_connection(router, vassal):
    with router.client() as client:
        for size in (10, 100000, 0, 3):
            body = payload(size)
            seen = digest_of(client.request("POST", "/digest", host="app.test", body=body))
            assert seen["bytes"] == size


def test_connection_close_is_obeyed(router, vassal):
    with router.client() as client:
        answer = client.request("GET", "/", host="app.test", headers=[("Connection", "close")])
        assert answer.header("connection") == "close"
        assert client.closed_by_peer()


def test_an_idle_connection_is_closed_after_the_keepalive_time(scene):
    router = harness.Router(scene, timeouts={"keepalive": "1s"})
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    with router.client() as client:
        client.request("GET", "/", host="app.test")
        assert client.closed_by_peer(seconds=4)


@pytest.mark.parametrize("used", [False, True], ids=["first", "later"])
def test_half_an_empty_line_is_no_beginning(scene, used):
    router = harness.Router(scene, timeouts={"keepalive": "1s", "head": "1s"})
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    with router.client() as client:
        if used:
            client.request("GET", "/", host="app.test")
        client.send(b"\r\n\r")
        assert client.closed_by_peer(seconds=6)


def test_a_router_that_could_not_run_reads_before_it_judges(scene):
    """A machine that stood still: all had its time over, and all did in time what they had to."""
    router = harness.Router(scene, timeouts={"keepalive": "1s", "head": "1s", "node": "1s"})
    begun, goes_on, answered = threading.Event(), threading.Event(), threading.Event()
    scene.on_close(goes_on.set)

    def behave(seen):
        if not seen.header("X-Slow"):
            return seen.answer(b"node")
        begun.set()
        goes_on.wait(20)
        seen.answer(b"slow")
        return answered.set()
    nodes.HttpNode(scene, "node", behave).subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    request = request_bytes("GET", "/", host="app.test")
    with router.client() as idle, router.client() as reading, router.client() as waiting:
        assert idle.request("GET", "/", host="app.test").text == "node"
        reading.send(request[:20])
        waiting.send(request_bytes("GET", "/", host="app.test", headers=[("X-Slow", "1")]))
        assert begun.wait(20)
        router.process.signal(signal.SIGSTOP)
        idle.send(request)
        reading.send(request[20:])
        goes_on.set()
        assert answered.wait(20)
        time.sleep(2)  # the standstill itself
        router.process.signal(signal.SIGCONT)
        assert idle.read_answer().text == "node"
        assert reading.read_answer().text == "node"
        assert waiting.read_answer().text == "slow"


def test_pipelined_requests_are_answered_in_order(router, vassal):
    paths = ["/sleep/0.2", "/status/201", "/chunks/3/5", "/status/202", "/until-eof/7",
             "/status/203"]
    with router.client() as client:
        client.send(b"".join(request_bytes("GET", path, host="app.test") for path in paths))
        answers = [client.read_answer() for _ in paths]
    assert [answer.status for answer in answers] == [200, 201, 200, 202, 200, 203]
    assert answers[2].text == "aaaaabbbbbccccc"
    assert len(answers[4].body) == 7


def test_pipelined_requests_with_bodies_keep_their_bodies(router, vassal):
    with router.client() as client:
        client.send(
            request_bytes("POST", "/mirror", host="app.test", body=b"first") +
            request_bytes("POST", "/mirror", host="app.test",
                          headers=[("Transfer-Encoding", "chunked")]) +
            b"6\r\nsecond\r\n0\r\n\r\n" +
            request_bytes("POST", "/mirror", host="app.test", body=b"third"))
        assert [client.read_answer().text for _ in range(3)] == ["first", "second", "third"]


def test_a_body_that_the_application_leaves_unread_does_not_become_a_request(router, vassal):
    smuggled = request_bytes("GET", "/status/299", host="app.test")
    with router.client() as client:
        client.send(request_bytes("POST", "/unread", host="app.test", body=smuggled))
        assert client.read_answer().text == "did not look"
        client.send(request_bytes("GET", "/", host="app.test"))
        try:
            assert client.read_answer().text == "vassal"
        except (clients.Incomplete, OSError):
            pass  # closing is as good


def test_http_1_0_gets_one_answer_and_the_end(router, vassal):
    with router.client() as client:
        client.send(request_bytes("GET", "/", host="app.test", version="1.0"))
        assert client.read_answer().text == "vassal"
        assert client.closed_by_peer()


def test_http_1_0_never_gets_chunks(router, vassal):
    with router.client() as client:
        client.send(request_bytes("GET", "/chunks/3/5", host="app.test", version="1.0"))
        answer = client.read_answer()
        assert answer.header("transfer-encoding") is None
        assert answer.text == "aaaaabbbbbccccc"
        assert client.closed_by_peer()


def test_a_request_in_single_bytes_is_a_request(router, vassal):
    with router.client() as client:
        for byte in request_bytes("GET", "/", host="app.test"):
            client.send(bytes([byte]))
        assert client.read_answer().text == "vassal"
