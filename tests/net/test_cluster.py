"""Three servers of a cluster: a domain that is served by all, whoever is Lord."""
import pathlib
import re
import signal
import struct
import sys
import tempfile
import time

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cluster  # noqa: E402
import netns  # noqa: E402
from cluster import DOMAIN  # noqa: E402
from failover import wait_until  # noqa: E402

pytestmark = pytest.mark.skipif(not netns.usable(),
                                reason="needs root, network namespaces and nft")
ALL = {"a", "b", "c"}


def is_balanced(seen, names=ALL):
    """Of twelve answers each has its share, or one more or less."""
    fair = 12 / len(names)
    return set(seen) == names and all(abs(count - fair) <= 1 for count in seen.values())


@pytest.fixture(scope="module")
def three():
    with tempfile.TemporaryDirectory(prefix="fealty-net-") as directory:
        made = cluster.Cluster(directory)
        try:
            made.serve_everywhere()
            yield made
        finally:
            for name, text in made.logs():
                print(f"---- {name}\n{text}")
            made.close()


def pieces_of_the_key(key):
    """Every 16 characters of its base64, and of its own bytes."""
    text = re.sub(r"-----[^-]+-----|\s", "", key.read_text()).encode()
    der = cluster.openssl("pkey", "-in", key, "-outform", "DER")
    return {whole[at:at + 16] for whole in (text, der) for at in range(0, len(whole) - 16, 16)}


def test_the_lord_balances_over_all_by_a_certificate_that_one_server_has(three):
    wait_until(lambda: is_balanced(three.seen()), "the Lord's router balances over three", 40)
    assert three.certificate_name() == DOMAIN
    for name in three.names:
        address = three.net.address(name)
        wait_until(lambda address=address: is_balanced(three.seen(address=address)),
                   f"so does {name}'s")
        assert three.certificate_name(address) == DOMAIN
    assert "on" == three.curl(f"https://{DOMAIN}/vars").partition('"HTTPS": "')[2][:2]
    assert '"HTTPS"' not in three.curl(f"http://{DOMAIN}/vars")


def test_no_datagram_holds_the_private_key(three):
    wait_until(lambda: three["b"].metrics("legion")["fealty_forwarder_packets_delivered_total"]
               > 5, "b was told")
    key, _ = three.domain_identity
    frames = list(three.frames())
    sealed = [frame for frame in frames if frame[23:24] == b"\x11" and frame[36:38] ==
              (3022).to_bytes(2, "big")]
    assert len(sealed) > 10, "forwarders were heard"
    assert any(frame[42:43] == b"\x6d" and frame[45:46] == b"\x02" for frame in sealed)
    everything = b"\0".join(frames)
    for piece in (b"PRIVATE KEY", *pieces_of_the_key(key)):
        assert piece not in everything
    assert DOMAIN.encode() not in b"\0".join(sealed)


def test_replayed_bent_foreign_and_plain_datagrams_are_counted(three):
    to_b = [frame[42:] for frame in three.frames()
            if frame[23:24] == b"\x11" and frame[36:38] == (3022).to_bytes(2, "big") and
            frame[30:34] == bytes([10, 9, 0, 2]) and frame[20:22] == b"\x40\x00"]
    assert to_b, "datagrams that were not cut into pieces"
    bent = bytearray(to_b[-1])
    bent[40] ^= 1
    b = three["b"]
    before = {reason: b.dropped(reason) for reason in
              ("replayed", "undecryptable", "not_sealed")}
    three.send_udp("c", to_b[-1], "b")
    three.send_udp("c", bytes(bent), "b")
    three.send_udp("c", bytes(to_b[-1][:-1]), "b")
    three.send_udp("c", b"\xe0\x04\x00\x00\x00\x00\x00\x00", "b")
    wait_until(lambda: b.dropped("replayed") == before["replayed"] + 1 and
               b.dropped("undecryptable") == before["undecryptable"] + 2 and
               b.dropped("not_sealed") == before["not_sealed"] + 1, "all are counted")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_of_one_server_goes_on_at_another(three, version):
    ticket = three.directory / "session"
    first = three.session(three.net.address("a"), version, "-sess_out", ticket)
    assert "\nNew, " in first
    second = three.session(three.net.address("b"), version, "-sess_in", ticket)
    assert "\nReused, " in second
    assert "200 OK" in second


def test_a_domain_for_clients_with_a_certificate_is_so_on_every_server(three):
    domain = cluster.GUARDED
    key, crt = three.identity(domain)
    client_key, client_crt = three.identity("client.test")     # its own CA
    three["a"].write_vassal(
        "guarded", f"ssl-ca-cluster-domain = {domain} {key} {crt} !{client_crt}")
    url = f"https://{domain}/vars"
    with_certificate = ("--cert", client_crt, "--key", client_key)
    for name in three.names:
        address = three.net.address(name)
        shown = wait_until(
            lambda address=address: three.curl(url, address, *with_certificate),
            f"{name} lets the certificate in", 40)
        assert '"HTTPS_DN": "/CN=client.test"' in shown
        assert three.curl(url, address) is None
        assert three.curl(url, address, "--cert", crt, "--key", key) is None, "another CA's"


def test_the_status_shows_the_forwarder(three):
    done = netns.run(cluster.BIN_DIR / "fealty", "legion", "status", "--admin",
                     f"unix:{three['a'].home}/admin-legion", check=False)
    assert "forwarder (sealed wire, 2 senders heard)" in done.stdout, done.stdout


def test_a_vassal_that_leaves_leaves_every_router(three):
    (three["c"].home / "vassals" / "c.ini").unlink()
    wait_until(lambda: is_balanced(three.seen(), {"a", "b"}), "c's instance is gone", 40)
    three["c"].write_vassal("c", f"cluster-domain = {DOMAIN}")
    wait_until(lambda: is_balanced(three.seen()), "and is back", 40)


def test_customers_of_a_server_are_no_routers(three):
    """Whoever connects to a fastrouter from a server's own address."""
    script = ("import socket, sys; s = socket.create_connection((sys.argv[1], 1999), 5); "
              "s.sendall(bytes.fromhex(sys.argv[2])); print(s.recv(65536).split()[1].decode())")
    pairs = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/vars", "PATH_INFO": "/vars",
             "HTTP_HOST": DOMAIN, "HTTPS": "on", "HTTPS_DN": "/CN=forged",
             "FEALTY_SEAL": f"{int(time.time())}:{'0' * 32}"}
    body = b"".join(struct.pack("<H", len(part)) + part for pair in pairs.items()
                    for part in map(str.encode, pair))
    packet = struct.pack("<BHB", 0, len(body), 0) + body
    for name in three.names:
        done = three.net.run("b", sys.executable, "-c", script, three.net.address(name),
                             packet.hex())
        assert done.stdout.strip() == "403", done.stdout


def test_losses_and_delays_only_delay(three):
    sent = {name: three[name].metrics("legion") for name in three.names}
    received = three["c"].metrics("legion")
    three.net.delay("b", 200)
    three.net.lose(30)

    def grown(name, what, before):
        name_ = f"fealty_forwarder_{what}_total"
        return three[name].metrics("legion")[name_] - before[name_]
    # To c went a half of what a and b have sent.
    wait_until(lambda: grown("a", "datagrams_sent", sent["a"]) > 40, "announcements go on")
    to_c = sum(grown(name, "datagrams_sent", sent[name]) for name in "ab") / 2
    assert 0 < grown("c", "datagrams_received", received) < 0.9 * to_c, "some are lost"
    for name in three.names:
        assert three[name].node_count(DOMAIN) == 3, "nobody was forgotten meanwhile"
    three.net.heal()
    wait_until(lambda: set(three.seen()) == ALL, "all is as before, but for b's delay", 40)


def test_kill_9_of_the_lord(three):
    since = time.monotonic()
    three.daemons["a"].signal(signal.SIGKILL)
    wait_until(lambda: three.holder_names() == ["b"], "b has the address", 20)
    wait_until(lambda: set(three.seen()) >= {"b", "c"}, "its router balances", 40)
    # Its kernel kept it for two thirds of a tolerance (and a quarter of a second) at most.
    assert three.overlap(since) <= 2.3
    three["a"].start_member()
    wait_until(lambda: three.holder_names() == ["a"], "a is Lord again", 20)
    wait_until(lambda: set(three.seen(address=three.net.address("b"))) == ALL,
               "and announces its applications to b again", 40)


# The last one: what it takes away does not come back.
def test_the_next_lord_serves_when_the_first_is_powered_off(three):
    ticket = three.directory / "before"
    wait_until(lambda: "\nNew, " in three.session(cluster.FLOATING, "-tls1_2", "-sess_out",
                                                  ticket), "a has the address")
    three["a"].power_off()
    wait_until(lambda: three.curl(f"https://{DOMAIN}/") in ("b", "c"), "b has the address", 20)
    assert "\nReused, " in three.session(cluster.FLOATING, "-tls1_2", "-sess_in", ticket)
    assert three.certificate_name() == DOMAIN, "its certificate was on a's disk alone"
    wait_until(lambda: set(three.seen()) == {"b", "c"}, "a's fastrouter rests or is gone")
