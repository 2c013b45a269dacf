"""Subscriptions that are passed on: tiers of routers, beside what uWSGI's own do."""
import os
import socket
import time

import harness
import nodes
import packets
import prometheus
import vassals
from harness import wait_until


class Front:
    """A datagram socket that receives what routers pass on; Unix, or UDP with `udp`."""

    def __init__(self, scene, *, udp=False, name="front"):
        self._socket = socket.socket(socket.AF_INET if udp else socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0) if udp else f"{scene.directory}/{name}")
        if not udp:
            os.chmod(f"{scene.directory}/{name}", 0o666)
        self._socket.settimeout(10 * harness.SLOW)
        scene.on_close(self._socket.close)
        bound = self._socket.getsockname()
        self.address = f"127.0.0.1:{bound[1]}" if udp else bound
        self.option = self.address if udp else f"unix:{bound}"

    def receive(self):
        """(the command byte, the pairs in order) of the next packet."""
        packet = self._socket.recv(65536)
        assert packet[0] == packets.MODIFIER_SUBSCRIPTION
        return packet[3], packets.decode_pairs(packet[4:])

    def receive_of(self, key):
        while True:
            command, pairs = self.receive()
            if dict(pairs)["key"] == key:
                return command, pairs


class UwsgiRouter:
    """uWSGI's own HTTP router with a subscription server."""

    def __init__(self, scene, name, resubscribe=None):
        self.port, self.server_port = (harness.free_port(),
                                       harness.free_port(socket.SOCK_DGRAM))
        self.server = ("127.0.0.1", self.server_port)
        argv = [vassals.UWSGI, "--plugin", "http", "--master", "--die-on-term",
                "--http", f"127.0.0.1:{self.port}",
                "--http-subscription-server", f"127.0.0.1:{self.server_port}"]
        if resubscribe:
            argv += ["--http-resubscribe", resubscribe]
        self.process = scene.spawn(name, argv)
        # Its own pool of some other key shows that it reads its socket.
        wait_until(self._reads, f"{name} reads announcements", 20)

    def _reads(self):
        packets.send(packets.subscription("ready.test", "127.0.0.1:9"), self.server)
        return "ready.test => new node" in self.process.log()

    @property
    def log(self):
        return self.process.log()


def counter(router, name, **labels):
    return prometheus.value(prometheus.parse(router.admin("/metrics").text), name, **labels)


def test_the_packet_is_uwsgis_and_names_the_router(scene):
    front, theirs = Front(scene, udp=True), Front(scene, udp=True)
    uwsgi = UwsgiRouter(scene, "uwsgi", resubscribe=theirs.address)
    router = harness.Router(scene, subscription={"resubscribe": [front.option]})
    packet = packets.subscription("app.test", "127.0.0.1:9", weight=3, modifier1=5, backup=2,
                                  notify="/nowhere")
    packets.send(packet, router.subscribe)
    packets.send(packet, uwsgi.server)
    command, pairs = front.receive_of("app.test")
    their_command, their_pairs = theirs.receive_of("app.test")
    assert command == their_command == packets.SUBSCRIBE
    assert dict(their_pairs)["address"] == f"127.0.0.1:{uwsgi.port}"
    assert dict(pairs)["address"] == f"127.0.0.1:{router.port}"

    def without_address(pairs):
        return [pair for pair in pairs if pair[0] != "address"]
    ours = without_address(pairs)
    assert ours[:len(their_pairs) - 1] == without_address(their_pairs)
    assert [name for name, _ in ours[len(their_pairs) - 1:]] == ["proto", "via"]


def test_an_edge_router_serves_what_a_router_behind_it_was_told(scene):
    edge = harness.Router(scene)
    inner = harness.Router(scene, subscription={"resubscribe": [f"unix:{edge.subscribe}"]})
    vassal = vassals.Vassal(scene, inner, "vassal")
    edge.wait_answering("app.test", ["vassal"])
    assert [node["name"] for node in edge.nodes("app.test")] == [f"127.0.0.1:{inner.port}"]
    vassal.process.signal(15)
    vassal.process.wait()
    edge.wait_for_nodes("app.test", 0)


def test_a_signed_subscription_is_passed_on_unsigned_to_who_trusts_the_router(scene, key_pair):
    keys = scene.subdirectory("keys")
    key_pair.install(keys, "app.test")
    check = {"digest": "SHA1", "keys": str(keys), "skip_uids": []}
    edge = harness.Router(scene, subscription={
        "sign_check": {**check, "skip_uids": [os.getuid()]}})
    stranger = harness.Router(scene, subscription={"sign_check": check})
    inner = harness.Router(scene, subscription={
        "sign_check": check,
        "resubscribe": [f"unix:{edge.subscribe}", f"unix:{stranger.subscribe}"]})
    vassals.Vassal(scene, inner, "vassal", sign_with=key_pair.private)
    edge.wait_answering("app.test", ["vassal"])
    assert stranger.nodes("app.test") == []
    assert counter(stranger, "fealty_subscription_rejected_total", reason="unsigned") >= 1


def test_a_refused_subscription_is_not_passed_on(scene):
    front = Front(scene)
    router = harness.Router(scene, subscription={"resubscribe": [front.option]})
    router.deliver(packets.subscription("app.test", "8.8.8.8:80"))
    command, pairs = front.receive()
    assert dict(pairs)["key"] == "barrier.test", "the one that was sent afterwards"


def test_the_last_node_of_a_key_withdraws_it(scene):
    front = Front(scene)
    router = harness.Router(scene, subscription={"resubscribe": [front.option]})
    for node in ("127.0.0.1:8", "127.0.0.1:9"):
        packets.send(packets.subscription("app.test", node), router.subscribe)
    router.wait_for_nodes("app.test", 2)
    for node in ("127.0.0.1:8", "127.0.0.1:9"):
        packets.send(packets.subscription("app.test", node, unsubscribe=True), router.subscribe)
    commands = [front.receive()[0] for _ in range(2)]
    assert commands == [packets.SUBSCRIBE, packets.UNSUBSCRIBE]


def test_a_full_or_missing_socket_delays_nobody(scene):
    full = Front(scene)                              # nobody reads it
    router = harness.Router(scene, subscription={
        "resubscribe": [full.option, f"unix:{scene.directory}/missing"]})
    begin = time.monotonic()
    for number in range(2000):
        packets.send(packets.subscription(f"k{number}.test", "127.0.0.1:9"), router.subscribe)
    router.deliver(packets.subscription("app.test", "127.0.0.1:9"))
    seconds = time.monotonic() - begin
    assert counter(router, "fealty_resubscribe_dropped_total", target=full.address) > 0
    assert counter(router, "fealty_resubscribe_dropped_total",
                   target=f"{scene.directory}/missing") >= 2001
    lines = router.process.log().count("resubscribe: not passed on")
    assert 2 <= lines <= 2 * (seconds + 2)


def in_a_loop(scene):
    """Two routers that pass everything on to each other."""
    ports = [harness.free_port(socket.SOCK_DGRAM) for _ in range(2)]
    return [harness.Router(scene, subscription={
        "servers": [{"address": f"unix:{scene.directory}/loop-{number}", "mode": "0666"},
                    {"address": f"127.0.0.1:{ports[number]}"}],
        "resubscribe": [f"127.0.0.1:{ports[1 - number]}"]}) for number in range(2)]


def test_two_routers_that_tell_each_other_do_not_storm(scene):
    routers = in_a_loop(scene)
    for number, router in enumerate(routers):
        router.subscribe = f"{scene.directory}/loop-{number}"
    one, two = routers
    node = nodes.Node(scene, "node")
    begin = time.monotonic()
    announcer = nodes.Announcer(scene, one, node, "app.test", every=0.1)
    two.wait_answering("app.test", ["node"])
    wait_until(lambda: counter(one, "fealty_resubscribe_came_back_total") >= 1,
               "what was passed on came back, and was known")
    announcer.silence()
    assert [node["name"] for node in one.nodes("app.test")] == [node.address]
    seconds = time.monotonic() - begin
    for router in routers:
        families = prometheus.parse(router.admin("/metrics").text)
        sent = sum(families["fealty_resubscribe_sent_total"].samples.values())
        assert sent <= seconds + 2, "a packet a second, of one key"


def test_a_loop_through_uwsgis_router_ends(scene):
    port = harness.free_port(socket.SOCK_DGRAM)
    uwsgi = UwsgiRouter(scene, "uwsgi", resubscribe=f"127.0.0.1:{port}")
    router = harness.Router(scene, subscription={
        "servers": [{"address": f"unix:{scene.directory}/own", "mode": "0666"},
                    {"address": f"127.0.0.1:{port}"}],
        "resubscribe": [f"127.0.0.1:{uwsgi.server_port}"]})
    router.subscribe = f"{scene.directory}/own"
    rounds = 20
    begin = time.monotonic()
    for number in range(rounds):
        router.deliver(packets.subscription("app.test", f"127.0.0.1:{9000 + number}"))
    wait_until(lambda: any(node["name"] == f"127.0.0.1:{uwsgi.port}"
                           for node in router.nodes("app.test")), "the loop is closed")
    seconds = time.monotonic() - begin
    sent = counter(router, "fealty_resubscribe_sent_total",
                   target=f"127.0.0.1:{uwsgi.server_port}")
    assert sent <= 2 * (seconds + 2), "a packet a key and second: app.test and barrier.test"


def test_the_datagrams_come_from_where_they_are_bound(scene):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(10 * harness.SLOW)
    scene.on_close(receiver.close)
    source = f"127.0.0.2:{harness.free_port(socket.SOCK_DGRAM)}"
    router = harness.Router(scene, subscription={
        "resubscribe": [f"127.0.0.1:{receiver.getsockname()[1]}"], "resubscribe_bind": source,
        "resubscribe_as": "10.1.2.3:80"})
    packets.send(packets.subscription("app.test", "127.0.0.1:9"), router.subscribe)
    packet, (host, port) = receiver.recvfrom(65536)
    assert f"{host}:{port}" == source
    assert dict(packets.decode_pairs(packet[4:]))["address"] == "10.1.2.3:80"
