"""SIGUSR2: another process takes over, and nobody who is being served notices."""
import os
import pathlib
import signal
import socket
import threading

import pytest

import clients
import harness
import nodes
import packets
import tls
import vassals

ROUNDS = 20 if os.environ.get("FEALTY_SOAK") == "1" else 5


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pid):
    harness.wait_until(lambda: not alive(pid), f"pid {pid} has ended", 20)


def test_upgrades_under_load_lose_no_request(scene, router):
    for name in ("one", "two"):
        vassals.Vassal(scene, router, name, options=["--listen", 256])
    router.wait_answering("app.test", ["one", "two"])
    pids = [router.serving]
    with clients.Load(router.port, host="app.test", connections=32, path="/sleep/0.002",
                      seconds=20) as load, \
            clients.Load(router.port, host="app.test", connections=8, path="/sleep/0.002",
                         seconds=20, keep_alive=False) as fresh:
        load.wait_for_more(200)
        for _ in range(ROUNDS):
            pids.append(router.upgrade())
            load.wait_for_more(200)
        results = load.stop() + fresh.stop()
    assert [result for result in results if result[1] != 200] == []
    assert len(set(pids)) == ROUNDS + 1
    for pid in pids[:-1]:
        wait_gone(pid)
    assert alive(pids[-1])


def test_what_was_known_is_known_before_anybody_announces_himself_again(scene, router):
    node, drained = nodes.Node(scene, "node"), nodes.Node(scene, "drained")
    node.subscribe(router, "app.test", weight=3, backup=0)
    drained.subscribe(router, "app.test")
    node.subscribe(router, ".wild.test", algo="lrc")
    router.wait_known("any.wild.test")
    router.wait_for_nodes("app.test", 2)
    router.admin(f"/drain?key=app.test&node={drained.address}", "POST")
    router.wait_answering("app.test", ["node"])
    before = {entry["name"]: entry for entry in router.nodes("app.test")}
    old = router.serving
    router.upgrade()
    wait_gone(old)
    after = {entry["name"]: entry for entry in router.nodes("app.test")}
    assert router.stats()["pid"] == router.serving
    for name in before:
        for field in ("weight", "backup", "requests", "last_check", "modifier1", "proto"):
            assert after[name][field] == before[name][field], (name, field)
    router.wait_answering("app.test", ["node"])
    assert router.get(host="any.wild.test").text == "node"


def test_a_node_that_says_nothing_more_expires_in_its_time(scene):
    router = harness.Router(scene, subscription={"tolerance": "2s"})
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_known("app.test")
    router.upgrade()
    router.wait_status("app.test", 404)


def test_announcements_meanwhile_are_taken_by_the_new_one(scene, router):
    node = nodes.Node(scene, "node")
    stop = threading.Event()
    sent = []

    def announce():
        while not stop.is_set():
            key = f"{len(sent)}.test"
            packets.send(packets.subscription(key, node.address), router.subscribe)
            sent.append(key)
            stop.wait(0.002)
    thread = threading.Thread(target=announce)
    thread.start()
    try:
        for _ in range(3):
            router.upgrade()
    finally:
        stop.set()
        thread.join()
    keys = harness.wait_until(
        lambda: found if len(found := {pool["key"] for pool in router.stats()["subscriptions"]})
        == len(sent) else None, "every announcement was taken")
    assert keys == set(sent)


def test_requests_that_run_stay(scene, router):
    release = threading.Event()

    def behave(seen):
        if seen.variables["REQUEST_URI"] == "/wait":
            release.wait(20)
        seen.answer(b"at last")
    node = nodes.Node(scene, "slow", behave)
    node.subscribe(router, "slow.test")
    router.wait_known("slow.test")
    old = router.serving
    with router.client(seconds=30) as client:
        client.send(clients.request_bytes("GET", "/wait", host="slow.test"))
        harness.wait_until(
            lambda: any(seen.variables["REQUEST_URI"] == "/wait" for seen in node.requests),
            "the node has it")
        router.upgrade()
        assert alive(old)
        release.set()
        assert client.read_answer().text == "at last"
    wait_gone(old)


def test_a_broken_configuration_leaves_the_old_process(router, node):
    old = router.serving
    good = router.config_path.read_text()
    router.config_path.write_text(good + "nonsense: 1\n")
    os.kill(old, signal.SIGUSR2)
    harness.wait_until(lambda: "this process goes on" in router.process.log(), "it goes on")
    assert router.get().text == "node"
    router.deliver(packets.subscription("later.test", node.address))
    router.wait_known("later.test")
    router.config_path.write_text(good)
    router.upgrade()
    wait_gone(old)
    assert router.get(host="later.test").text == "node"


def test_sockets_of_unix_stay_and_end_with_the_last_process(scene, router, node):
    path = scene.directory / "http.socket"
    router.reload(listeners=[{"address": f"127.0.0.1:{router.port}"},
                             {"address": f"unix:{path}", "mode": "0666"}])
    inode = path.stat().st_ino
    old = router.serving
    router.upgrade()
    wait_gone(old)
    assert path.stat().st_ino == inode
    with clients.Client(path) as client:
        assert client.request("GET", "/", host="app.test").text == "node"
    os.kill(router.serving, signal.SIGTERM)
    wait_gone(router.serving)
    assert not path.exists() and not os.path.exists(router.subscribe)


def test_another_configuration_comes_with_it(router, node):
    """What a reload cannot change, too."""
    new = harness.free_port()
    router.change(workers=1, listeners=[{"address": f"127.0.0.1:{router.port}"},
                                        {"address": f"127.0.0.1:{new}"}])
    old = router.serving
    router.upgrade()
    wait_gone(old)
    assert f"ready: 1 workers, pid {router.serving}" in router.process.log()
    for port in (router.port, new):
        for _ in range(10):  # the queues of both sockets that were
            with clients.Client(("127.0.0.1", port)) as client:
                assert client.request("GET", "/", host="app.test").text == "node"


def test_ticket_keys_that_only_root_may_read_go_on(scene):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    scene.directory.chmod(0o755)
    keys = scene.directory / "ticket.keys"
    keys.write_bytes(os.urandom(80))
    keys.chmod(0o600)
    router = tls.Router(scene, tls.Files(scene.directory), user="www-data",
                        tls={"ticket_keys": str(keys)})
    with router.tls("nobody.test", version="1.2") as first:
        session, context = first.socket.session, first.context
    old = router.serving
    router.upgrade()
    wait_gone(old)
    for _ in range(8):
        with router.tls("nobody.test", context=context, session=session) as again:
            assert again.socket.session_reused


def test_certificates_and_sessions_go_on(scene):
    files = tls.Files(scene.directory)
    router = tls.Router(scene, files)
    node = nodes.Node(scene, "node")
    own = files.self_signed("own", "app.test")
    rsa = files.self_signed("rsa", "app.test", ecdsa=False)
    authority = files.self_signed("ca", "ca.test")
    router.announce(node, "app.test", own)
    router.deliver(packets.subscription("app.test", node.address, sni_key=rsa[0], sni_crt=rsa[1]))
    router.announce(node, "closed.test", files.self_signed("closed", "closed.test"),
                    ca=f"!{authority[1]}")
    with router.tls("app.test", version="1.2") as first:
        assert first.status("app.test") == 200
        session, context = first.socket.session, first.context
    for path in (*own, *rsa):
        path.unlink()  # nothing is read anew
    old = router.serving
    router.upgrade()
    wait_gone(old)
    for _ in range(8):
        with router.tls("app.test", context=context, session=session) as again:
            assert again.socket.session_reused
            assert again.status("app.test") == 200
    with router.tls("app.test") as client:
        assert client.subject == "app.test"
    with router.tls("app.test", version="1.2", ciphers="aRSA") as client:
        assert client.subject == "app.test"
    with router.tls("nobody.test") as client:
        assert client.subject == "default.test"
    assert tls.refused(router, "closed.test")
    with router.tls("closed.test", certificate=files.client("me", authority)) as client:
        assert client.status("closed.test") == 200
    assert node.requests[-1].variables["HTTPS_DN"] == "/C=IT/O=Foo/CN=bar"


def test_sigterm_to_a_process_that_was_followed_drains_it(scene, router, node):
    old = router.serving
    with router.client() as idle:
        idle.request("GET", "/", host="app.test")
        router.upgrade()
        assert alive(old)
        os.kill(old, signal.SIGTERM)
        wait_gone(old)
    assert router.get().text == "node"


def test_a_successor_that_cannot_serve_leaves_the_sockets_files(scene, router):
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_known("app.test")
    blocked = socket.socket()
    blocked.bind(("127.0.0.1", 0))
    blocked.listen()
    here = f"127.0.0.1:{blocked.getsockname()[1]}"
    before = router.config["listeners"]
    router.change(listeners=[*before, {"address": here}])
    os.kill(router.serving, signal.SIGUSR2)
    harness.wait_until(lambda: "ended before it served; this process goes on"
                       in router.process.log(), "it is said", 30)
    node.subscribe(router, "late.test")
    router.wait_known("late.test")
    blocked.close()
    router.change(listeners=before)
    router.upgrade()
    router.wait_known("late.test")
