"""Nodes that the configuration names, beside those that are announced."""
import harness
import nodes
import packets


def static(key, *its_nodes, protocol="uwsgi", **more):
    return {"key": key, "nodes": [node.address for node in its_nodes], "protocol": protocol,
            **more}


def test_static_nodes_are_served_without_an_announcement(scene):
    fixed, web = nodes.Node(scene, "fixed"), nodes.HttpNode(scene, "web", tcp=True)
    router = harness.Router(scene, static=[static("App.test", fixed),
                                           static("web.test", web, protocol="http")])
    assert router.get().text == "fixed"
    assert router.get(host="web.test").text == "web"


def test_the_first_request_after_ready_is_served(scene):
    fixed = nodes.Node(scene, "fixed")
    router = harness.Router(scene, static=[static("app.test", fixed)])
    for _ in range(3):
        router.terminate()
        assert router.process.wait() == 0
        router.start()
        harness.wait_until(router.healthy, "it is ready")
        assert router.get().status == 200


def test_an_announced_node_shares_with_a_static_one_and_expires_alone(scene):
    fixed, guest = nodes.Node(scene, "fixed"), nodes.Node(scene, "guest")
    router = harness.Router(scene, static=[static("app.test", fixed)],
                            subscription={"tolerance": "1s"})
    announcer = nodes.Announcer(scene, router, guest, "app.test", every=0.2)
    router.wait_answering("app.test", ["fixed", "guest"])
    announcer.silence()
    router.wait_answering("app.test", ["fixed"])


def test_an_unsubscribe_does_not_remove_a_static_node(scene):
    fixed = nodes.Node(scene, "fixed")
    router = harness.Router(scene, static=[static("app.test", fixed)])
    router.deliver(packets.subscription("app.test", fixed.address, unsubscribe=True))
    router.deliver(packets.subscription("app.test", fixed.address, unsubscribe=True,
                                        inactive=1, vassal="x"))
    assert router.get().text == "fixed"


def test_a_static_nodes_address_cannot_be_announced(scene):
    fixed = nodes.Node(scene, "fixed")
    router = harness.Router(scene, static=[static("app.test", fixed)])
    router.deliver(packets.subscription("thief.test", fixed.address))
    assert router.get(host="thief.test").status == 404
    assert router.nodes("thief.test") == []
