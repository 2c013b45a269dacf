"""The last instance of an application reloads: its requests wait, and none is lost."""
import os
import signal
import time

import pytest

import clients
import harness
import nodes
import packets
import vassals
import web_apps
from harness import wait_until

CONNECTIONS = 64


@pytest.fixture
def patient(scene):
    """A router whose requests wait for long enough on any machine."""
    return harness.Router(scene, limits={"hold": "60s"})


def failed(results):
    return [result for result in results if result[1] != 200]


def under_load(router, disturb):
    """Calls disturb() under load, and returns every result of before and after."""
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.002", seconds=90) as load:
        load.wait_for_more(300)
        disturb()
        load.wait_for_more(300, seconds=60)
        return load.stop()


def test_the_only_vassals_reload_loses_no_request(scene, patient):
    vassal = vassals.Vassal(scene, patient, "vassal")
    patient.wait_answering("app.test", ["vassal"])
    assert failed(under_load(patient, vassal.reload)) == []


def test_the_only_vassals_stop_and_start_loses_no_request(scene, patient):
    vassal = vassals.Vassal(scene, patient, "vassal")
    patient.wait_answering("app.test", ["vassal"])

    def stop_and_start():
        vassal.process.signal(signal.SIGTERM)
        vassal.process.wait()
        wait_until(lambda: patient.metric("fealty_held_requests") > 0, "requests are held")
        vassals.Vassal(scene, patient, "vassal")
    results = under_load(patient, stop_and_start)
    assert failed(results) == []
    assert patient.metric("fealty_held_requests") == 0


def test_an_http_node_that_restarts_unannounced_loses_no_request(scene, patient):
    first = web_apps.NodeJs(scene, "node")
    first.subscribe(patient, "app.test")
    patient.wait_answering("app.test", ["node"])

    def restart():
        first.process.signal(signal.SIGTERM)
        first.process.wait()
        wait_until(lambda: patient.metric("fealty_held_requests") > 0, "requests are held")
        os.unlink(first.address)
        web_apps.NodeJs(scene, "node")
    with clients.Load(patient.port, host="app.test", connections=16, seconds=90) as load:
        load.wait_for_more(100)
        restart()
        load.wait_for_more(100, seconds=60)
        results = load.stop()
    assert failed(results) == []


def test_an_application_that_stays_away_gets_503_and_then_404(scene):
    router = harness.Router(scene, limits={"hold": "500ms"})
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    node.unsubscribe(router, "app.test")
    router.wait_for_nodes("app.test", 0)
    router.wait_status("app.test", 404)
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    node.close()  # without a word
    since = time.monotonic()
    answer = router.get()
    assert time.monotonic() - since >= 0.45
    assert answer.status == 503
    assert int(answer.header("retry-after")) > 0


def test_a_body_waits_with_its_request(scene, patient):
    node = nodes.Node(scene, "node")
    node.subscribe(patient, "app.test")
    patient.wait_answering("app.test", ["node"])
    patient.wait_leaving(node, "app.test")
    body = bytes(range(256)) * 800

    def held():
        return patient.metric("fealty_held_requests")
    with patient.client(seconds=60) as plain, patient.client(seconds=60) as chunked:
        plain.send(clients.request_bytes("POST", "/", host="app.test", body=body[:60000]))
        chunked.send(clients.request_bytes("POST", "/", host="app.test",
                                           headers=[("Transfer-Encoding", "chunked")]))
        for piece in clients.chunked(body):
            chunked.send(piece)
        wait_until(lambda: held() == 2, "both are held")
        node.requests.clear()
        node.subscribe(patient, "app.test")
        assert plain.read_answer().text == "node"
        assert chunked.read_answer().text == "node"
    assert sorted(len(seen.body) for seen in node.requests) == [60000, len(body)]
    assert all(seen.body == body[:len(seen.body)] for seen in node.requests)


def test_clients_that_give_up_free_their_places(scene):
    router = harness.Router(scene, limits={"hold": "60s", "held_requests": 2})
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    node.close()

    def held():
        return router.metric("fealty_held_requests")
    waiting = [router.client() for _ in range(2)]
    for client in waiting:
        client.send(clients.request_bytes("GET", "/", host="app.test"))
    wait_until(lambda: held() == 2, "both are held")
    assert router.get().status == 503  # at once: there is no place
    for client in waiting:
        client.close()
    wait_until(lambda: held() == 0, "their places are free")


def test_held_requests_are_answered_while_the_router_drains(scene, patient):
    node = nodes.Node(scene, "node")
    node.subscribe(patient, "app.test")
    patient.wait_answering("app.test", ["node"])
    patient.wait_leaving(node, "app.test")
    with patient.client(seconds=60) as client:
        client.send(clients.request_bytes("GET", "/", host="app.test"))
        wait_until(lambda: patient.metric("fealty_held_requests") == 1, "it is held")
        patient.terminate()
        packets.send(packets.subscription("app.test", node.address), patient.subscribe)
        assert client.read_answer().text == "node"
    assert patient.process.wait() == 0
