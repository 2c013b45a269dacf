"""/explain says which rule chose or excluded each node."""
import json

import harness
import nodes
import packets
from harness import wait_until


def explained(router, host="app.test", path=None):
    return json.loads(router.explain(host, path).text)


def whys(router):
    return {node["name"]: node["why"] for node in explained(router)["nodes"]}


def subscribe_three(scene, router):
    found = [nodes.Node(scene, name) for name in ("main", "spare", "backup")]
    for node, level in zip(found, (0, 0, 7)):
        node.subscribe(router, "app.test", backup=level)
    router.wait_answering("app.test", ["main", "spare"])
    return found


def test_the_level_that_is_used_is_named(scene, router):
    main, spare, backup = subscribe_three(scene, router)
    reasons = whys(router)
    assert reasons[main.address] == reasons[spare.address] == (
        "takes requests, as far as is known")
    assert reasons[backup.address] == "a backup: level 0 has a node"
    answer = explained(router)
    assert answer["algorithm"] == "wrr" and answer["chooses"] == "by weight, in turn"
    assert [(node["level"], node["eligible"]) for node in answer["nodes"]] == [
        (0, True), (0, True), (1, False)]


def test_a_node_that_rests_says_after_what(scene, router):
    main, _, _ = subscribe_three(scene, router)
    main.close()
    for _ in range(4):
        assert router.get().status == 200
    reason = whys(router)[main.address]
    assert reason.startswith("rests after ") and "could not be reached 1 times" in reason


def test_where_all_rest_they_are_used_all_the_same(scene):
    router = harness.Router(scene, limits={"hold": "0s"})
    main, spare, backup = subscribe_three(scene, router)
    for node in (main, spare, backup):
        node.close()
    assert router.get().status == 503
    assert all("used all the same" in reason for reason in whys(router).values())


def test_slow_start_shows_its_share(scene):
    router = harness.Router(scene, subscription={"slow_start": "1s"})
    first = nodes.Node(scene, "first")
    first.subscribe(router, "app.test")
    router.wait_answering("app.test", ["first"])
    wait_until(lambda: explained(router)["nodes"][0]["share_percent"] == 100, "its whole share")
    # A node that joins one of a second's standing is ramped up.
    since = router.stats()["subscriptions"][0]["nodes"][0]["last_check"]
    wait_until(lambda: router.get().status == 200 and
               packets.time.time() > since + 2, "the first has been there for a while")
    second = nodes.Node(scene, "second")
    second.subscribe(router, "app.test")
    router.wait_for_nodes("app.test", 2)
    wait_until(lambda: second.address in whys(router), "it is published")
    shares = {node["name"]: node["share_percent"] for node in explained(router)["nodes"]}
    assert shares[first.address] == 100 and 10 <= shares[second.address] <= 100
    wait_until(lambda: [node["share_percent"] for node in explained(router)["nodes"]] ==
               [100, 100], "both have their whole share")


def test_sleeping_vassals_are_shown(scene, router):
    pairs = {"key": "app.test", "vassal": "app.ini", "inactive": 1}
    router.deliver(packets.frame(packets.encode_pairs(pairs.items()),
                                 packets.MODIFIER_SUBSCRIPTION))
    (node,) = wait_until(lambda: explained(router).get("nodes"), "it is published")
    assert node["vassal"] == "app.ini" and node["sleeping"] and not node["eligible"]
    assert "subscription.emperor" in node["why"]
    assert "limits.hold" in explained(router)["why"]


def test_the_path_counts_where_mountpoints_do(scene):
    router = harness.Router(scene, subscription={"mountpoints": 1})
    for name, key in (("root", "app.test"), ("blog", "app.test/blog")):
        nodes.Node(scene, name).subscribe(router, key)
    router.wait_for_nodes("app.test/blog", 1)
    answer = wait_until(lambda: (found := explained(router, path="/x/../%62log?q"))
                        .get("key") == "app.test/blog" and found, "it is published")
    assert answer["rule"] == "exact, with a mountpoint" and answer["path"] == "/x/../%62log"
    assert explained(router, path="/blogs")["key"] == "app.test"
    assert explained(router)["key"] == "app.test"
    assert explained(router, path="/%")["answer"] == 400
    assert explained(router, host="other.test")["answer"] == 404
