"""SIGHUP: another configuration comes into use, and nobody who is being served notices."""
import os
import pathlib
import signal
import socket
import ssl

import pytest

import clients
import harness
import nodes
import packets
import tls
import vassals

REFUSED = "the configuration was not reloaded"
ROUNDS = 100 if os.environ.get("FEALTY_SOAK") == "1" else 25


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def listener(port, **more):
    return {"address": f"127.0.0.1:{port}", **more}


def test_nodes_and_what_is_known_of_them_stay(router, node):
    router.get()
    router.deliver(packets.subscription("drained.test", node.address))
    router.admin(f"/drain?key=drained.test&node={node.address}", "POST")
    before = router.nodes("app.test")[0]
    router.reload(timeouts={"head": "3s"})
    after = router.nodes("app.test")[0]
    assert before["requests"] == after["requests"] > 0
    assert after["last_check"] == before["last_check"]
    assert router.get().text == "node"
    assert router.get(host="drained.test").status == 503


def test_a_broken_configuration_leaves_the_old_one(router, node):
    router.config_path.write_text(router.config_path.read_text() + "timeuts: {head: 1s}\n")
    router.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: REFUSED in router.process.log(), "it says that nothing changed")
    line = len(router.config_path.read_text().splitlines())
    assert f"{router.config_path}:{line}:1: unknown key" in router.process.log()
    assert router.get().text == "node"
    router.reload()  # which writes a good one
    assert router.get().text == "node"


def test_what_cannot_be_bound_leaves_everything_as_it_was(router, node):
    other, taken = harness.free_port(), socket.create_server(("127.0.0.1", 0))
    with taken:
        busy = taken.getsockname()[1]
        router.reload(REFUSED, listeners=[listener(router.port), listener(other), listener(busy)])
    assert f"127.0.0.1:{busy}" in router.process.log()
    assert not listens(other)
    assert router.get().text == "node"


def test_reloads_under_load_lose_no_request(scene, router):
    """Listeners and subscription servers come and go meanwhile, and every timeout changes."""
    for name in ("one", "two"):
        vassals.Vassal(scene, router, name, options=["--listen", 256])
    router.wait_answering("app.test", ["one", "two"])
    ports = [harness.free_port() for _ in range(2)]
    with clients.Load(router.port, host="app.test", connections=64, path="/sleep/0.002",
                      seconds=20) as load, \
            clients.Load(router.port, host="app.test", connections=8, path="/sleep/0.002",
                         seconds=20, keep_alive=False) as fresh:
        load.wait_for_more(200)
        for turn in range(ROUNDS):
            extra = ports[turn % 2]
            router.reload(
                listeners=[listener(router.port), listener(extra)],
                subscription={"servers": [{"address": f"unix:{router.subscribe}"},
                                          {"address": f"127.0.0.1:{extra}"}],
                              "tolerance": f"{30 + turn}s"},
                timeouts={"head": f"{5 + turn}s", "node": f"{50 + turn}s",
                          "keepalive": f"{5 + turn}s", "connect": f"{20 + turn}s"})
            load.wait_for_more(20)
        results = load.stop() + fresh.stop()
    assert [result for result in results if result[1] != 200] == []
    assert {text for _, _, text in results} == {"one", "two"}
    assert router.process.log().count("the configuration was reloaded") == ROUNDS


def test_a_body_that_is_collected_goes_on(scene, router, node):
    node._behave = lambda seen: seen.answer(str(len(seen.read_body())).encode())
    with router.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"5\r\nhello\r\n")
        harness.wait_until(lambda: router.stats()["active_sessions"] > 0, "it is being read")
        router.reload(temp_dir=str(scene.subdirectory("bodies", 0o777)))
        part = b"%x\r\n%s\r\n" % (1 << 16, b"x" * (1 << 16))
        client.send(part * 16 + b"0\r\n\r\n")
        assert client.read_answer().text == str(5 + (1 << 20))


def test_kept_connections_end_where_their_listener_becomes_another(router, node):
    with router.client() as kept, router.client() as busy:
        assert kept.request("GET", "/", host="app.test").text == "node"
        busy.send(b"GET / HTTP/1.1\r\nHo")
        harness.wait_until(lambda: router.stats()["active_sessions"] == 2, "both are there")
        router.reload(timeouts={"head": "8s"})  # which says nothing of listeners
        assert kept.request("GET", "/", host="app.test").text == "node"
        router.reload(listeners=[listener(router.port, redirect_to_https=True)])
        assert kept.closed_by_peer()
        busy.send(b"st: app.test\r\n\r\n")
        assert busy.read_answer().header("connection") == "close"
        assert busy.closed_by_peer()
    assert router.get().status == 301


def test_listeners_come_and_go(router, node):
    new = harness.free_port()
    with router.client() as kept:
        assert kept.request("GET", "/", host="app.test").text == "node"
        router.reload(listeners=[listener(new)])
        harness.wait_until(lambda: not listens(router.port), "the old listener is closed")
        assert kept.closed_by_peer()
        with clients.Client(("127.0.0.1", new)) as client:
            assert client.request("GET", "/", host="app.test").text == "node"
        assert node.requests[-1].variables["SERVER_PORT"] == str(new)


def test_an_address_may_become_narrower(router, node):
    """The new socket is bound while the old one still has the port."""
    router.reload(listeners=[{"address": f"0.0.0.0:{router.port}"}])
    assert router.get().text == "node"
    router.reload(listeners=[{"address": f"127.0.0.2:{router.port}"}])
    with clients.Client(("127.0.0.2", router.port)) as client:
        assert client.request("GET", "/", host="app.test").text == "node"


def test_a_unix_listener_stays_and_its_mode_changes(scene, router, node):
    path = scene.directory / "http.socket"
    router.reload(listeners=[listener(router.port), {"address": f"unix:{path}", "mode": "0600"}])
    first = path.stat()
    assert first.st_mode & 0o777 == 0o600
    router.reload(listeners=[listener(router.port), {"address": f"unix:{path}", "mode": "0666"}])
    assert path.stat().st_ino == first.st_ino
    assert path.stat().st_mode & 0o777 == 0o666
    with clients.Client(pathlib.Path(path)) as client:
        assert client.request("GET", "/", host="app.test").text == "node"
    router.reload(listeners=[listener(router.port)])
    harness.wait_until(lambda: not path.exists(), "its file is gone")


def test_a_listener_becomes_a_redirect(router, node):
    router.reload(listeners=[listener(router.port, redirect_to_https=True)])
    assert router.get().status == 301


def test_what_waits_in_a_subscription_socket_that_goes_is_read(scene, router):
    node = nodes.Node(scene, "late")
    os.kill(router.pid, signal.SIGSTOP)
    packets.send(packets.subscription("late.test", node.address), router.subscribe)
    new = scene.directory / "subscribe-new"
    router.change(subscription={"servers": [{"address": f"unix:{new}", "mode": "0666"}]})
    os.kill(router.pid, signal.SIGHUP)
    os.kill(router.pid, signal.SIGCONT)
    router.wait_for_nodes("late.test", 1)
    harness.wait_until(new.exists, "the new socket is there")
    assert not os.path.exists(router.subscribe)
    router.subscribe = str(new)
    node.subscribe(router, "new.test")
    router.wait_known("new.test")
    assert router.get(host="new.test").text == "late"


def test_signatures_are_wanted_from_now_on_and_nodes_stay(scene, router, node, key_pair):
    keys = scene.subdirectory("keys")
    key_pair.install(keys, "signed.test")
    router.reload(subscription={"sign_check": {"keys": str(keys)}})
    assert router.get().text == "node"
    packets.send(packets.subscription("other.test", node.address), router.subscribe)
    harness.wait_until(lambda: "packet refused" in router.process.log(), "it is refused")
    packets.send(packets.subscription("signed.test", node.address, sign_with=key_pair.private),
                 router.subscribe)
    router.wait_known("signed.test")
    router.reload(subscription={"sign_check": None})
    router.deliver(packets.subscription("other.test", node.address))
    router.wait_known("other.test")


def test_static_nodes_come_and_go(scene, router):
    one, two = (nodes.Node(scene, name, tcp=True) for name in ("one", "two"))

    def static(*members):
        return [{"key": "static.test", "nodes": [node.address for node in members],
                 "protocol": "uwsgi"}]
    router.reload(static=static(one))
    router.wait_answering("static.test", ["one"])
    router.reload(static=static(one, two))
    router.wait_answering("static.test", ["one", "two"])
    router.reload(static=static(two))
    router.wait_answering("static.test", ["two"])
    router.reload(static=[])
    router.wait_status("static.test", 404)


def test_a_node_that_was_static_stays_while_it_is_announced(scene, router):
    node = nodes.Node(scene, "both", tcp=True)
    router.reload(static=[{"key": "both.test", "nodes": [node.address], "protocol": "uwsgi"}])
    router.wait_known("both.test")
    router.reload(subscription={"sign_check": {"keys": str(scene.directory),
                                               "skip_uids": [os.getuid()]}})
    router.deliver(packets.subscription("both.test", node.address))
    router.reload(static=[])
    assert router.get(host="both.test").text == "both"
    node.unsubscribe(router, "both.test")
    router.wait_for_nodes("both.test", 0)


def test_admin_addresses_come_and_go(router):
    old, new = router.admin_port, harness.free_port()
    router.reload(admin=[f"127.0.0.1:{new}"])
    harness.wait_until(lambda: not listens(old), "the old admin listener is closed")
    router.admin_port = new
    assert router.healthy()


def test_a_shorter_timeout_counts_for_those_that_wait_already(router):
    with router.client() as slow:
        slow.send(b"GET /")
        router.reload(timeouts={"head": "200ms"})
        assert slow.read_answer().status == 408


def test_limits_count_from_now_on(router, node):
    router.reload(limits={"body_bytes": "1k"})
    assert router.get(method="POST", body=b"x" * 2000).status == 413
    router.reload(limits={"body_bytes": "unlimited"})
    assert router.get(method="POST", body=b"x" * 2000).status == 200


def test_wildcards_may_be_turned_off(router, node):
    router.deliver(packets.subscription(".wild.test", node.address))
    router.wait_known("a.wild.test")
    router.reload(subscription={"dotsplit": False})
    router.wait_status("a.wild.test", 404)
    router.reload(subscription={"dotsplit": True})
    router.wait_status("a.wild.test", 200)


def test_who_was_ill_is_well_where_nobody_asks_any_more(scene, router):
    def ill(seen):
        seen.answer(b"ill", status="500 Ill" if seen.target == "/check" else "200 OK")
    node = nodes.HttpNode(scene, "ill", ill)
    node.subscribe(router, "ill.test")
    router.reload(health_check={"path": "/check", "interval": "100ms", "timeout": "100ms"})
    harness.wait_until(lambda: "is ill" in router.process.log(), "it is found ill")
    assert "ill: the last active check failed" in router.explain("ill.test").text
    router.reload(health_check=None)
    assert "ill: the last active check failed" not in router.explain("ill.test").text
    assert router.get(host="ill.test").status == 200


def test_what_cannot_change_is_said(router):
    router.reload(workers=3, user="nobody")
    log = router.process.log()
    assert "workers cannot change while the router runs" in log
    assert "user cannot change while the router runs" in log


def test_systemd_is_told(scene, router):
    router.terminate()
    router.process.wait()
    path = scene.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10 * harness.SLOW)
        router.start(env={"NOTIFY_SOCKET": str(path)})
        assert manager.recv(1000) == b"READY=1"
        router.process.signal(signal.SIGHUP)
        told = manager.recv(1000)
        assert told.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert manager.recv(1000) == b"READY=1"


# ---------------------------------------------------------------------- TLS


@pytest.fixture
def secure(scene):
    return tls.Router(scene, tls.Files(scene.directory))


def serial(router, name="nobody.test"):
    with router.tls(name) as client:
        return ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))


def test_a_session_from_before_is_resumed(secure):
    with secure.tls("nobody.test", version="1.2") as first:
        first.status("nobody.test")
        session, context = first.socket.session, first.context
    for _ in range(3):
        secure.reload(timeouts={"handshake": "9s"})
        for _ in range(8):  # whichever worker it comes to
            with secure.tls("nobody.test", context=context, session=session) as again:
                assert again.socket.session_reused


def test_the_default_certificate_is_read_again_and_a_broken_one_is_not_taken(secure):
    before = serial(secure)
    key, crt = secure.files.self_signed("default", "default.test")
    secure.reload()
    assert serial(secure) == crt.read_text() != before
    crt.write_text("nothing")
    secure.reload()
    assert "the certificate that was read before stays" in secure.process.log()
    assert serial(secure) != before


def test_tls_settings_count_from_the_next_handshake(secure):
    with secure.tls("nobody.test", version="1.2") as kept:
        secure.reload(tls={"min_version": "1.3"})
        assert tls.refused(secure, "nobody.test", version="1.2")
        assert kept.status("nobody.test") == 404
    assert not tls.refused(secure, "nobody.test", version="1.3")


def test_https_may_be_added_to_a_running_router(scene, router, node):
    files = tls.Files(scene.directory)
    key, crt = files.self_signed("late", "late.test")
    own = files.self_signed("own", "app.test")
    router.tls_port = harness.free_port()
    router.reload(
        subscription={"allow_sni_paths": [str(scene.directory)]},
        listeners=[listener(router.port), listener(
            router.tls_port, protocol="https", certificate=str(crt), key=str(key))])
    router.deliver(packets.subscription("app.test", node.address, sni_key=own[0],
                                        sni_crt=own[1]))

    def served():
        with tls.TlsClient(("127.0.0.1", router.tls_port), "app.test") as client:
            return client.socket.getpeercert(binary_form=True)
    expected = ssl.PEM_cert_to_DER_cert(own[1].read_text())
    harness.wait_until(lambda: served() == expected, "app.test has its certificate")
