"""A listener that speaks uwsgi: behind nginx's uwsgi_pass, behind uWSGI's http router, and
with clients that lie."""
import os
import secrets
import socket
import struct
import time

import pytest

import clients
import harness
import nodes
import packets
import prometheus
import tls
import vassals


class Fast(harness.Router):
    """A router with a uwsgi listener beside the plain one."""

    def __init__(self, scene, *, trusted=(), sealed=False, **changes):
        self._more = {"sealed": True} if sealed else {"trusted": list(trusted)}
        super().__init__(scene, **changes)

    def _write(self, changes):
        self.fast_port = harness.free_port()
        super()._write(changes)
        self.change(listeners=[
            *self.config["listeners"],
            {"address": f"127.0.0.1:{self.fast_port}", "protocol": "uwsgi",
             **self._more}])


@pytest.fixture
def fast(scene):
    return Fast(scene)


@pytest.fixture
def node(scene, fast):
    node = nodes.Node(scene, "node")
    node.subscribe(fast, "app.test", modifier1=5, modifier2=7)
    fast.wait_known("app.test")
    node.requests.clear()
    return node


def variables(host="app.test", path="/", method="GET", **more):
    pairs = {"REQUEST_METHOD": method, "REQUEST_URI": path, "PATH_INFO": path.partition("?")[0],
             "QUERY_STRING": path.partition("?")[2], "SERVER_PROTOCOL": "HTTP/1.1",
             "SCRIPT_NAME": "", "SERVER_NAME": host, "SERVER_PORT": "80", "HTTP_HOST": host,
             "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711", **more}
    return [(name, value) for name, value in pairs.items() if value is not None]


def asked(router, pairs, body=b"", modifier1=0):
    with clients.Client(("127.0.0.1", router.fast_port)) as client:
        client.send(packets.frame(packets.encode_pairs(pairs), modifier1) + body)
        answer = client.read_answer()
        assert client.closed_by_peer()
        return answer


def test_the_packet_goes_on_as_it_came_with_the_nodes_modifiers(fast, node):
    pairs = variables(path="/a?b=c", X_OWN="what it likes", HTTP_X_MORE="1")
    answer = asked(fast, pairs, modifier1=14)
    assert (answer.status, answer.text) == (200, "node")
    seen = node.requests[-1]
    assert seen.pairs == pairs
    assert (seen.modifier1, seen.modifier2) == (5, 7)


def test_the_key_is_the_fastrouters_then_the_host_then_the_name(scene, fast, node):
    assert asked(fast, variables("other.test", UWSGI_FASTROUTER_KEY="app.test")).status == 200
    assert asked(fast, variables("APP.test:8080")).status == 200
    assert asked(fast, variables("app.test", HTTP_HOST=None)).status == 200
    assert asked(fast, variables("other.test", SERVER_NAME="app.test")).status == 404
    assert asked(fast, variables("app.test", UWSGI_FASTROUTER_KEY="other.test")).status == 404


def test_bodies_go_on(fast, node):
    body = bytes(range(256)) * 4096
    node._behave = lambda seen: seen.answer(str(sum(seen.read_body())).encode())
    answer = asked(fast, variables(method="POST", CONTENT_LENGTH=str(len(body))), body)
    assert answer.text == str(sum(body))


def test_http_nodes_are_served_too(scene, fast):
    node = nodes.HttpNode(scene, "http", lambda seen: seen.answer(seen.read_body()))
    fast.deliver(packets.subscription("http.test", node.address, proto="http"))
    fast.wait_known("http.test")
    answer = asked(fast, variables("http.test", "/a%20b?c", "POST", CONTENT_LENGTH="3",
                                   CONTENT_TYPE="text/x", HTTP_X_MORE_OF_IT="yes",
                                   HTTP_COOKIE="a=b", HTTP_PROXY="evil"), b"abc")
    assert answer.text == "abc"
    seen = node.requests[-1]
    assert seen.line == "POST /a%20b?c HTTP/1.1"
    assert seen.header("Host") == "http.test"
    assert seen.header("Content-Type") == "text/x"
    assert seen.header("X-More-Of-It") == "yes"
    assert seen.header("X-Forwarded-For") == "192.0.2.7"
    assert seen.header("X-Forwarded-Proto") == "http"
    assert seen.header("Proxy") == ""


def test_a_pool_of_both_protocols(scene, fast):
    one = nodes.Node(scene, "one")
    two = nodes.HttpNode(scene, "two")
    fast.deliver(packets.subscription("both.test", one.address))
    fast.deliver(packets.subscription("both.test", two.address, proto="http"))
    harness.wait_until(
        lambda: {asked(fast, variables("both.test")).text for _ in range(4)} == {"one", "two"},
        "both answer")


def test_answers_end_where_the_client_can_tell(scene, fast):
    def chunked(seen):
        seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                  b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    node = nodes.HttpNode(scene, "chunked", chunked)
    fast.deliver(packets.subscription("chunked.test", node.address, proto="http"))
    fast.wait_known("chunked.test")
    answer = asked(fast, variables("chunked.test"))
    assert (answer.header("transfer-encoding"), answer.text) == (None, "abcdef")


@pytest.mark.parametrize("name", ["HTTPS", "HTTPS_DN", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE"])
def test_what_is_said_of_tls_counts_only_of_those_who_are_trusted(scene, fast, node, name):
    asked(fast, variables(**{"HTTPS": "on", name: "forged"}))
    assert not any(key.startswith("HTTPS") for key in node.requests[-1].variables)
    fast.reload(listeners=[{"address": f"127.0.0.1:{fast.fast_port}", "protocol": "uwsgi",
                            "trusted": ["127.0.0.0/8"]}])
    asked(fast, variables(**{"HTTPS": "on", name: "true"}))
    assert node.requests[-1].variables[name] == "true"


@pytest.mark.parametrize("name", ["UWSGI_FILE", "UWSGI_SCRIPT", "UWSGI_MODULE", "UWSGI_CHDIR",
                                  "DOCUMENT_ROOT", "SCRIPT_FILENAME", "REMOTE_USER",
                                  "REQUEST_SCHEME", "SSL_CLIENT_S_DN"])
def test_what_to_run_counts_only_of_those_who_are_trusted(fast, node, name):
    asked(fast, variables(**{name: "exec:///bin/id", "UWSGI_ROUTER": "http"}))
    seen = node.requests[-1].variables
    assert name not in seen and seen["UWSGI_ROUTER"] == "http"
    fast.reload(listeners=[{"address": f"127.0.0.1:{fast.fast_port}", "protocol": "uwsgi",
                            "trusted": ["127.0.0.0/8"]}])
    asked(fast, variables(**{name: "true"}))
    assert node.requests[-1].variables[name] == "true"


def test_the_client_is_the_peer_where_others_are_trusted(scene, fast, node):
    web = nodes.HttpNode(scene, "web")
    fast.deliver(packets.subscription("web.test", web.address, proto="http"))
    fast.wait_known("web.test")
    fast.reload(listeners=[{"address": f"127.0.0.1:{fast.fast_port}", "protocol": "uwsgi",
                            "trusted": ["192.0.2.1"]}])
    asked(fast, variables())
    seen = node.requests[-1]
    assert seen.variables["REMOTE_ADDR"] == "127.0.0.1"
    assert seen.variables["REMOTE_PORT"] != "4711"
    assert len([name for name, _ in seen.pairs if name.startswith("REMOTE_")]) == 2
    asked(fast, variables("web.test"))
    assert web.requests[-1].header("X-Forwarded-For") == "127.0.0.1"


@pytest.mark.parametrize("said", ["192.0.2.0/24", "unix:", "<script>"])
def test_who_says_no_address_is_the_client(fast, node, said):
    asked(fast, variables(REMOTE_ADDR=said))
    assert node.requests[-1].variables["REMOTE_ADDR"] == "127.0.0.1"


def test_fixed_variables_come_once_whatever_the_client_sends(scene):
    fast = Fast(scene, variables={"REGION": "ours"})
    node = nodes.Node(scene, "node")
    node.subscribe(fast, "app.test")
    fast.wait_known("app.test")
    asked(fast, variables(REGION="theirs"))
    assert [value for name, value in node.requests[-1].pairs if name == "REGION"] == ["ours"]


def test_no_variable_becomes_a_line_of_an_http_nodes_head(scene, fast):
    node = nodes.HttpNode(scene, "web")
    fast.deliver(packets.subscription("web.test", node.address, proto="http"))
    fast.wait_known("web.test")
    node.requests.clear()
    for name in ("SERVER_NAME", "HTTP_HOST"):
        pairs = {"HTTP_HOST": None, "SERVER_NAME": None, name: "x\r\nX-Client-DN: /CN=root"}
        assert asked(fast, variables(UWSGI_FASTROUTER_KEY="web.test", **pairs)).status == 400
    assert asked(fast, variables("web.test", "http://other.test/")).status == 400
    assert asked(fast, variables("web.test", "other.test:80", "CONNECT")).status == 501
    assert node.requests == []


def test_without_a_uri_http_nodes_get_path_and_query(scene, fast):
    node = nodes.HttpNode(scene, "web")
    fast.deliver(packets.subscription("web.test", node.address, proto="http"))
    fast.wait_known("web.test")
    asked(fast, variables("web.test", REQUEST_URI=None, PATH_INFO="/a b%", QUERY_STRING="c=d"))
    assert node.requests[-1].line == "GET /a%20b%25?c=d HTTP/1.1"


def test_websockets_go_through_to_http_nodes_and_vassals(scene, fast):
    def switch(seen):
        seen.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  b"Upgrade: websocket\r\n\r\n")
        while data := seen.connection.recv(100):
            seen.send(data.upper())
    for kind, proto in ((nodes.HttpNode, "http"), (nodes.Node, "uwsgi")):
        node = kind(scene, proto, switch)
        fast.deliver(packets.subscription(f"{proto}.test", node.address, proto=proto))
        fast.wait_known(f"{proto}.test")
        pairs = variables(f"{proto}.test", HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="websocket")
        with clients.Client(("127.0.0.1", fast.fast_port)) as client:
            client.send(packets.frame(packets.encode_pairs(pairs)))
            assert client._read_head()[1] == 101
            client.send(b"abc")
            assert client._exactly(3) == b"ABC"


def test_a_body_without_its_length_is_411(fast, node):
    pairs = variables(method="POST", HTTP_TRANSFER_ENCODING="chunked")
    assert asked(fast, pairs, b"3\r\nabc\r\n0\r\n\r\n").status == 411
    assert node.requests == []


def test_the_mountpoint_is_by_the_path_that_the_application_sees(scene):
    fast = Fast(scene, subscription={"mountpoints": 1})
    for name, path in (("root", ""), ("blog", "/blog")):
        nodes.Node(scene, name).subscribe(fast, f"app.test{path}")
        fast.wait_answering("app.test", [name], path or "/")
    for path, name in [("/blog", "blog"), ("/blog/x", "blog"), ("/", "root"),
                       ("/%62log", "root"), ("/x/../blog", "root")]:
        for uri in ("/", "/blog"):
            assert asked(fast, variables(REQUEST_URI=uri, PATH_INFO=path)).text == name
    assert asked(fast, variables(REQUEST_URI="/%62log", PATH_INFO=None)).text == "blog"


def test_a_header_cannot_become_what_the_router_says(fast, node):
    asked(fast, variables(HTTP_PROXY="evil", HTTP_X_CLIENT_DN="/CN=root"))
    assert not {"HTTP_PROXY", "HTTP_X_CLIENT_DN"} & node.requests[-1].variables.keys()


def test_what_came_by_https_is_so_for_cookies_and_ports(scene):
    fast = Fast(scene, trusted=["127.0.0.0/8"], subscription={"expect_port_in_key": True})
    node = nodes.Node(scene, "node")
    for port in (80, 443):
        packets.send(packets.subscription(f"app.test:{port}", node.address, algo="sticky"),
                     fast.subscribe)
    harness.wait_until(lambda: all(asked(fast, variables(**way)).status == 200
                                   for way in ({}, {"HTTPS": "on"}) * 4), "both are known")
    secure = asked(fast, variables(HTTPS="on"))
    assert secure.status == 200
    assert "; Secure" in secure.header("set-cookie")
    assert "; Secure" not in asked(fast, variables()).header("set-cookie")
    packets.send(packets.subscription("app.test:80", node.address, unsubscribe=True),
                 fast.subscribe)
    harness.wait_until(lambda: all(asked(fast, variables()).status == 404 for _ in range(8)),
                       "app.test:80 is gone")
    assert asked(fast, variables(HTTPS="on")).status == 200


def test_the_access_log_has_the_protocol_that_the_packet_names(scene):
    path = scene.directory / "access.log"
    fast = Fast(scene, access_log={"path": str(path)})
    asked(fast, variables("nobody.test", "/mine"))
    harness.wait_until(lambda: "/mine" in path.read_text(), "the line is there")
    assert '"protocol":"HTTP/1.1"' in path.read_text().replace(" ", "")


def test_a_domain_that_demands_certificates(scene):
    files = tls.Files(scene.directory)
    router = tls.Router(scene, files)
    router.fast_port = harness.free_port()
    authority = files.self_signed("ca", "ca.test")
    node = nodes.Node(scene, "node")
    router.announce(node, "app.test", files.self_signed("app", "app.test"),
                    ca=f"!{authority[1]}")
    listeners = router.config["listeners"]

    def listen(**more):
        router.reload(listeners=[*listeners, {"address": f"127.0.0.1:{router.fast_port}",
                                              "protocol": "uwsgi", **more}],
                      tls={"plain_http_for_client_auth": "refuse"})
    listen()
    assert asked(router, variables(HTTPS="on", HTTPS_DN="/CN=me")).status == 403
    listen(trusted=["127.0.0.1"])
    assert asked(router, variables(HTTPS="on")).status == 403
    assert asked(router, variables(HTTPS_DN="/CN=me")).status == 403
    assert asked(router, variables(HTTPS="on", HTTPS_DN="/CN=me")).status == 200
    assert node.requests[-1].variables["HTTPS_DN"] == "/CN=me"


# ------------------------------------------------------- routers of a cluster


class Cluster:
    """A router with HTTPS, whose only node is a sealed fastrouter, which has the application."""

    def __init__(self, scene):
        self.secret = self.write(scene, "cluster.key", secrets.token_hex(32))
        self.fast = Fast(scene, sealed=True, cluster={"secret_file": str(self.secret)})
        self.front = tls.Router(scene, tls.Files(scene.directory),
                                cluster={"secret_file": str(self.secret)})
        self.node = nodes.Node(scene, "app")
        packets.send(packets.subscription("app.test", self.node.address), self.fast.subscribe)
        self.announce(f"127.0.0.1:{self.fast.fast_port}")
        self.fast.wait_known("app.test")
        self.front.wait_known("app.test")

    @staticmethod
    def write(scene, name, text):
        path = scene.directory / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def reseal(self, **more):
        self.fast.reload(listeners=[
            *[each for each in self.fast.config["listeners"] if each["protocol"] != "uwsgi"],
            {"address": f"127.0.0.1:{self.fast.fast_port}", "protocol": "uwsgi",
             "sealed": True, **more}])

    def announce(self, address, **more):
        packets.send(packets.subscription("app.test", address, **more), self.front.subscribe)

    def sent(self, scene):
        """The pairs of a request that the router sends to a node over TCP."""
        spy = nodes.Node(scene, "spy", tcp=True)
        self.announce(spy.address)
        self.front.wait_for_nodes("app.test", 2)
        harness.wait_until(lambda: self.front.get("/", host="app.test").text and spy.requests,
                           "the spy is asked")
        return spy.requests[-1].pairs


@pytest.fixture
def cluster(scene):
    return Cluster(scene)


def unsealed(router, found):
    return prometheus.value(prometheus.parse(router.admin("/metrics").text),
                            "fealty_unsealed_requests_total", seal=found)


def test_a_sealed_listener_believes_routers_of_its_cluster(cluster):
    with cluster.front.tls("app.test") as client:
        assert client.status("app.test") == 200
    seen = cluster.node.requests[-1].variables
    assert seen["HTTPS"] == "on"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert "FEALTY_SEAL" not in seen
    assert cluster.front.get("/", host="app.test").status == 200
    assert "HTTPS" not in cluster.node.requests[-1].variables


@pytest.mark.parametrize("seal, found", [
    (None, "absent"), ("", "absent"), ("0:" + "0" * 32, "bad"),
    ("00%d:" % time.time() + "0" * 32, "bad")])
def test_a_sealed_listener_serves_nobody_else(cluster, seal, found):
    asked_before = len(cluster.node.requests)
    counted = unsealed(cluster.fast, found)
    answer = asked(cluster.fast, variables(HTTPS="on", HTTPS_DN="/CN=forged",
                                           REMOTE_USER="root", FEALTY_SEAL=seal))
    assert answer.status == 403
    assert len(cluster.node.requests) == asked_before
    assert unsealed(cluster.fast, found) == counted + 1
    assert f"without the cluster's seal is refused, from 127.0.0.1: {found}" in (
        cluster.fast.process.log())


def test_a_seal_is_of_one_request(scene, cluster):
    """Who is a node himself and sees one can do no more with it than to ask the same again."""
    pairs = cluster.sent(scene)
    assert pairs[-1][0] == "FEALTY_SEAL"
    assert asked(cluster.fast, pairs).status == 200
    for bent in ([*pairs, ("HTTPS_DN", "/CN=forged")], [*pairs, ("CONTENT_LENGTH", "5")],
                 [("HTTPS", "on"), *pairs],
                 [(name, "root.test" if name == "HTTP_HOST" else value)
                  for name, value in pairs]):
        assert asked(cluster.fast, bent).status == 403


def test_bodies_of_every_kind_are_sealed(cluster):
    cluster.node._behave = lambda seen: seen.answer(str(len(seen.read_body())).encode())
    for body, headers in ((b"x" * 100_000, {}),
                          (b"3\r\nabc\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})):
        with clients.Client(("127.0.0.1", cluster.front.port)) as client:
            length = {} if headers else {"Content-Length": str(len(body))}
            head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, **length}.items())
            client.send(f"POST / HTTP/1.1\r\nHost: app.test\r\n{head}\r\n".encode() + body)
            answer = client.read_answer()
        assert (answer.status, answer.text) == (200, "3" if headers else "100000")


def test_a_seal_is_made_when_the_request_is_sent(scene, cluster):
    """Of a request that waits for a node, and of one whose next node is another kind."""
    local = nodes.Node(scene, "local")
    packets.send(packets.subscription("held.test", local.address), cluster.front.subscribe)
    packets.send(packets.subscription("held.test", cluster.node.address),
                 cluster.fast.subscribe)
    cluster.front.wait_answering("held.test", ["local"])
    cluster.fast.wait_known("held.test")
    assert "FEALTY_SEAL" not in local.requests[-1].variables
    cluster.front.reload(limits={"hold": "60s"})
    cluster.front.wait_leaving(local, "held.test")
    with clients.Client(("127.0.0.1", cluster.front.port)) as client:
        client.send(clients.request_bytes("GET", "/", host="held.test"))
        harness.wait_until(lambda: cluster.front.metric("fealty_held_requests") == 1,
                           "it is held")
        packets.send(packets.subscription("held.test",
                                          f"127.0.0.1:{cluster.fast.fast_port}"),
                     cluster.front.subscribe)
        answer = client.read_answer()
    assert (answer.status, answer.text) == (200, "app")


def test_what_waits_behind_a_sealed_listener_does_not_depend_on_its_seal(scene, cluster):
    """The secret is another one, or none, by the time that the next node is asked."""
    gone = []

    def leave(seen):
        if seen.variables["PATH_INFO"] != "/asked":
            seen.answer(b"first")
            return
        gone.append(seen)
        harness.wait_until(lambda: len(gone) > 1, "the secret has changed")
        # No answer: the next node may be asked.
    first = nodes.Node(scene, "first", leave)
    second = nodes.HttpNode(scene, "second")
    packets.send(packets.subscription("mixed.test", first.address), cluster.fast.subscribe)
    packets.send(packets.subscription("mixed.test", f"127.0.0.1:{cluster.fast.fast_port}"),
                 cluster.front.subscribe)
    packets.send(packets.subscription("mixed.test", second.address, proto="http", backup="1"),
                 cluster.fast.subscribe)
    cluster.fast.wait_for_nodes("mixed.test", 2)
    cluster.front.wait_for_nodes("mixed.test", 1)
    cluster.front.wait_known("mixed.test")
    with clients.Client(("127.0.0.1", cluster.front.port), seconds=20) as client:
        client.send(clients.request_bytes("GET", "/asked", host="mixed.test"))
        harness.wait_until(lambda: gone, "the first node has it")
        other = Cluster.write(scene, "other.key", secrets.token_hex(32))
        cluster.fast.reload(cluster={"secret_file": str(other)})
        gone.append(None)
        answer = client.read_answer()
    assert (answer.status, answer.text) == (200, "second")
    assert cluster.fast.get("/", host="app.test").status == 200


def test_a_sealed_listener_may_want_an_address_besides(cluster):
    cluster.reseal(trusted=["192.0.2.1"])
    assert cluster.front.get("/", host="app.test").status == 403
    cluster.reseal(trusted=["127.0.0.1"])
    assert cluster.front.get("/", host="app.test").status == 200


def test_another_secret_is_refused_and_a_reload_changes_it(scene, cluster):
    other = Cluster.write(scene, "other.key", secrets.token_hex(32))
    cluster.front.reload(cluster={"secret_file": str(other)})
    assert cluster.front.get("/", host="app.test").status == 403
    cluster.fast.reload(cluster={"secret_file": str(other)})
    assert cluster.front.get("/", host="app.test").status == 200
    short = Cluster.write(scene, "short.key", "guess me")
    cluster.fast.reload("fewer than 32 bytes", cluster={"secret_file": str(short)})
    assert cluster.front.get("/", host="app.test").status == 200


def test_what_stays_on_the_host_is_not_sealed(scene, cluster):
    local = nodes.Node(scene, "local")
    packets.send(packets.subscription("local.test", local.address), cluster.front.subscribe)
    cluster.front.wait_answering("local.test", ["local"])
    assert "FEALTY_SEAL" not in local.requests[-1].variables


@pytest.mark.skipif(os.geteuid() != 0, reason="the router is to become another user")
def test_a_secret_of_roots_survives_reload_and_upgrade(scene, cluster):
    router = harness.Router(scene, user="nobody",
                            cluster={"secret_file": str(cluster.secret)})
    packets.send(packets.subscription("app.test", f"127.0.0.1:{cluster.fast.fast_port}"),
                 router.subscribe)
    router.wait_known("app.test")
    assert router.get("/", host="app.test").status == 200
    router.reload("what was read before stays")
    assert router.get("/", host="app.test").status == 200
    router.upgrade()
    assert router.get("/", host="app.test").status == 200


# ------------------------------------------------------------ bad clients


def pair(key, value, key_bytes=None, value_bytes=None):
    return (struct.pack("<H", len(key) if key_bytes is None else key_bytes) + key
            + struct.pack("<H", len(value) if value_bytes is None else value_bytes) + value)


GOOD = packets.encode_pairs(variables())


@pytest.mark.parametrize("body", [
    b"", b"\1", pair(b"HTTP_HOST", b"app.test"), GOOD + pair(b"A", b"b", value_bytes=9),
    GOOD + pair(b"A", b"b", key_bytes=60000), GOOD + pair(b"HTTP_HOST", b"other.test"),
    GOOD + pair(b"REQUEST_METHOD", b"GET"),
    packets.encode_pairs(variables(method="G T")), packets.encode_pairs(variables(path="/a b")),
    packets.encode_pairs(variables(CONTENT_LENGTH="-1")),
    packets.encode_pairs(variables(CONTENT_LENGTH="99999999999999999999")),
    packets.encode_pairs(variables(HTTP_X="a\r\nB: c")),
    packets.encode_pairs(variables(**{"HTTP_X:": "a"}))])
def test_what_is_no_request_is_400(fast, node, body):
    with clients.Client(("127.0.0.1", fast.fast_port)) as client:
        client.send(packets.frame(body))
        assert client.read_answer().status == 400
    assert node.requests == []
    assert asked(fast, variables()).status == 200


def test_a_packet_that_does_not_come_is_408(scene):
    fast = Fast(scene, timeouts={"head": "300ms"})
    for begin in (b"\0\xff", packets.frame(GOOD)[:-1]):
        with clients.Client(("127.0.0.1", fast.fast_port)) as client:
            client.send(begin)
            assert client.read_answer().status == 408


def test_a_packet_over_the_limit_is_431_before_it_is_there(scene):
    fast = Fast(scene, limits={"head_bytes": "8k"})
    with clients.Client(("127.0.0.1", fast.fast_port)) as client:
        client.send(struct.pack("<BHB", 0, 20000, 0) + b"x")
        assert client.read_answer().status == 431


def test_the_largest_packet_comes_through_in_pieces(fast, node):
    filler = 65535 - len(GOOD) - 4 - len("HTTP_FILLER")
    data = packets.frame(GOOD + packets.encode_pairs([("HTTP_FILLER", "x" * filler)]))
    with clients.Client(("127.0.0.1", fast.fast_port)) as client:
        for at in range(0, len(data), 9999):
            client.send(data[at:at + 9999])
            time.sleep(0.001)
        assert client.read_answer().status == 200
    assert len(node.requests[-1].variables["HTTP_FILLER"]) == filler


def test_clients_that_leave_at_any_byte_leave_nothing_behind(fast, node):
    data = packets.frame(packets.encode_pairs(variables(method="POST", CONTENT_LENGTH="9"))) + b"x"
    for at in range(0, len(data), 7):
        with clients.Client(("127.0.0.1", fast.fast_port)) as client:
            client.send(data[:at])
    harness.wait_until(lambda: fast.stats()["active_sessions"] == 0, "no session is left")


# ------------------------------------------------------------ real clients


def test_behind_nginx(scene, fast):
    vassals.Vassal(scene, fast, "vassal")
    fast.wait_known("app.test")
    fast.reload(listeners=[{"address": f"127.0.0.1:{fast.fast_port}", "protocol": "uwsgi",
                            "trusted": ["127.0.0.1"]},
                           {"address": f"127.0.0.1:{fast.port}"}])
    port = harness.free_port()
    config = scene.directory / "nginx.conf"
    names = ["QUERY_STRING $query_string", "REQUEST_METHOD $request_method",
             "CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length",
             "REQUEST_URI $request_uri", "PATH_INFO $document_uri",
             "SERVER_PROTOCOL $server_protocol", "HTTPS $https if_not_empty",
             "REMOTE_ADDR $remote_addr", "REMOTE_PORT $remote_port",
             "SERVER_PORT $server_port", "SERVER_NAME $server_name"]
    config.write_text(f"""
daemon off; pid {scene.directory}/nginx.pid; error_log stderr; worker_processes 1;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {scene.directory}/body;
  uwsgi_temp_path {scene.directory}/temp; proxy_temp_path {scene.directory}/proxy;
  fastcgi_temp_path {scene.directory}/fcgi; scgi_temp_path {scene.directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      uwsgi_pass 127.0.0.1:{fast.fast_port};
      {" ".join(f"uwsgi_param {name};" for name in names)}
    }}
  }}
}}
""")
    scene.spawn("nginx", ["nginx", "-c", config, "-p", scene.directory])
    behind(port)


def test_behind_uwsgis_http_router(scene, fast):
    vassals.Vassal(scene, fast, "vassal")
    fast.wait_known("app.test")
    port = harness.free_port()
    scene.spawn("uwsgi-http", [vassals.UWSGI, "--master", "--die-on-term", "--plugin", "http", "--http",
                               f"127.0.0.1:{port}", "--http-to", f"127.0.0.1:{fast.fast_port}"])
    behind(port)


def behind(port):
    """What a client of the router in front sees of the vassal."""
    def get(path="/", **more):
        with clients.Client(("127.0.0.1", port)) as client:
            return client.request(more.pop("method", "GET"), path, host="app.test", **more)

    def up():
        try:
            return get().text == "vassal"
        except (OSError, clients.Incomplete):
            return False
    harness.wait_until(up, "the router in front answers")
    with clients.Load(port, host="app.test", connections=8, requests=200,
                      keep_alive=False) as load:
        assert load.join() and load.failures() == []
    with clients.Client(("127.0.0.1", port)) as client:
        assert client.request("GET", "/", host="nobody.test").status == 404
