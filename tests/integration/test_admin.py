"""What the router says of itself, and to those who announce."""
import json
import socket
import time

import nodes
import packets
import vassals
from harness import HERE, wait_until

# What uWSGI 2.0.21's own http router says with one node (--http-stats-server).
UWSGIS = json.loads((HERE / "data" / "uwsgi-router-stats.json").read_text())
# What the interface adds to it; "cheap" is a mode of uWSGI's that this router has not.
ADDED_TO_POOL = {"algo"}
ADDED_TO_NODE = {"vassal", "backup", "proto"}


def types(record, left_out=()):
    return {name: type(value) for name, value in record.items() if name not in left_out}


def only_pool(stats):
    (pool,) = stats["subscriptions"]
    return pool


def test_the_stats_have_uwsgis_names_and_types(router, node):
    router.get()
    stats = router.stats()
    pool, uwsgis_pool = only_pool(stats), only_pool(UWSGIS)
    (entry,), (uwsgis_entry,) = pool["nodes"], uwsgis_pool["nodes"]
    assert types(stats).items() >= types(UWSGIS, {"cheap"}).items()
    assert types(pool).items() >= types(uwsgis_pool).items()
    assert types(entry).items() >= types(uwsgis_entry).items()
    assert pool.keys() >= ADDED_TO_POOL and entry.keys() >= ADDED_TO_NODE


def test_the_stats_say_who_and_where(router, node):
    stats = router.stats()
    assert stats["pid"] == router.pid
    assert f"127.0.0.1:{router.port}" in stats["http"]
    assert only_pool(stats)["key"] == "app.test"
    assert only_pool(stats)["nodes"][0]["name"] == node.address


def test_the_stats_count_requests(router, node):
    def requests():
        return router.nodes("app.test")[0]["requests"]
    before = requests()
    for _ in range(7):
        router.get()
    wait_until(lambda: requests() == before + 7, "seven more requests are counted")


def test_the_stats_show_what_was_announced(router, vassal):
    wait_until(lambda: router.nodes("app.test")[0]["cores"] == 2, "two cores")
    entry = router.nodes("app.test")[0]
    assert entry["weight"] == 1 and entry["modifier1"] == 0
    assert abs(entry["last_check"] - time.time()) < 30


def test_a_silent_tcp_connection_gets_the_stats_after_a_moment(router, node):
    since = time.monotonic()
    with socket.create_connection(("127.0.0.1", router.admin_port), timeout=10) as silent:
        text = b""
        while data := silent.recv(65536):
            text += data
    assert time.monotonic() - since > 0.08
    assert json.loads(text)["pid"] == router.pid


def test_the_admin_listener_is_json_over_http(router):
    answer = router.admin("/")
    assert answer.status == 200
    assert answer.header("content-type").startswith("application/json")


def test_healthz_answers_200_once_ready(router):
    assert router.admin("/healthz").status == 200


def test_an_unknown_admin_path_gets_404(router):
    assert router.admin("/nothing-here").status == 404


def test_admin_requests_are_never_routed(router, node):
    before = len(node.requests)
    for path in ("/", "/healthz", "/other"):
        router.admin(path)
    assert len(node.requests) == before


def test_the_public_port_does_not_answer_admin_requests(router):
    assert router.get("/healthz", host="unknown.test").status == 404
    assert router.get("/explain?host=app.test", host="unknown.test").status == 404


def test_explain_names_the_key_and_its_nodes(scene, router):
    wild, exact = nodes.Node(scene, "wild"), nodes.Node(scene, "exact")
    wild.subscribe(router, ".example.com")
    exact.subscribe(router, "x.example.com")
    router.wait_answering("x.example.com", ["exact"])
    router.wait_answering("other.example.com", ["wild"])
    text = router.explain("x.example.com").text
    assert exact.address in text and "wrr" in text
    text = router.explain("other.example.com:80").text
    assert ".example.com" in text and wild.address in text


def test_explain_says_when_there_is_nothing(router):
    answer = router.explain("unknown.test")
    assert answer.status in (200, 404)
    assert "unknown.test" in answer.text


def notification_socket(scene):
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = scene.directory / "notify"
    receiver.bind(str(path))
    path.chmod(0o666)
    receiver.settimeout(10)
    scene.on_close(receiver.close)
    return receiver, path


def test_a_new_node_is_acknowledged_once(scene, router):
    receiver, path = notification_socket(scene)
    packet = packets.subscription("app.test", "127.0.0.1:9", notify=path)
    router.deliver(packet)
    assert receiver.recv(4096) == b"[subscription ack] app.test => new node: 127.0.0.1:9"
    router.deliver(packet)
    router.deliver(packets.subscription("other.test", "127.0.0.1:7", notify=path))
    assert receiver.recv(4096) == b"[subscription ack] other.test => new node: 127.0.0.1:7"


def test_a_node_that_comes_back_is_acknowledged_again(scene, router):
    receiver, path = notification_socket(scene)
    for unsubscribe in (False, True, False):
        router.deliver(packets.subscription("app.test", "127.0.0.1:9", notify=path,
                                            unsubscribe=unsubscribe))
    for _ in range(2):
        assert receiver.recv(4096) == b"[subscription ack] app.test => new node: 127.0.0.1:9"


def test_a_missing_notification_socket_does_no_harm(scene, router):
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test", notify=scene.directory / "nobody")
    router.wait_answering("app.test", ["node"])


def test_a_real_vassal_logs_its_acknowledgement(scene, router):
    path = scene.directory / "vassal-notify"
    vassal = vassals.Vassal(scene, router, "vassal", options=["--notify-socket", path])
    line = f"[subscription ack] app.test => new node: {vassal.socket}"
    wait_until(lambda: line in vassal.process.log(), "the vassal logs what the router told it")


def test_malformed_announcements_change_nothing(router):
    good = packets.subscription("app.test", "127.0.0.1:9")
    broken = [b"", good[:3], good[:-1], good + b"x", good[:20],
              packets.frame(b"\xff\xff\x00", 224), packets.frame(b"", 224),
              packets.subscription("", "127.0.0.1:9"), packets.subscription("app.test", ""),
              packets.subscription("a" * 256, "127.0.0.1:9"),
              packets.subscription("app.test", "/" + "a" * 255),
              packets.subscription("app\0.test", "127.0.0.1:9"),
              packets.frame(packets.encode_pairs(
                  [("key", "app.test"), ("key", "b.test"), ("address", "127.0.0.1:9")]), 224),
              bytes([99]) + good[1:]]
    for packet in broken:
        router.deliver(packet)
    assert {pool["key"] for pool in router.stats()["subscriptions"]} == {"barrier.test"}
