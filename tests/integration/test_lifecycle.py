"""Starting, draining, ending."""
import os
import pathlib
import pwd
import signal
import socket
import time

import pytest

import clients
import harness
import nodes
import vassals
from clients import request_bytes
from harness import wait_until


def refuses_connections(router):
    try:
        with socket.create_connection(("127.0.0.1", router.port), timeout=5):
            return False
    except ConnectionRefusedError:
        return True


def test_sigterm_lets_the_running_request_finish(scene, router, vassal):
    with router.client() as client:
        client.send(request_bytes("GET", "/sleep/1.5", host="app.test",
                                  headers=[("X-Tag", "running")]))
        wait_until(lambda: vassal.begun()["running"], "the vassal has begun it")
        router.terminate()
        wait_until(lambda: refuses_connections(router), "new connections are refused")
        assert router.process.alive()
        answer = client.read_answer()
        assert (answer.status, answer.text) == (200, "vassal")
        assert client.closed_by_peer(), "no further request on this connection"
    assert router.process.wait() == 0


def test_a_draining_router_says_503_to_healthz(scene, router, vassal):
    with router.client() as client:
        client.send(request_bytes("GET", "/sleep/1.5", host="app.test",
                                  headers=[("X-Tag", "running")]))
        wait_until(lambda: vassal.begun()["running"], "the vassal has begun it")
        router.terminate()
        wait_until(lambda: router.admin("/healthz").status == 503, "it says that it drains")
        assert client.read_answer().status == 200


def test_idle_connections_do_not_hold_up_the_end(router, node):
    with router.client() as idle, router.client() as used:
        used.request("GET", "/", host="app.test")
        since = time.monotonic()
        router.terminate()
        assert router.process.wait() == 0
        assert time.monotonic() - since < 5 * harness.SLOW, "well before the drain deadline"
        assert idle.closed_by_peer() and used.closed_by_peer()


def test_the_drain_has_a_deadline(scene):
    router = harness.Router(scene, timeouts={"drain": "1s"})
    vassal = vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])
    with router.client() as client:
        client.send(request_bytes("GET", "/sleep/30", host="app.test",
                                  headers=[("X-Tag", "endless")]))
        wait_until(lambda: vassal.begun()["endless"], "the vassal has begun it")
        router.terminate()
        router.process.wait(8)


def test_a_second_sigterm_ends_at_once(scene, router, vassal):
    with router.client() as client:
        client.send(request_bytes("GET", "/sleep/30", host="app.test",
                                  headers=[("X-Tag", "endless")]))
        wait_until(lambda: vassal.begun()["endless"], "the vassal has begun it")
        router.terminate()
        wait_until(lambda: refuses_connections(router), "it drains")
        router.terminate()
        router.process.wait(4)


def test_the_subscription_socket_is_gone_after_the_end(router):
    assert pathlib.Path(router.subscribe).is_socket()
    router.terminate()
    assert router.process.wait() == 0
    assert not pathlib.Path(router.subscribe).exists()


def test_a_restart_finds_its_socket_paths_free_after_a_crash(scene, router):
    os.kill(router.pid, signal.SIGKILL)
    router.process.wait()
    router.start()
    wait_until(router.healthy, "it starts over the dead one's socket")
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])


def test_a_client_that_only_connects_does_no_harm(router, node):
    waiting = [clients.Client(("127.0.0.1", router.port)) for _ in range(50)]
    assert router.get().text == "node"
    for client in waiting:
        client.close()
    assert router.get().text == "node"


def test_started_as_root_it_drops_to_www_data(scene):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    router = harness.Router(scene, user="www-data")
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    status = pathlib.Path(f"/proc/{router.pid}/status").read_text()
    ids = {line.split()[0]: set(line.split()[1:]) for line in status.splitlines()
           if line.startswith(("Uid:", "Gid:", "Groups:"))}
    www = pwd.getpwnam("www-data")
    assert ids["Uid:"] == {str(www.pw_uid)}
    assert ids["Gid:"] == {str(www.pw_gid)}
    assert "0" not in ids["Groups:"]


def test_a_reload_after_the_drop_needs_no_roots_rights(scene):
    """Neither for the access log that root made, nor for the mode of a socket's file."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    own = scene.subdirectory("logs", 0o755)
    log = own / "access.log"
    router = harness.Router(scene, user="www-data",
                            access_log={"path": str(log), "format": "combined"})
    assert log.stat().st_uid == pwd.getpwnam("www-data").pw_uid
    sees_senders = {"subscription": {"use_credentials": True, "servers":
                                     [{"address": f"unix:{router.subscribe}", "mode": "0666"}]}}
    router.reload(**sees_senders)
    assert "cannot set the mode" not in router.process.log()
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_known("app.test")
    assert router.nodes("app.test")[0]["pid"] == os.getpid()

    # Not even a file that it may not open again stops a reload.
    os.chown(log, 0, 0)
    router.reload(timeouts={"head": "3s"})
    assert "lines go where they went before" in router.process.log()
    router.get("/after")
    harness.wait_until(lambda: "GET /after" in log.read_text(), "the line is there")

    sees_senders["subscription"]["servers"][0]["mode"] = "0600"
    router.reload("the configuration was not reloaded", **sees_senders)
    assert "its mode can change at a restart only" in router.process.log()
