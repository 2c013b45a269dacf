"""Secured subscriptions: what somebody who listens, or who is a customer, can make of them."""
import os
import signal
import time

import pytest

import harness
import nodes
import packets
import vassals

MINE = "mine.test"
YOURS = "yours.test"


@pytest.fixture
def keys(scene, key_pair, other_key_pair):
    directory = scene.subdirectory("keys")
    for domain in (MINE, "also-mine.test", "barrier.test"):
        key_pair.install(directory, domain)
    other_key_pair.install(directory, YOURS)
    return directory


@pytest.fixture
def strict(scene, keys):
    return harness.Router(scene, subscription={
        "sign_check": {"digest": "SHA1", "keys": str(keys), "tolerance": "60s",
                       "skip_uids": []}})


def rejected(router, reason):
    """How many packets were refused for this reason, of all sockets."""
    for line in router.admin("/metrics").text.splitlines():
        if line.startswith("fealty_subscription_rejected_total{") and f'reason="{reason}"' in line:
            return int(line.rpartition(" ")[2])
    raise AssertionError(f"no counter of {reason}")


def refusal(router, packet, key_pair):
    """The reason for which `packet` was refused; None where it was not."""
    reasons = ("address-not-allowed", "replayed", "stale", "over-budget", "address-taken", "bad-signature", "no-key",
               "bad-key", "duplicate-field", "truncated", "not-subscription", "malformed",
               "after-signature", "bad-number", "unsigned")
    before = {reason: rejected(router, reason) for reason in reasons}
    router.deliver(packet, sign_with=key_pair.private)
    changed = [reason for reason in reasons if rejected(router, reason) > before[reason]]
    assert len(changed) <= 1, changed
    return changed[0] if changed else None


@pytest.fixture
def mine(scene, strict, key_pair):
    """A live node of mine.test, and the announcement that somebody captured."""
    node = nodes.Node(scene, "mine")
    node.capture = packets.subscription(MINE, node.address, sign_with=key_pair.private)
    packets.send(node.capture, strict.subscribe)
    strict.wait_for_nodes(MINE, 1)
    return node


def as_unsubscribe(packet):
    return packet[:3] + bytes([packets.UNSUBSCRIBE]) + packet[4:]


def test_a_capture_sent_again_to_a_live_node_changes_nothing(strict, mine, key_pair):
    assert refusal(strict, mine.capture, key_pair) is None
    assert len(strict.nodes(MINE)) == 1


def test_a_captured_subscribe_does_not_unsubscribe(strict, mine, key_pair):
    assert refusal(strict, as_unsubscribe(mine.capture), key_pair) == "replayed"
    assert len(strict.nodes(MINE)) == 1


def test_a_capture_does_not_bring_a_departed_node_back(strict, mine, key_pair):
    mine.unsubscribe(strict, MINE, sign_with=key_pair.private)
    strict.wait_for_nodes(MINE, 0)
    assert refusal(strict, mine.capture, key_pair) == "replayed"
    assert strict.nodes(MINE) == []


def test_a_capture_does_not_bring_an_expired_node_back(scene, keys, key_pair):
    router = harness.Router(scene, subscription={
        "tolerance": "500ms", "sign_check": {"digest": "SHA1", "keys": str(keys),
                                             "tolerance": "60s", "skip_uids": []}})
    capture = packets.subscription(MINE, "127.0.0.1:9", sign_with=key_pair.private)
    packets.send(capture, router.subscribe)
    router.wait_for_nodes(MINE, 1)
    router.wait_for_nodes(MINE, 0)
    assert refusal(router, capture, key_pair) == "replayed"


def test_a_captured_unsubscribe_counts_once(strict, mine, key_pair):
    goodbye = packets.subscription(MINE, mine.address, unsubscribe=True,
                                   sign_with=key_pair.private)
    packets.send(goodbye, strict.subscribe)
    strict.wait_for_nodes(MINE, 0)
    later = packets.subscription(MINE, mine.address, sign_with=key_pair.private,
                                 unix=int(time.time()) + 2)
    packets.send(later, strict.subscribe)
    strict.wait_for_nodes(MINE, 1)
    assert refusal(strict, goodbye, key_pair) == "replayed"
    assert len(strict.nodes(MINE)) == 1


def test_a_restart_within_the_second_signs_the_same_bytes_and_counts(strict, mine, key_pair):
    stamp = int(time.time()) + 1
    goodbye = packets.subscription(MINE, mine.address, sign_with=key_pair.private, unix=stamp,
                                   unsubscribe=True)
    packets.send(goodbye, strict.subscribe)
    strict.wait_for_nodes(MINE, 0)
    back = packets.subscription(MINE, mine.address, sign_with=key_pair.private, unix=stamp)
    assert back[4:] == goodbye[4:]
    packets.send(back, strict.subscribe)
    strict.wait_for_nodes(MINE, 1)


def test_a_real_vassal_that_reloads_at_sigterm_is_back_at_once(scene, strict, key_pair):
    vassal = vassals.Vassal(scene, strict, "vassal", key=MINE, sign_with=key_pair.private,
                            die_on_term=False)
    strict.wait_answering(MINE, ["vassal"])
    vassal.process.signal(signal.SIGTERM)
    harness.wait_until(lambda: vassal.process.log().count("spawned uWSGI worker 1 ") > 1,
                       "it has reloaded", 20)
    strict.wait_answering(MINE, ["vassal"])
    assert rejected(strict, "replayed") == 0
    assert rejected(strict, "stale") == 0


def test_a_stamp_that_was_overtaken_is_refused(strict, mine, key_pair):
    def stamped(offset):
        return packets.subscription(MINE, mine.address, sign_with=key_pair.private,
                                    unix=int(time.time()) + offset)
    assert refusal(strict, stamped(30), key_pair) is None
    assert refusal(strict, stamped(20), key_pair) == "stale"


def test_a_rotated_key_counts_at_once_and_the_node_stays(
        strict, mine, keys, key_pair, other_key_pair):
    other_key_pair.install(keys, MINE)
    stamp = int(time.time()) + 3
    old = packets.subscription(MINE, mine.address, sign_with=key_pair.private, unix=stamp)
    new = packets.subscription(MINE, mine.address, sign_with=other_key_pair.private, unix=stamp,
                               weight=5)
    assert refusal(strict, old, key_pair) == "bad-signature"
    assert refusal(strict, new, key_pair) is None
    assert [node["weight"] for node in strict.nodes(MINE)] == [5]


def test_anothers_address_is_taken_until_he_leaves(strict, mine, key_pair, other_key_pair):
    def yours(offset):
        return packets.subscription(YOURS, mine.address, sign_with=other_key_pair.private,
                                    unix=int(time.time()) + offset)
    assert refusal(strict, yours(0), key_pair) == "address-taken"
    also = packets.subscription("also-mine.test", mine.address, sign_with=key_pair.private)
    assert refusal(strict, also, key_pair) is None
    for key in (MINE, "also-mine.test"):
        assert refusal(strict, yours(0), key_pair) == "address-taken"
        mine.unsubscribe(strict, key, sign_with=key_pair.private)
        strict.wait_for_nodes(key, 0)
    assert refusal(strict, yours(1), key_pair) is None
    strict.wait_for_nodes(YOURS, 1)


@pytest.mark.parametrize("key", [
    YOURS, "YOURS.test", "yours.test.", "yours.test:80", "yours.test/mine.test",
    "YOURS.TEST.:443/a/b", ".test", f"{YOURS}\0.{MINE}", f"{MINE}/../{YOURS}",
    "y\u00f6urs.test", "\uff59ours.test", f"x.{YOURS}", "a" * 64 + f".{MINE}",
    "mine.test_80"])
def test_no_spelling_reaches_a_foreign_domain(strict, key_pair, key):
    packet = packets.subscription(key, "127.0.0.1:9", sign_with=key_pair.private)
    before = {pool["key"] for pool in strict.stats()["subscriptions"]}
    strict.deliver(packet, sign_with=key_pair.private)
    after = {pool["key"] for pool in strict.stats()["subscriptions"]}
    assert after - before <= {"barrier.test"}


def test_junk_leaves_the_router_in_order(scene, strict, key_pair):
    whole = packets.subscription(MINE, "127.0.0.1:9", sign_with=key_pair.private)
    junk = [os.urandom(size) for size in (1, 3, 4, 5, 300, 4096)]
    junk += [whole[:size] for size in range(0, len(whole), 7)]
    junk += [packets.frame(os.urandom(65000), packets.MODIFIER_SUBSCRIPTION),
             packets.frame(b"\xff" * 65000, packets.MODIFIER_SUBSCRIPTION),
             packets.frame(packets.encode_pairs([("key", MINE), ("key", YOURS)]),
                           packets.MODIFIER_SUBSCRIPTION)]
    for packet in junk:
        packets.send(packet, strict.subscribe)
    assert refusal(strict, whole, key_pair) is None
    assert len(strict.nodes(MINE)) == 1


def test_forgeries_use_up_the_forgers_budget_only(strict, mine, key_pair, other_key_pair):
    """The forger speaks UDP, the customer uses the Unix socket: two sources."""
    forged = packets.subscription(MINE, mine.address, sign_with=other_key_pair.private,
                                  unix=int(time.time()) + 1)
    harness.wait_until(lambda: [packets.send(forged, strict.subscribe_udp) for _ in range(2000)]
                       and rejected(strict, "over-budget") > 0, "the forger is over his budget")
    assert rejected(strict, "bad-signature") > 0
    fresh = packets.subscription(MINE, mine.address, sign_with=key_pair.private, weight=7,
                                 unix=int(time.time()) + 2)
    packets.send(fresh, strict.subscribe)
    harness.wait_until(lambda: [node["weight"] for node in strict.nodes(MINE)] == [7],
                       "the customer's next announcement counts")


def test_the_routers_own_sockets_cannot_be_announced(scene):
    """Neither the admin listener nor a listener or a server, however they are written."""
    router = harness.Router(scene)
    link = scene.directory / "link.sock"
    link.symlink_to(router.subscribe)
    own = [f"{host}:{port}" for port in (router.admin_port, router.port)
           for host in ("127.0.0.1", "0.0.0.0", "", "[::ffff:127.0.0.1]")]
    own += [router.subscribe, str(link)]
    for address in own:
        before = rejected(router, "address-not-allowed")
        router.deliver(packets.subscription("evil.test", address, proto="http"))
        assert rejected(router, "address-not-allowed") == before + 1, address
    assert router.nodes("evil.test") == []
    assert router.get(host="evil.test").status == 404


def test_a_link_to_the_admin_socket_made_after_the_announcement_leads_nowhere(scene):
    """The admin listener does not answer the router itself."""
    admin_socket, path = scene.directory / "admin.sock", scene.directory / "node.sock"
    router = harness.Router(scene, more_admin=[f"unix:{admin_socket}"], limits={"hold": "0s"})
    router.deliver(packets.subscription("evil.test", str(path), proto="http"))
    router.wait_known("evil.test")
    path.symlink_to(admin_socket)
    assert router.get(host="evil.test").status in (502, 503)


def test_no_link_leads_a_node_out_of_its_prefix(scene):
    """Neither one that is there when it is announced, nor one that is made afterwards."""
    inside, outside = scene.subdirectory("inside"), scene.subdirectory("outside")
    own, other = nodes.Node(scene, "own"), nodes.Node(scene, "other")
    os.rename(own.address, inside / "own.sock")
    os.rename(other.address, outside / "other.sock")
    router = harness.Router(scene, limits={"hold": "0s"},
                            subscription={"allow_addresses": [f"unix:{inside}/", "127.0.0.1"]})
    path = inside / "node.sock"
    path.symlink_to(outside / "other.sock")
    router.deliver(packets.subscription("app.test", str(path)))
    assert rejected(router, "address-not-allowed") == 1
    path.unlink()
    path.symlink_to("own.sock")
    router.deliver(packets.subscription("app.test", str(path)))
    router.wait_answering("app.test", ["own"])
    path.unlink()
    path.symlink_to(outside / "other.sock")
    assert router.get().status == 503


def test_a_flood_does_not_keep_live_nodes_of_its_source_from_being_refreshed(
        strict, mine, key_pair, other_key_pair):
    """Forger and customer speak UDP from the loopback: one source."""
    forged = packets.subscription("nobody.test", "127.0.0.1:9", sign_with=other_key_pair.private)

    def flood():
        for _ in range(2000):
            packets.send(forged, strict.subscribe_udp)
        return rejected(strict, "over-budget") > 0
    harness.wait_until(flood, "the source is over its budget")
    refresh = packets.subscription(MINE, mine.address, sign_with=key_pair.private,
                                   unix=int(time.time()) + 1, weight=7)
    for packet in [forged] * 1500 + [refresh]:  # right behind: no time to recover
        packets.send(packet, strict.subscribe_udp)
    harness.wait_until(lambda: [node["weight"] for node in strict.nodes(MINE)] == [7],
                       "the refresh counted")
