"""What announcements demand of clients counts, whatever becomes of their certificates: the
rule comes and goes with the route. (Names and sessions: test_tls_bypass.py.)"""
import json
import os
import re
import socket
import ssl
import threading

import pytest

import clients
import harness
import nodes
import packets
import tls
from harness import wait_until

NAME = "guarded.example.com"


@pytest.fixture
def files(scene):
    return tls.Files(scene.subdirectory("tls"))


@pytest.fixture
def ca(files):
    return files.self_signed("ca", "ca")


@pytest.fixture
def other_ca(files):
    return files.self_signed("other-ca", "other-ca")


@pytest.fixture
def certificate(files, ca):
    return files.client("client", ca)


@pytest.fixture
def identity(files):
    return files.self_signed("own", "own")


@pytest.fixture
def router(scene, files):
    return tls.Router(scene, files)


@pytest.fixture
def node(scene):
    return nodes.Node(scene, "node")


def demanded(ca):
    return f"!{ca[1]}"


def explain(router, host=NAME):
    return json.loads(router.explain(host).text)


def wait_rule(router, rule, host=NAME):
    wait_until(lambda: explain(router, host).get("client_rule") == rule, f"the rule is {rule}")


def status(router, name=NAME, host=None, path="/", **how):
    """What a request over TLS gets; 0 where the handshake is refused."""
    try:
        with router.tls(name, **how) as client:
            return client.status(host or name, path)
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError, clients.Incomplete):
        return 0


def shut(router, name=NAME, **how):
    """Nobody without a certificate gets in, neither way."""
    return (status(router, name, **how) in (0, 421, 503)
            and status(router, None, host=name, **how) in (421, 503)
            and router.get(host=name).status == 301)


# ------------------------------------------------- certificates that cannot be used

def broken(files, identity, ca, how):
    other = files.self_signed("other", "other")
    expired = files.directory / "expired.crt"
    tls.openssl("x509", "-in", identity[1], "-signkey", identity[0], "-days", "-1", "-out",
                expired, cwd=files.directory)
    return {
        "mismatched": {"sni_key": other[0], "sni_crt": identity[1], "sni_ca": demanded(ca)},
        "expired": {"sni_key": identity[0], "sni_crt": expired, "sni_ca": demanded(ca)},
        "no file": {"sni_key": files.directory / "none", "sni_crt": identity[1],
                    "sni_ca": demanded(ca)},
        "broken CA": {"sni_key": identity[0], "sni_crt": identity[1],
                      "sni_ca": f"!{identity[0]}"},
        "CA alone": {"sni_ca": demanded(ca)},
        "mark alone": {"sni_ca": "!"},
    }[how]


@pytest.mark.parametrize("how", ["mismatched", "expired", "no file", "broken CA", "CA alone",
                                 "mark alone"])
def test_a_demand_counts_though_the_certificate_cannot_be_used(
        scene, router, node, files, ca, identity, certificate, how):
    router.announce(node, "open.test", files.self_signed("open", "open"))
    router.deliver(packets.subscription(NAME, node.address, **broken(files, identity, ca, how)))
    wait_rule(router, "unusable")
    before = len(node.requests)
    assert router.get(host=NAME).status == 301
    for name in (NAME, None, "open.test"):
        assert status(router, name, host=NAME) == 503
        assert status(router, name, host=NAME, certificate=certificate) == 503
    assert len(node.requests) == before
    shown = explain(router)
    assert "503" in shown["client_rule_problem"] and shown["certificate_problem"]
    assert f"for {NAME}: answered 503" in router.process.log()


def test_a_usable_certificate_opens_it_again(router, node, files, ca, identity, certificate):
    router.deliver(packets.subscription(NAME, node.address,
                                        **broken(files, identity, ca, "no file")))
    wait_rule(router, "unusable")
    router.announce(node, NAME, identity, ca=demanded(ca), good=False)
    wait_rule(router, "demands")
    assert shut(router)
    assert status(router, certificate=certificate) == 200


@pytest.mark.parametrize("how, expected", [("refuse", 403), ("redirect", 301), ("serve", 200)])
def test_a_demand_counts_where_nobody_speaks_tls(scene, ca, identity, node, how, expected):
    router = harness.Router(scene, subscription={"allow_sni_paths": [str(scene.directory)]},
                            tls={"plain_http_for_client_auth": how})
    router.deliver(packets.subscription(NAME, node.address, sni_key=identity[0],
                                        sni_crt=identity[1], sni_ca=demanded(ca)))
    router.wait_known(NAME)
    assert router.get(host=NAME).status == expected


# --------------------------------------------------------- several nodes and keys

def test_a_node_without_rules_takes_none_from_another(scene, router, node, files, ca, identity):
    router.announce(node, NAME, identity, ca=demanded(ca))
    router.announce(nodes.Node(scene, "second"), NAME, files.self_signed("b", "b"))
    assert shut(router)
    router.announce(node, NAME, identity, ca=demanded(ca), good=False)
    assert shut(router)
    assert "want different things" in explain(router)["client_rule_problem"]
    assert router.process.log().count("demand different things") == 1


def test_a_mountpoint_keeps_its_rules(scene, files, node, ca, identity):
    router = tls.Router(scene, files, subscription={"mountpoints": 1})
    router.announce(node, f"{NAME}/admin", identity, ca=demanded(ca))
    router.announce(node, NAME, identity)
    assert status(router, path="/admin") == 0
    assert router.get("/admin", host=NAME).status == 301
    assert router.get("/", host=NAME).status == 301, "one name, one handshake: the stricter"


def test_the_last_strict_node_takes_its_rules_along(scene, files, node, ca, identity):
    router = tls.Router(scene, files, subscription={"tolerance": "2s"})
    second = nodes.Node(scene, "second")
    lax = files.self_signed("b", "b")
    router.announce(node, NAME, identity, ca=demanded(ca))
    nodes.Announcer(scene, router, second, NAME, sni_key=lax[0], sni_crt=lax[1])
    router.wait_for_nodes(NAME, 2)
    assert shut(router)
    node.unsubscribe(router, NAME)
    wait_rule(router, "none")
    wait_until(lambda: status(router) == 200, "it is open")
    assert router.get(host=NAME).status == 200
    assert explain(router)["client_rule_problem"] is None


def test_a_node_that_says_it_every_other_time_is_not_open_every_other_time(
        router, node, ca, identity):
    router.announce(node, NAME, identity, ca=demanded(ca))
    for _ in range(3):
        router.announce(node, NAME, good=False)
        assert shut(router)
        router.announce(node, NAME, identity, ca=demanded(ca), good=False)
        assert shut(router)


def test_rsa_and_ecdsa_of_one_name_cannot_disarm_each_other(
        scene, router, node, files, ca, identity):
    """The stricter is read again, unchanged, after the laxer."""
    rsa = files.self_signed("rsa", "rsa", ecdsa=False)
    router.announce(node, NAME, rsa, ca=demanded(ca))
    router.announce(nodes.Node(scene, "second"), NAME, identity)
    os.utime(rsa[0])
    router.announce(node, NAME, rsa, ca=demanded(ca), good=False)
    assert shut(router)


def test_of_two_cas_a_client_needs_both(scene, node, files, ca, other_ca, identity, certificate):
    """None of them may be opened by the other's clients; who is in both sets comes in."""
    router = tls.Router(scene, files, subscription={"tolerance": "4s"})
    both = files.directory / "both.crt"
    both.write_text(ca[1].read_text() + other_ca[1].read_text())
    foreign = files.client("foreign", other_ca)
    second = nodes.Node(scene, "second")
    router.announce(node, NAME, identity, ca=demanded(ca))
    with router.tls(NAME, certificate=certificate) as client:
        assert client.status(NAME) == 200
        router.announce(second, NAME, identity, ca=f"!{other_ca[1]}", good=False)
        wait_until(lambda: explain(router)["client_rule_problem"], "the conflict is seen")
        wait_until(lambda: status(router, certificate=certificate) == 0, "it counts")
        assert client.status(NAME) == 421, "judged by one CA only"
    assert status(router, certificate=foreign) == 0
    for each, sni_ca in ((node, demanded(ca)), (second, f"!{both}")):
        nodes.Announcer(scene, router, each, NAME, sni_key=identity[0], sni_crt=identity[1],
                        sni_ca=sni_ca)
    wait_until(lambda: status(router, certificate=certificate) == 200, "one CA in common")
    assert status(router, certificate=foreign) == 0


def test_more_certificates_than_a_few_do_not_take_turns(scene, router, files, node, ca):
    """Each node of the domain with its own files, one of them with rules."""
    made = [files.self_signed(f"n{i}", f"n{i}") for i in range(8)]
    for i, own in enumerate(made):
        router.announce(f"127.0.0.1:{9000 + i}", NAME, own, good=False,
                        **({"sni_ca": demanded(ca)} if i == 0 else {}))
    wait_until(lambda: len(router.nodes(NAME)) == len(made), "all are known")
    for _ in range(3):
        for i, own in enumerate(made):
            router.announce(f"127.0.0.1:{9000 + i}", NAME, own, good=False,
                            **({"sni_ca": demanded(ca)} if i == 0 else {}))
            assert shut(router)


# ------------------------------------------------------------- held requests, ends

@pytest.mark.parametrize("how, plain", [("redirect", 301), ("refuse", 403)])
def test_a_held_request_is_judged_by_what_came_meanwhile(scene, files, node, ca, identity, how,
                                                         plain):
    router = tls.Router(scene, files, tls={"plain_http_for_client_auth": how},
                        limits={"hold": "20s"})
    router.announce(node, NAME, identity)
    router.wait_leaving(node, NAME)
    held = router.metric("fealty_held_requests_total")
    before = len(node.requests)
    with router.client(seconds=30) as one, router.tls(NAME, seconds=30) as other:
        for client in (one, other):
            client.send(clients.request_bytes("GET", "/a?b", host=NAME))
        wait_until(lambda: router.metric("fealty_held_requests_total") == held + 2,
                   "both are held")
        router.announce(node, NAME, identity, ca=demanded(ca), good=False)
        answer = one.read_answer()
        assert answer.status == plain
        if plain == 301:
            assert answer.header("Location") == f"https://{NAME}:{router.tls_port}/a?b"
        assert other.read_answer().status == 421
    assert len(node.requests) == before


def test_no_request_slips_through_where_the_route_ends(scene, files, ca, identity, node):
    """The identity and the route go in one step, however often."""
    router = tls.Router(scene, files, workers=1, limits={"hold": "0s"})
    seen, stopped = {}, threading.Event()
    request = clients.request_bytes("GET", "/", host=NAME) * 4

    def load():
        while not stopped.is_set():
            with socket.create_connection(("127.0.0.1", router.port)) as stream:
                stream.settimeout(5 * harness.SLOW)
                stream.sendall(request)
                got = b""
                while got.count(b"\r\n\r\n") < 4 and (more := stream.recv(65536)):
                    got += more
                for found in re.findall(rb"HTTP/1.1 (\d+)", got):
                    seen[found] = seen.get(found, 0) + 1
    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            packets.send(packets.subscription(NAME, node.address, sni_key=identity[0],
                                              sni_crt=identity[1], sni_ca=demanded(ca)),
                         router.subscribe)
            wait_until(lambda: router.nodes(NAME), "it is there")
            node.unsubscribe(router, NAME)
            wait_until(lambda: not router.nodes(NAME), "it is gone")
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    assert set(seen) <= {b"301", b"404"} and node.requests == []


# ------------------------------------------------------------------------ defaults

@pytest.mark.parametrize("how, status_", [("redirect", 301), ("refuse", 403), ("serve", 200)])
def test_the_defaults_demand_counts_over_plain_http_too(scene, files, node, ca, how, status_):
    router = tls.Router(scene, files, https={"client_ca": demanded(ca)},
                        tls={"plain_http_for_client_auth": how})
    router.announce(node, "bare.test")
    router.announce(node, "own.test", files.self_signed("own", "own"))
    assert router.get(host="bare.test").status == status_
    assert router.get(host="own.test").status == 200


# ------------------------------------------------------------------- keys with ports

def test_a_ports_owner_has_no_say_in_the_domains_certificate(scene, files, node, ca, identity):
    if os.geteuid() != 0:
        pytest.skip("sends as another user")
    owners = scene.subdirectory("owners")
    for name, uid in ((NAME, 0), (f"{NAME}:8443", 33), ("barrier.test", 0)):
        (owners / name).touch()
        os.chown(owners / name, uid, uid)
    router = tls.Router(scene, files, subscription={
        "use_credentials": True, "credentials_check": str(owners)})
    router.announce(node, NAME, identity, ca=demanded(ca))
    foreign = files.self_signed("foreign", "foreign")
    packet = packets.subscription(f"{NAME}:8443", "127.0.0.1:9",
                                  sni_key=foreign[0].read_text(), sni_crt=foreign[1].read_text())
    child = os.fork()
    if child == 0:
        os.setgid(33)
        os.setuid(33)
        packets.send(packet, router.subscribe)
        os._exit(0)
    os.waitpid(child, 0)
    wait_until(lambda: router.nodes(f"{NAME}:8443"), "the port is served")
    assert shut(router)
    with router.tls(NAME, certificate=files.client("client", ca)) as client:
        assert client.subject == "own"
    assert "whole domain" in explain(router, f"{NAME}:8443")["certificate_problem"]
