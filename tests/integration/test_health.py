"""Active checks of HTTP nodes."""
import json

import harness
import nodes
import packets

EAGER = {"path": "/up", "interval": "200ms", "timeout": "200ms", "fall": 2, "rise": 1}


class Patient(nodes.HttpNode):
    """Answers its name; what it says of its health is up to the test."""

    def __init__(self, scene, name):
        self.status = "200 OK"
        super().__init__(scene, name, self._answer, tcp=True)

    def _answer(self, seen):
        if seen.target == "/up":
            seen.answer(b"", status=self.status)
        else:
            seen.answer(self.name.encode())


def healthy(router, key="app.test"):
    return {node["name"]: node["healthy"] for node in router.nodes(key)}


def test_an_ill_node_gets_no_request_until_it_is_well(scene):
    router = harness.Router(scene, health_check=EAGER)
    one, two = Patient(scene, "one"), Patient(scene, "two")
    for node in (one, two):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["one", "two"])
    one.status = "500 Worn Out"
    router.wait_answering("app.test", ["two"])
    one.subscribe(router, "app.test")
    router.deliver(packets.subscription("app.test", one.address, proto="http"))
    assert healthy(router) == {one.address: False, two.address: True}
    assert all(router.get().text == "two" for _ in range(8))
    one.status = "204 Fine"
    router.wait_answering("app.test", ["one", "two"])
    log = router.process.log()
    assert log.count("is ill: it answered 500") == 1
    assert log.count("is well again") == 1


def test_a_pool_whose_nodes_are_all_ill_is_served_all_the_same(scene):
    router = harness.Router(scene, health_check=EAGER)
    one, two = Patient(scene, "one"), Patient(scene, "two")
    for node in (one, two):
        node.status = "503 Busy"
        node.subscribe(router, "app.test")
    harness.wait_until(lambda: set(healthy(router).values()) == {False}, "both are ill")
    assert {router.get().text for _ in range(16)} == {"one", "two"}


def test_hints_before_the_answer_are_no_answer(scene):
    router = harness.Router(scene, health_check=EAGER)
    well, ill = Patient(scene, "well"), Patient(scene, "ill")
    hints = "103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 "
    well.status, ill.status = hints + "204 Fine", hints + "500 Worn Out"
    for node in (well, ill):
        node.subscribe(router, "app.test")
    harness.wait_until(
        lambda: healthy(router) == {well.address: True, ill.address: False}, "it is ill")
    assert "is ill: it answered 500" in router.process.log()
    assert f"{well.address} is ill" not in router.process.log()


def test_a_node_that_hangs_is_ill(scene):
    router = harness.Router(scene, health_check=EAGER)
    hung = nodes.HttpNode(scene, "hung", lambda seen: seen.reader.read(), tcp=True)
    well = Patient(scene, "well")
    for node in (hung, well):
        node.subscribe(router, "app.test")
    harness.wait_until(
        lambda: healthy(router) == {hung.address: False, well.address: True}, "it is ill")
    assert all(router.get().text == "well" for _ in range(8))


def test_the_host_is_the_key_and_uwsgi_nodes_are_not_asked(scene):
    router = harness.Router(scene, health_check=EAGER)
    web, app = Patient(scene, "web"), nodes.Node(scene, "app", tcp=True)
    web.subscribe(router, ".example.com")
    app.subscribe(router, "app.test")
    harness.wait_until(lambda: len(web.requests) >= 3, "it was asked")
    assert {seen.header("Host") for seen in web.requests} == {"example.com"}
    assert {seen.line for seen in web.requests} == {"GET /up HTTP/1.1"}
    assert app.accepted == 0


def test_without_the_option_nobody_is_asked(scene, router):
    web = Patient(scene, "web")
    web.subscribe(router, "app.test")
    router.wait_answering("app.test", ["web"])
    assert {seen.target for seen in web.requests} == {"/"}
    assert "fealty_health_checks_total" not in router.admin("/metrics").text
    assert json.loads(router.explain("app.test").body)["nodes"][0]["eligible"]
