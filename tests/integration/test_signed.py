"""sign_check: which announcements count."""
import signal
import time

import pytest

import harness
import nodes
import packets
import vassals

KEY = "foo.example.com"


@pytest.fixture
def keys(scene, key_pair):
    directory = scene.subdirectory("keys")
    for domain in (KEY, "barrier.test"):
        key_pair.install(directory, domain)
    return directory


@pytest.fixture
def strict(scene, keys):
    return harness.Router(scene, subscription={
        "sign_check": {"digest": "SHA1", "keys": str(keys), "tolerance": "60s",
                       "skip_uids": []}})


def refused(router, packet, key_pair, key=KEY):
    router.deliver(packet, sign_with=key_pair.private)
    return router.nodes(key) == [] and router.get(host=key).status == 404


def test_a_real_vassal_with_the_right_key_gets_in(scene, strict, key_pair):
    vassals.Vassal(scene, strict, "signed", key=KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["signed"])


def test_a_real_vassal_without_a_signature_stays_out(scene, strict, key_pair):
    vassal = vassals.Vassal(scene, strict, "unsigned", key=KEY)
    harness.wait_until(lambda: "spawned uWSGI worker 1 " in vassal.process.log(), "it runs", 20)
    assert refused(strict, packets.subscription(KEY, vassal.socket), key_pair)


def test_a_real_vassal_with_anothers_key_stays_out(scene, strict, key_pair, other_key_pair):
    vassals.Vassal(scene, strict, "forger", key=KEY, sign_with=other_key_pair.private)
    vassals.Vassal(scene, strict, "owner", key=KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["owner"])


def test_a_right_signature_is_accepted(scene, strict, key_pair):
    node = nodes.Node(scene, "node")
    node.subscribe(strict, KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["node"])


def test_an_unsigned_packet_is_refused(strict, key_pair):
    assert refused(strict, packets.subscription(KEY, "127.0.0.1:9"), key_pair)


def test_a_packet_signed_by_another_key_is_refused(strict, key_pair, other_key_pair):
    packet = packets.subscription(KEY, "127.0.0.1:9", sign_with=other_key_pair.private)
    assert refused(strict, packet, key_pair)


def test_a_packet_changed_after_signing_is_refused(strict, key_pair):
    packet = packets.subscription(KEY, "127.0.0.1:9", sign_with=key_pair.private)
    assert refused(strict, packet.replace(b"127.0.0.1:9", b"127.0.0.1:8"), key_pair)


def test_a_pair_after_the_signature_is_refused(strict, key_pair):
    packet = packets.subscription(KEY, "127.0.0.1:9", sign_with=key_pair.private)
    body = packet[4:] + packets.encode_pairs([("weight", "9")])
    assert refused(strict, packets.frame(body, packets.MODIFIER_SUBSCRIPTION), key_pair)


@pytest.mark.parametrize("age", [3600, 70, -70, -3600],
                         ids=["an_hour_old", "70_s_old", "70_s_ahead", "an_hour_ahead"])
def test_a_stamp_outside_the_tolerance_is_refused(strict, key_pair, age):
    packet = packets.subscription(KEY, "127.0.0.1:9", sign_with=key_pair.private,
                                  unix=int(time.time()) - age)
    assert refused(strict, packet, key_pair)


def test_a_signature_without_a_stamp_is_refused(strict, key_pair):
    body = packets.encode_pairs([("key", KEY), ("address", "127.0.0.1:9")])
    body += packets.encode_pairs([("sign", packets.sign(body, key_pair.private))])
    assert refused(strict, packets.frame(body, packets.MODIFIER_SUBSCRIPTION), key_pair)


def test_a_domain_without_a_key_file_is_refused(strict, key_pair):
    packet = packets.subscription("stranger.test", "127.0.0.1:9", sign_with=key_pair.private)
    assert refused(strict, packet, key_pair, key="stranger.test")


def test_a_colon_in_a_key_is_an_underscore_in_its_file(scene, strict, keys, key_pair):
    key_pair.install(keys, "port.test_8080")
    node = nodes.Node(scene, "node")
    node.subscribe(strict, "port.test:8080", sign_with=key_pair.private)
    strict.wait_for_nodes("port.test:8080", 1)


def test_the_wildcards_key_file_begins_with_a_dot(scene, strict, keys, key_pair):
    key_pair.install(keys, ".wild.test")
    node = nodes.Node(scene, "node")
    node.subscribe(strict, ".wild.test", sign_with=key_pair.private)
    strict.wait_answering("any.wild.test", ["node"])


def test_a_removed_key_file_refuses_from_the_next_packet_on(scene, strict, keys, key_pair):
    (keys / f"{KEY}.pem").unlink()
    packet = packets.subscription(KEY, "127.0.0.1:9", sign_with=key_pair.private)
    assert refused(strict, packet, key_pair)


def test_a_changed_key_file_takes_effect_at_the_next_packet(
        scene, strict, keys, key_pair, other_key_pair):
    other_key_pair.install(keys, KEY)
    old = packets.subscription(KEY, "127.0.0.1:9", sign_with=key_pair.private)
    assert refused(strict, old, key_pair)
    nodes.Node(scene, "node").subscribe(strict, KEY, sign_with=other_key_pair.private)
    strict.wait_answering(KEY, ["node"])


def test_an_unsigned_unsubscribe_removes_nothing(scene, strict, key_pair, other_key_pair):
    node = nodes.Node(scene, "node")
    node.subscribe(strict, KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["node"])
    for signer in (None, other_key_pair.private):
        strict.deliver(packets.subscription(KEY, node.address, unsubscribe=True,
                                            sign_with=signer), sign_with=key_pair.private)
    assert len(strict.nodes(KEY)) == 1
    node.unsubscribe(strict, KEY, sign_with=key_pair.private)
    strict.wait_for_nodes(KEY, 0)


def test_a_signed_vassal_restarted_at_once_is_back(scene, strict, key_pair):
    first = vassals.Vassal(scene, strict, "signed", key=KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["signed"])
    first.process.signal(signal.SIGTERM)
    first.process.wait()
    vassals.Vassal(scene, strict, "signed", key=KEY, sign_with=key_pair.private)
    strict.wait_answering(KEY, ["signed"])
