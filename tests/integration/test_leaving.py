"""How a node leaves: unsubscribed, silent, frozen. How a reload does not make it leave."""
import signal
import threading
import time

import pytest

import clients
import harness
import nodes
import vassals

TOLERANCE_SECONDS = 2


@pytest.fixture
def short_router(scene):
    return harness.Router(scene, subscription={"tolerance": f"{TOLERANCE_SECONDS}s"})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stopped_vassal_leaves_with_its_unsubscribe(scene, router, number):
    stays = vassals.Vassal(scene, router, "stays")
    goes = vassals.Vassal(scene, router, "goes")
    router.wait_answering("app.test", ["stays", "goes"])
    with clients.Load(router.port, host="app.test", connections=16, path="/sleep/0.004") as load:
        load.wait_for_more(200)
        goes.process.signal(number)
        # Only an unsubscribe takes it out so soon: the tolerance is 30 s.
        router.wait_for_nodes("app.test", 1)
        load.wait_for_more(200)
        begun_by_then = sum(goes.begun().values())
        load.wait_for_more(500)
        results = load.stop()
    assert sum(goes.begun().values()) == begun_by_then
    begun = goes.begun()
    assert [result for result in results if result[1] != 200 and result[0] not in begun] == []
    assert goes.process.wait() == 0
    assert sum(stays.begun().values()) > 500


def test_no_request_reaches_a_node_after_its_unsubscribe(scene, router):
    stays, goes = nodes.Node(scene, "stays"), nodes.Node(scene, "goes")
    for node in (stays, goes):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["stays", "goes"])
    with clients.Load(router.port, host="app.test", connections=8) as load:
        load.wait_for_more(200)
        goes.unsubscribe(router, "app.test")
        router.wait_for_nodes("app.test", 1)
        load.wait_for_more(50)
        by_then = len(goes.requests)
        load.wait_for_more(500)
        results = load.stop()
    assert len(goes.requests) == by_then
    assert {status for _, status, _ in results} == {200}


def test_running_requests_finish_after_the_unsubscribe(scene, router):
    vassal = vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])
    with router.client() as client:
        client.send(clients.request_bytes("GET", "/sleep/1", host="app.test",
                                          headers=[("X-Tag", "running")]))
        harness.wait_until(lambda: vassal.begun()["running"], "the vassal has begun it")
        router.deliver(harness.packets.subscription("app.test", vassal.socket, unsubscribe=True))
        assert client.read_answer().text == "vassal"


def test_running_requests_finish_after_their_node_expired(scene, short_router):
    router, begun, gone = short_router, threading.Event(), threading.Event()

    def behave(seen):
        if seen.variables["PATH_INFO"] == "/late":
            begun.set()
            gone.wait(20)
        seen.answer(b"node")
    node = nodes.Node(scene, "node", behave)
    announcer = nodes.Announcer(scene, router, node, "app.test")
    router.wait_answering("app.test", ["node"])
    with router.client() as client:
        client.send(clients.request_bytes("GET", "/late", host="app.test"))
        assert begun.wait(20)
        announcer.silence()
        router.wait_for_nodes("app.test", 0, seconds=TOLERANCE_SECONDS + 3)
        gone.set()
        assert client.read_answer().text == "node"


def test_a_reload_does_not_unsubscribe(scene, router):
    vassal = vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])
    statuses = []
    with clients.Load(router.port, host="app.test", connections=1, seconds=20) as load:
        load.wait_for_more(20)
        vassal.reload()
        load.wait_for_more(20)
        statuses = {status for _, status, _ in load.stop()}
    assert statuses == {200}


def test_a_vassal_restarted_at_once_is_back(scene, router):
    first = vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])
    first.process.signal(signal.SIGTERM)
    assert first.process.wait() == 0
    vassals.Vassal(scene, router, "vassal")
    router.wait_answering("app.test", ["vassal"])


def test_a_silent_node_is_out_after_the_tolerance(scene, short_router):
    router = short_router
    loud, quiet = nodes.Node(scene, "loud"), nodes.Node(scene, "quiet")
    nodes.Announcer(scene, router, loud, "app.test")
    announcer = nodes.Announcer(scene, router, quiet, "app.test")
    router.wait_answering("app.test", ["loud", "quiet"])
    announcer.silence()
    silent_since = time.monotonic()
    # The stamp is in whole seconds where the stats show it; the rule may be too.
    router.wait_for_nodes("app.test", 1, seconds=TOLERANCE_SECONDS + 3)
    assert time.monotonic() - silent_since > TOLERANCE_SECONDS - 1.6
    router.wait_answering("app.test", ["loud"])


def test_a_frozen_vassal_is_out_after_the_tolerance(scene, short_router):
    router = short_router
    vassals.Vassal(scene, router, "stays")
    frozen = vassals.Vassal(scene, router, "frozen")
    router.wait_answering("app.test", ["stays", "frozen"])
    frozen.freeze()
    router.wait_for_nodes("app.test", 1, seconds=TOLERANCE_SECONDS + 3)
    router.wait_answering("app.test", ["stays"])


def test_a_node_that_speaks_again_is_back(scene, short_router):
    router = short_router
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    router.wait_for_nodes("app.test", 0, seconds=TOLERANCE_SECONDS + 3)
    router.wait_status("app.test", 404)
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
