"""Nodes that speak HTTP/1.1: Node.js, Gunicorn, and some that do what a test says."""
import hashlib
import json
import signal
import threading

import pytest

import clients
import harness
import nodes
import vassals
import web_apps
import websockets
from clients import request_bytes

MIB = 1 << 20


@pytest.fixture
def nodejs(scene, router):
    app = web_apps.NodeJs(scene, "nodejs")
    app.subscribe(router, "app.test")
    router.wait_answering("app.test", ["nodejs"])
    return app


@pytest.fixture
def gunicorn(scene, router):
    app = web_apps.Gunicorn(scene, "gunicorn")
    app.subscribe(router, "app.test")
    router.wait_answering("app.test", ["gunicorn"])
    return app


@pytest.fixture(params=["nodejs", "gunicorn"])
def app(request):
    return request.getfixturevalue(request.param)


def http_node(scene, router, behave=None, name="node", key="app.test"):
    node = nodes.HttpNode(scene, name, behave)
    node.subscribe(router, key)
    router.wait_known(key)
    node.requests.clear()
    return node


def payload(size):
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def one_worker(scene):
    return harness.Router(scene, workers=1)


# ------------------------------------------------------------ real applications

def test_requests_of_many_clients_share_a_connection(scene):
    router = one_worker(scene)
    app = web_apps.NodeJs(scene, "nodejs", tcp=True)
    app.subscribe(router, "app.test")
    router.wait_answering("app.test", ["nodejs"])
    seen = {router.get("/connection").text for _ in range(20)}
    assert len(seen) == 1


def test_the_node_gets_what_the_client_sent_and_who_it_is(router, nodejs):
    with router.client() as client:
        answer = client.request("GET", "/head?a=b", host="App.Test:80", headers=[
            ("X-Odd-Case", "kept  as it is"), ("X-Forwarded-For", "9.9.9.9"),
            ("X-Client-DN", "/CN=root"), ("X_Sneaky", "1"), ("Connection", "X-Mine"),
            ("X-Mine", "1"), ("Cookie", "a=1"), ("Cookie", "b=2")])
    assert json.loads(answer.body) == [
        ["Host", "App.Test:80"], ["X-Odd-Case", "kept  as it is"], ["Cookie", "a=1"],
        ["Cookie", "b=2"], ["X-Forwarded-For", "127.0.0.1"], ["X-Forwarded-Proto", "http"],
        ["X-Forwarded-Host", "App.Test:80"]]


@pytest.mark.parametrize("size", [0, 1, 70000, 3 * MIB])
def test_a_body_with_a_length_arrives_whole(router, app, size):
    body = payload(size)
    seen = json.loads(router.get("/digest", headers=[("Content-Length", str(size))],
                                 body=body).body)
    assert seen["bytes"] == size
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 70000, 20 * MIB])
def test_a_chunked_body_reaches_nodejs_chunked(router, nodejs, size):
    body = payload(size)
    with router.client(seconds=30) as client:
        client.send(request_bytes("POST", "/digest", host="app.test",
                                  headers=[("Transfer-Encoding", "chunked")]))
        for frame in clients.chunked(body):
            client.send(frame)
        seen = json.loads(client.read_answer().body)
        assert client.request("GET", "/", host="app.test").text == "nodejs"
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert seen["headers"]["transfer-encoding"] == "chunked"
    assert "content-length" not in seen["headers"]


def test_a_body_comes_back_while_it_is_sent(router, nodejs):
    """Both ways at once: what was sent is back before the rest is sent."""
    with router.client() as client:
        client.send(request_bytes("POST", "/mirror", host="app.test",
                                  headers=[("Transfer-Encoding", "chunked")]))
        version, status, _, headers = None, None, None, None
        for at in range(5):
            piece = b"piece %d" % at
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            if version is None:
                version, status, _, headers = client._read_head()
                assert status == 200
            assert int(client._line(), 16) == len(piece)
            assert client._exactly(len(piece)) == piece
            assert client._line() == ""
        client.send(b"0\r\n\r\n")
        assert client._line() == "0"


def test_answers_arrive_in_every_framing(router, gunicorn):
    with router.client() as client:
        for _ in range(3):
            for path in ("/big/100000", "/until-eof/100000"):
                answer = client.request("GET", path, host="app.test")
                assert len(answer.body) == 100000, path
            head = client.request("HEAD", "/big/100000", host="app.test")
            assert head.header("content-length") == "100000"
            assert client.request("GET", "/status/204", host="app.test").status == 204
            assert client.request("GET", "/status/304", host="app.test").status == 304
            assert client.request("GET", "/", host="app.test").text == "gunicorn"


def test_a_kept_connection_that_the_node_closed_fails_no_request(scene, router):
    """Gunicorn closes after a second; requests come just then, again and again."""
    app = web_apps.Gunicorn(scene, "gunicorn", options=["--keep-alive", "1"])
    app.subscribe(router, "app.test")
    router.wait_answering("app.test", ["gunicorn"])
    with clients.Load(router.port, host="app.test", connections=8, requests=400,
                      path="/sleep/0.05") as load:
        results = load.join()
    assert [result for result in results if result[1] != 200] == []


def test_two_of_three_killed_fail_no_get(scene, router):
    names = ["one", "two", "three"]
    apps = [web_apps.NodeJs(scene, name) for name in names]
    for app in apps:
        app.subscribe(router, "app.test")
    router.wait_answering("app.test", names)
    with clients.Load(router.port, host="app.test", connections=32, path="/sleep/3") as load:
        for app in apps[:2]:
            load.wait_for_more(500)
            app.process.signal(signal.SIGKILL)
        load.wait_for_more(1000)
        results = load.stop()
    assert [result for result in results if result[1] != 200] == []
    assert set(load.answered_by()) == set(names)


# ------------------------------------------------------------ scripted nodes

def test_a_post_never_goes_over_a_connection_that_may_be_dead(scene):
    router = one_worker(scene)
    node = http_node(scene, router)
    for _ in range(10):
        with router.client() as client:
            assert client.request("GET", "/", host="app.test").status == 200
            before = node.accepted
            answer = client.request("POST", "/", host="app.test", body=b"once")
            assert answer.status == 200
            assert node.accepted == before + 1
    assert [seen.body for seen in node.requests].count(b"once") == 10


def test_surplus_bytes_never_reach_the_next_client(scene):
    router = one_worker(scene)

    def answer_twice(seen):
        one = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
        seen.send(one % (4, b"mine") + one % (6, b"POISON"))
    http_node(scene, router, answer_twice)
    for _ in range(50):
        assert router.get().text == "mine"


def test_a_node_that_says_100_and_103_is_understood(scene, router):
    def interim(seen):
        seen.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        seen.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        seen.answer(b"after all")
    http_node(scene, router, interim)
    answer = router.get()
    assert (answer.interim, answer.text) == ([103], "after all")


def test_an_old_node_that_ends_with_its_connection_is_understood(scene, router):
    def old(seen):
        seen.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end")
        seen.connection.close()
        seen.reader.close()
    http_node(scene, router, old)
    with router.client() as client:
        for _ in range(3):
            assert client.request("GET", "/", host="app.test").text == "to the end"


def test_a_chunked_body_for_either_protocol(scene, router):
    """One pool, both protocols: the body is collected, and each gets its length."""
    web, plain = nodes.HttpNode(scene, "web"), nodes.Node(scene, "plain")
    web.subscribe(router, "app.test")
    plain.subscribe(router, "app.test")
    router.wait_answering("app.test", ["web", "plain"])
    texts = set()
    with router.client() as client:
        for _ in range(8):
            client.send(request_bytes("POST", "/", host="app.test",
                                      headers=[("Transfer-Encoding", "chunked")]))
            for frame in clients.chunked(b"hello world", 4):
                client.send(frame)
            texts.add(client.read_answer().text)
    assert texts == {"web", "plain"}
    bodies = [seen.body for seen in web.requests + plain.requests if seen.body]
    assert bodies == [b"hello world"] * 8


# ------------------------------------------------------------ long ones

@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_64_mib_each_way_in_bounded_memory(scene, framing):
    router = one_worker(scene)
    app = web_apps.NodeJs(scene, "nodejs")
    app.subscribe(router, "app.test")
    router.wait_answering("app.test", ["nodejs"])
    total, block = 64 * MIB, payload(MIB)
    before = most = router.rss_kib()
    with router.client(seconds=60) as client:
        answer = client.request("GET", f"/big/{total}", host="app.test")
        assert len(answer.body) == total
        del answer
        most = max(most, router.rss_kib())
        header = ("Content-Length", str(total)) if framing == "length" else (
            "Transfer-Encoding", "chunked")
        client.send(request_bytes("POST", "/digest", host="app.test", headers=[header]))
        sha = hashlib.sha256()
        for _ in range(64):
            sha.update(block)
            client.send(block if framing == "length" else b"%x\r\n%s\r\n" % (MIB, block))
            most = max(most, router.rss_kib())
        if framing == "chunked":
            client.send(b"0\r\n\r\n")
        assert json.loads(client.read_answer().body)["sha256"] == sha.hexdigest()
    if harness.SLOW == 1:
        assert most - before < 4096


# ------------------------------------------------------------ WebSockets

class WebSocketVassal(vassals.Vassal):
    """A vassal with apps/websocket.py."""

    def __init__(self, scene, router, name, **how):
        super().__init__(scene, router, name, options=(
            "--wsgi-file", harness.APPS / "websocket.py"), **how)


@pytest.fixture(params=["uwsgi", "http"])
def echo(request, scene, router):
    if request.param == "http":
        return request.getfixturevalue("nodejs")
    vassal = WebSocketVassal(scene, router, "echo")
    router.wait_answering("app.test", ["plain"])
    return vassal


def test_a_websocket_is_echoed(router, echo):
    with router.client() as client:
        peer = websockets.WebSocket(client)
        assert (peer.status, peer.accepted) == (101, True)
        for size in (1, 125, 126, 5000, 65535, 65536, 300000):
            text = (b"0123456789" * (size // 10 + 1))[:size]
            peer.send(text)
            assert peer.receive() == (websockets.TEXT, text)
        peer.send(b"\x03\xe8", websockets.CLOSE)
        client.read_to_end()  # the node's end is the client's


def test_websockets_and_requests_stand_beside_each_other(router, nodejs):
    with router.client() as one, router.client() as two:
        peers = [websockets.WebSocket(one), websockets.WebSocket(two)]
        for at in range(20):
            for number, peer in enumerate(peers):
                peer.send(b"%d of %d" % (at, number))
            assert router.get().text == "nodejs"
            for number, peer in enumerate(peers):
                assert peer.receive()[1] == b"%d of %d" % (at, number)


def test_a_websocket_of_both_at_once_loses_nothing(router, nodejs):
    """Neither side waits for the other: 8 MiB are on their way in both directions."""
    frames, size = 128, 65000
    with router.client(seconds=60) as client:
        peer = websockets.WebSocket(client)
        got = []

        def read():
            for _ in range(frames):
                got.append(peer.receive())
        reader = threading.Thread(target=read)
        reader.start()
        for at in range(frames):
            peer.send(bytes([at]) * size, websockets.BINARY)
        reader.join()
    assert got == [(websockets.BINARY, bytes([at]) * size) for at in range(frames)]


def test_a_client_that_vanishes_ends_the_node_too(scene, router):
    ended = threading.Event()

    def switch(seen):
        seen.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  b"Connection: Upgrade\r\n\r\n")
        while seen.connection.recv(100):
            pass
        ended.set()
    http_node(scene, router, switch)
    with router.client() as client:
        assert websockets.WebSocket(client).status == 101
    assert ended.wait(20)


@pytest.mark.parametrize("protocol", [nodes.Node, nodes.HttpNode])
def test_a_client_that_goes_takes_its_request_along(scene, router, protocol):
    begun, ended = threading.Event(), threading.Event()

    def never(seen):
        begun.set()
        if seen.connection.recv(1) == b"":
            ended.set()
        seen.connection.close()
    protocol(scene, "silent", never).subscribe(router, "app.test")
    router.wait_known("app.test")
    begun.clear()
    with router.client() as client:
        client.send(request_bytes("GET", "/", host="app.test"))
        assert begun.wait(20)
    assert ended.wait(20)
    harness.wait_until(lambda: router.nodes("app.test")[0]["ref"] == 0, "it counts no more")
    assert "failed" not in router.process.log()


def test_a_length_that_is_said_twice_is_said_once(scene, router):
    http_node(scene, router, lambda seen: seen.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"))
    answer = router.get("/", host="app.test")
    assert (answer.text, answer.all("content-length")) == ("ok", ["2"])


def test_a_switch_that_nobody_asked_for_is_502(scene, router):
    def switch(seen):
        seen.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    http_node(scene, router, switch)
    assert router.get().status == 502
