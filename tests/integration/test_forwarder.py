"""Forwarders between two servers, on the loopback: what goes on, what does not, loops,
reloads. The whole cluster is tests/net/test_cluster.py's."""
import os
import re
import signal
import socket
import subprocess

import pytest

import harness
import packets
import prometheus
from legions import LEGION, Ours, free_ports


class Forwarder(Ours):
    """A fealty-legion that is a forwarder alone; its Member's parts are not used."""

    def __init__(self, scene, name, port, other_port, deliver, **changes):
        self.scene, self.name, self.port = scene, name, port
        self.listen = str(scene.directory / f"{name}.dgram")
        self.admin = str(scene.directory / f"admin-{name}")
        self.config_path = scene.directory / f"{name}.yaml"
        self.options = {"listen": f"unix:{self.listen}", "to": [f"127.0.0.1:{other_port}"],
                        "receive": f"127.0.0.1:{port}", "deliver": f"unix:{deliver}",
                        "secret": "secret", **changes}

    def config(self):
        return {"user": "root" if os.geteuid() == 0 else "nobody",
                "admin": [f"unix:{self.admin}"], "forwarder": self.options}

    def start(self):
        self.write_config()
        self.process = self.scene.spawn(self.name, [LEGION, "--config", self.config_path])
        self.process.ends_by_sigterm = True
        harness.wait_until(self.answers, f"{self.name} answers")
        return self

    def count(self, name, **labels):
        return prometheus.value(prometheus.parse(self.get("/metrics").text),
                                f"fealty_forwarder_{name}", **labels)

    def wait_count(self, count, name, **labels):
        harness.wait_until(lambda: self.count(name, **labels) == count,
                           f"{name} {labels} is {count}")


class Receiver:
    """A router's subscription server, as far as the forwarder is concerned."""

    def __init__(self, scene, name):
        self.path = str(scene.directory / name)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(10 * harness.SLOW)
        scene.on_close(self._socket.close)

    def receive(self):
        packet = self._socket.recv(70000)
        return dict(packets.decode_pairs(packet[4:]))


@pytest.fixture
def pair(scene):
    """Two forwarders and who gets what they deliver."""
    ports = free_ports(2)
    routers = [Receiver(scene, f"router-{i}") for i in range(2)]
    return [Forwarder(scene, f"f{i}", ports[i], ports[1 - i], routers[i].path).start()
            for i in range(2)], routers


def test_a_packet_arrives_with_its_certificate(pair):
    (one, two), routers = pair
    pem = "-----BEGIN PRIVATE KEY-----\n" + "x" * 60000
    packets.send(packets.subscription("a.test", "10.1.0.1:1999", sni_key=pem), one.listen)
    got = routers[1].receive()
    assert (got["key"], got["address"], got["sni_key"]) == ("a.test", "10.1.0.1:1999", pem)
    packets.send(packets.subscription("a.test", "10.1.0.1:1999", unsubscribe=True), two.listen)
    assert routers[0].receive()["key"] == "a.test"
    assert one.count("packets_taken_total") == one.count("datagrams_sent_total") == 1


def test_what_must_not_go_on_is_counted_by_reason(scene, pair):
    (one, _), _ = pair
    packets.send(packets.subscription("a.test", "10.1.0.1:1", sni_key="x" * 65400), one.listen)
    packets.send(packets.subscription("a.test", "10.1.0.1:1", sign="x"), one.listen)
    packets.send(packets.subscription("a.test", "10.1.0.1:1", via="0123 legion"), one.listen)
    packets.send(b"nonsense", one.listen)
    for reason in ("oversized", "signed", "came_back", "not_subscription"):
        one.wait_count(1, "dropped_total", reason=reason)
    assert one.count("datagrams_sent_total") == 0


def test_another_secret_is_of_no_use(scene, pair):
    (one, two), _ = pair
    ports = free_ports(1)
    router = Receiver(scene, "router-of-other")
    other = Forwarder(scene, "other", ports[0], two.port, router.path, secret="guess").start()
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), other.listen)
    two.wait_count(1, "dropped_total", reason="undecryptable")
    assert two.count("packets_delivered_total") == 0


def test_routers_that_pass_everything_on_make_no_circle(scene):
    """Both routers resubscribe to the forwarder that they are told by."""
    ports = free_ports(2)
    forwarders, routers = [], []
    for i in range(2):
        listen = scene.directory / f"f{i}.dgram"
        routers.append(harness.Router(scene, subscription={"resubscribe": [f"unix:{listen}"]}))
    for i in range(2):
        forwarders.append(Forwarder(scene, f"f{i}", ports[i], ports[1 - i],
                                    routers[i].subscribe).start())
    packets.send(packets.subscription("app.test", "127.0.0.1:9"), routers[0].subscribe)
    routers[1].wait_for_nodes("app.test", 1)
    forwarders[1].wait_count(1, "dropped_total", reason="came_back")
    assert [node["name"] for node in routers[0].nodes("app.test")] == ["127.0.0.1:9"]
    assert forwarders[0].count("datagrams_received_total") == 0


def test_sighup_changes_it_and_a_broken_configuration_changes_nothing(scene, pair):
    (one, two), routers = pair
    third = Receiver(scene, "router-2")
    port = free_ports(1)[0]
    Forwarder(scene, "f2", port, one.port, third.path).start()
    one.reload(to=[f"127.0.0.1:{port}"])
    harness.wait_until(lambda: "reloaded: 0" in one.process.log(), "it says so")
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), one.listen)
    assert third.receive()["key"] == "a.test"
    one.reload(to=["nonsense"])
    harness.wait_until(lambda: "the old one stays" in one.process.log(), "it is refused")
    one.reload(to=[f"127.0.0.1:{port}"], receive=f"127.0.0.1:{two.port}")
    harness.wait_until(lambda: "cannot bind" in one.process.log(), "so is a taken port")
    packets.send(packets.subscription("b.test", "10.1.0.1:1"), one.listen)
    assert third.receive()["key"] == "b.test"
    packets.send(packets.subscription("c.test", "10.1.0.1:1"), two.listen)
    assert routers[0].receive()["key"] == "c.test", "one still receives"


def test_status_shows_the_forwarder_and_the_configuration_is_checked(scene, pair):
    (one, two), routers = pair
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), one.listen)
    routers[1].receive()
    done = subprocess.run([harness.FEALTY, "legion", "status", "--admin", f"unix:{two.admin}"],
                          capture_output=True, text=True, check=True)
    assert "forwarder (sealed wire, 1 senders heard)" in done.stdout
    assert re.search(r"Counted: received 1, delivered 1\n  Dropped: nothing", done.stdout)
    one.write_config(wire="uwsgi")
    done = subprocess.run([LEGION, "--check-config", "--config", one.config_path],
                          capture_output=True, text=True)
    assert done.returncode == 78 and "sealed only" in done.stderr


def test_the_socket_goes_with_the_process(pair):
    (one, _), _ = pair
    one.process.signal(signal.SIGTERM)
    assert one.process.wait() == 0
    assert not os.path.exists(one.listen)
