"""/metrics: well-formed whatever packets brought, bounded, and saying what happened."""
import os
import socket

import pytest

import harness
import nodes
import packets
import prometheus
from harness import wait_until


def metrics(router):
    return prometheus.parse(router.admin("/metrics").text)


def by_source(families):
    """{source: packets refused}"""
    found = {}
    for labels, count in families["fealty_subscription_rejected_by_source_total"].samples.items():
        source = dict(labels)["source"]
        found[source] = found.get(source, 0) + count
    return found


def send_from(path, packet, to):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.bind(path)
        sender.sendto(packet, to)


@pytest.mark.parametrize("text", ["a{} 1", "# TYPE a gauge\na 1\n", "# HELP a x\na 1\n",
                                  "# HELP a x\n# TYPE a gauge\na{b=\"\"\"} 1\n",
                                  "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
                                  "# HELP a x\n# TYPE a counter\na 1\n"])
def test_the_reader_of_these_tests_is_strict(text):
    with pytest.raises(ValueError):
        prometheus.parse(text)


def test_metrics_are_well_formed_with_every_feature_on(scene):
    node = nodes.HttpNode(scene, "node", tcp=True)
    router = harness.Router(
        scene, health_check={"interval": "1s", "timeout": "500ms"},
        static=[{"key": "app.test", "nodes": [node.address], "protocol": "http"}],
        subscription={"resubscribe": ["127.0.0.1:9", f"unix:{scene.directory}/front"]})
    router.deliver(b"junk")
    families = metrics(router)
    assert prometheus.value(families, "fealty_nodes_in_state", state="static") == 1
    assert prometheus.value(families, "fealty_resubscribe_sent_total", target="127.0.0.1:9") >= 1
    assert prometheus.value(families, "fealty_resubscribe_dropped_total",
                            target=f"{scene.directory}/front") >= 1
    wait_until(lambda: prometheus.value(metrics(router), "fealty_health_checks_total",
                                        result="passed") >= 1, "a check has passed")


def test_refusals_are_counted_by_reason_and_source(scene, router):
    router.deliver(b"junk")
    packets.send(packets.subscription("app.test", "8.8.8.8:80"), router.subscribe_udp)
    wait_until(lambda: by_source(metrics(router)).get("127.0.0.1"), "the UDP packet is counted")
    families = metrics(router)
    assert prometheus.value(families, "fealty_subscription_rejected_by_source_total",
                            source="127.0.0.1", reason="address-not-allowed") == 1
    assert prometheus.value(families, "fealty_subscription_rejected_total",
                            reason="address-not-allowed") == 1
    assert prometheus.value(families, "fealty_subscription_rejected_by_source_total",
                            source="unnamed socket", reason="not-subscription") == 1


def test_a_uid_is_a_source_where_the_kernel_says_it(scene):
    router = harness.Router(scene, subscription={"use_credentials": True})
    router.deliver(b"junk")
    assert by_source(metrics(router)) == {f"uid {os.getuid()}": 1}


def test_what_a_socket_is_called_cannot_break_the_format(scene, router):
    for name in ('a"} 1', "b\\", "c\nd", "e{x=\"y\"}", "\xff"):
        send_from(f"{scene.directory}/{name}", b"junk", router.subscribe)
    router.deliver(b"junk")
    assert len(by_source(metrics(router))) == 6


def test_sources_are_bounded_and_add_up(scene, router):
    packet_count = 300
    for number in range(packet_count):
        send_from(f"\0{scene.directory}/{number}", b"junk", router.subscribe)
    router.deliver(b"junk")
    families = metrics(router)
    sources = by_source(families)
    assert len(sources) <= 65 and "other" in sources
    assert sum(sources.values()) == packet_count + 1
    assert prometheus.value(families, "fealty_subscription_rejected_total",
                            reason="not-subscription") == packet_count + 1


def test_node_states_are_gauges(scene, router):
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])
    node.close()
    assert router.get().status in (502, 503)
    assert prometheus.value(metrics(router), "fealty_nodes_in_state", state="resting") == 1
    assert router.admin(f"/drain?key=app.test&node={node.address}", "POST").status == 200
    assert prometheus.value(metrics(router), "fealty_nodes_in_state", state="drained") == 1
