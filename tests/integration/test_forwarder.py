"""Forwarders between two servers, on the loopback: what goes on, what does not, loops,
reloads. The whole cluster is tests/net/test_cluster.py's."""
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

import harness
import packets
import prometheus
from legions import LEGION, Ours, free_ports


SECRET = "a secret of these tests, and no other"


class Forwarder(Ours):
    """A fealty-legion that is a forwarder alone; its Member's parts are not used."""

    def __init__(self, scene, name, port, other_port, deliver, **changes):
        self.scene, self.name, self.port = scene, name, port
        self.listen = str(scene.directory / f"{name}.dgram")
        self.admin = str(scene.directory / f"admin-{name}")
        self.config_path = scene.directory / f"{name}.yaml"
        self.options = {"listen": f"unix:{self.listen}", "to": [f"127.0.0.1:{other_port}"],
                        "receive": f"127.0.0.1:{port}", "deliver": f"unix:{deliver}",
                        "secret": SECRET, **changes}

    legions = ()

    def config(self):
        return {"user": "root" if os.geteuid() == 0 else "nobody", "legions": list(self.legions),
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


def make_pair(scene, host="127.0.0.1"):
    """Two forwarders and who gets what they deliver."""
    ports = free_ports(2)
    routers = [Receiver(scene, f"router-{i}") for i in range(2)]
    return [Forwarder(scene, f"f{i}", ports[i], ports[1 - i], routers[i].path,
                      to=[f"{host}:{ports[1 - i]}"], receive=f"{host}:{ports[i]}").start()
            for i in range(2)], routers


@pytest.fixture
def pair(scene):
    return make_pair(scene)


def test_members_may_speak_ipv6(scene):
    (one, _), routers = make_pair(scene, "[::1]")
    packets.send(packets.subscription("a.test", "[fd09::1]:1999"), one.listen)
    assert routers[1].receive()["address"] == "[fd09::1]:1999"


def test_another_secret_at_sighup_counts_at_once(pair):
    (one, two), routers = pair
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), one.listen)
    routers[1].receive()
    other = {"secret": "another secret, which is as long as the first"}
    one.reload(**other)
    harness.wait_until(lambda: "reloaded: 0" in one.process.log(), "it says so")
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), one.listen)
    two.wait_count(1, "dropped_total", reason="undecryptable")
    two.reload(**other)
    harness.wait_until(lambda: "reloaded: 0" in two.process.log(), "so does the other")
    packets.send(packets.subscription("b.test", "10.1.0.1:1"), one.listen)
    assert routers[1].receive()["key"] == "b.test"


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


def test_elections_do_not_wait_for_the_forwarders_sockets(scene):
    """Nor does the forwarder wait for the next start, once they are free."""
    port, other, legion = free_ports(3)
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("127.0.0.1", port))
    router = Receiver(scene, "router")
    forwarder = Forwarder(scene, "f", port, other, router.path)
    forwarder.legions = [{"name": "lonely", "address": f"127.0.0.1:{legion}", "valor": 1,
                          "nodes": [f"127.0.0.1:{other}"], "quorum": 1, "secret": "x" * 32, "cipher": "aes-128-cbc"}]
    forwarder.start()
    harness.wait_until(lambda: '"role": "lord"' in forwarder.get("/").text.lower(), "it is Lord")
    assert "cannot bind to 127.0.0.1" in forwarder.process.log()
    assert forwarder.count("up") == 0
    taken.close()
    harness.wait_until(lambda: forwarder.count("up") == 1, "the forwarder has its sockets", 20)
    packets.send(packets.subscription("a.test", "10.1.0.1:1"), forwarder.listen)
    forwarder.wait_count(1, "packets_taken_total")


@pytest.mark.skipif(os.geteuid() != 0, reason="packets are to come from another user")
def test_only_those_who_are_named_may_write(scene, pair):
    (one, _), _ = pair
    one.reload(listen_users=["daemon"], listen_group="daemon")
    harness.wait_until(lambda: "reloaded: 0" in one.process.log(), "it says so")
    scene.directory.chmod(0o755)
    send = ("import os, socket, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); "
            "os.setuid(int(sys.argv[1])); s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
            "s.sendto(bytes.fromhex(sys.argv[4]), sys.argv[3])")
    packet = packets.subscription("a.test", "10.1.0.1:1").hex()

    def send_as(uid, gid):
        return subprocess.run([sys.executable, "-c", send, str(uid), str(gid), one.listen,
                               packet], capture_output=True, text=True)
    assert "PermissionError" in send_as(33, 33).stderr
    assert send_as(33, 1).returncode == 0
    one.wait_count(1, "dropped_total", reason="stranger")
    assert send_as(1, 1).returncode == 0
    one.wait_count(1, "packets_taken_total")


def test_the_socket_goes_with_the_process(pair):
    (one, _), _ = pair
    one.process.signal(signal.SIGTERM)
    assert one.process.wait() == 0
    assert not os.path.exists(one.listen)
