"""POST /drain and /undrain: taking a node out of rotation by hand."""
import json
import threading
import urllib.parse

import pytest

import clients
import harness
import nodes
import packets


@pytest.fixture
def router(scene):
    """Requests for an application without a node fail at once here."""
    return harness.Router(scene, limits={"hold": "0s"})


def order(router, what, node, key="app.test"):
    query = urllib.parse.urlencode({"key": key, "node": node})
    return router.admin(f"/{what}?{query}", "POST")


def shown(router, key, address):
    (node,) = [node for node in router.nodes(key) if node["name"] == address]
    return node


def test_a_drained_node_gets_no_new_request_and_ends_those_that_it_has(scene, router):
    may_end = threading.Event()

    def slow(seen):
        may_end.wait(30)
        seen.answer(b"slow")
    busy, other = nodes.Node(scene, "busy", slow), nodes.Node(scene, "other")
    scene.on_close(may_end.set)
    busy.subscribe(router, "app.test")
    router.wait_for_nodes("app.test", 1)
    router.wait_known("app.test")
    with router.client(seconds=30) as client:
        begun = len(busy.requests)
        client.send(clients.request_bytes("GET", "/", host="app.test"))
        harness.wait_until(lambda: len(busy.requests) > begun, "the node has the request")
        other.subscribe(router, "app.test")
        router.wait_for_nodes("app.test", 2)
        assert order(router, "drain", busy.address).status == 200
        router.wait_answering("app.test", ["other"])
        seen = len(busy.requests)
        busy.subscribe(router, "app.test")
        router.deliver(packets.subscription("app.test", busy.address))
        assert all(router.get().text == "other" for _ in range(16))
        assert len(busy.requests) == seen
        may_end.set()
        assert client.read_answer().text == "slow"


def test_an_undrained_node_is_back(scene, router):
    one, two = nodes.Node(scene, "one"), nodes.Node(scene, "two")
    for node in (one, two):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["one", "two"])
    assert order(router, "drain", one.address).status == 200
    router.wait_answering("app.test", ["two"])
    assert order(router, "undrain", one.address).status == 200
    router.wait_answering("app.test", ["one", "two"])


def test_a_drain_is_shown(scene, router):
    node = nodes.Node(scene, "node")
    node.subscribe(router, "App.test")
    router.wait_answering("app.test", ["node"])
    assert not shown(router, "app.test", node.address)["drained"]
    assert order(router, "drain", node.address, key="APP.test.").status == 200
    router.wait_status("app.test", 503)
    assert shown(router, "app.test", node.address)["drained"]
    (explained,) = json.loads(router.explain("app.test").body)["nodes"]
    assert explained["name"] == node.address and not explained["eligible"]
    assert "drained" in explained["why"]
    assert router.process.log().count("drained by an operator") == 1


def test_a_real_vassal_is_drained_through_its_announcements(scene, router, vassal):
    assert order(router, "drain", vassal.socket).status == 200
    router.wait_status("app.test", 503)
    seen = shown(router, "app.test", vassal.socket)["last_check"]
    harness.wait_until(lambda: shown(router, "app.test", vassal.socket)["last_check"] > seen + 1,
                       "it announced itself again")
    assert router.get().status == 503
    assert order(router, "undrain", vassal.socket).status == 200
    router.wait_answering("app.test", ["vassal"])


def test_a_static_node_can_be_drained(scene):
    fixed = nodes.Node(scene, "fixed")
    router = harness.Router(scene, limits={"hold": "0s"}, static=[
        {"key": "app.test", "nodes": [fixed.address], "protocol": "uwsgi"}])
    assert order(router, "drain", fixed.address).status == 200
    router.wait_status("app.test", 503)


def test_what_is_unknown_is_404_with_a_clear_text(scene, router):
    answer = order(router, "drain", "/run/x")
    assert (answer.status, answer.text) == (404, "nothing is subscribed to app.test\n")
    router.deliver(packets.subscription("app.test", "127.0.0.1:9"))
    answer = order(router, "undrain", "127.0.0.1:8")
    assert answer.status == 404 and "app.test has no node 127.0.0.1:8" in answer.text
    assert order(router, "drain", "127.0.0.1:9", key="a b").status == 404


def test_a_question_without_key_or_node_is_400(router):
    for query in ("", "?key=app.test", "?node=/run/x"):
        answer = router.admin(f"/drain{query}", "POST")
        assert answer.status == 400 and "key=KEY&node=NODE" in answer.text


def test_methods_are_kept_apart(router):
    for path in ("/drain?key=a&node=b", "/undrain?key=a&node=b"):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            answer = router.admin(path, method)
            assert (answer.status, answer.header("allow")) == (405, "POST"), (path, method)
    for path in ("/", "/metrics", "/healthz", "/explain?host=app.test"):
        answer = router.admin(path, "POST")
        assert (answer.status, answer.header("allow")) == (405, "GET, HEAD"), path
        assert router.admin(path, "HEAD").status == 200
    assert router.admin("/other", "POST").status == 404
