"""Certificates as announcements bring them: files, renewals, revocation, names nobody has."""
import json
import os
import shutil
import socket
import ssl
import time

import pytest

import clients
import harness
import nodes
import packets
import tls
from harness import wait_until

DOMAIN = "secure.example.com"
WHOLE = os.environ.get("FEALTY_SOAK") == "1"


@pytest.fixture
def files(scene):
    return tls.Files(scene.subdirectory("tls"))


@pytest.fixture
def router(scene, files):
    return tls.Router(scene, files)


@pytest.fixture
def node(scene):
    return nodes.Node(scene, "node")


def explain(router, host=DOMAIN):
    return json.loads(router.explain(host).text)


def problem(router):
    return explain(router).get("certificate_problem")


# -------------------------------------------------------------------------- files

@pytest.mark.parametrize("how", ["missing", "empty", "too large", "a folder"])
def test_a_file_that_cannot_be_read_takes_no_site_down(scene, files, node, how):
    router = tls.Router(scene, files, subscription={"tolerance": "3s"})
    key, crt = files.self_signed("own", "own")
    router.announce(node, DOMAIN, (key, crt))
    key.unlink()
    {"missing": lambda: None, "empty": key.touch, "a folder": key.mkdir,
     "too large": lambda: key.write_bytes(b"x" * 70_000)}[how]()
    nodes.Announcer(scene, router, node, DOMAIN, sni_key=key, sni_crt=crt)
    wait_until(lambda: problem(router), "it is told")
    until = time.monotonic() + 4    # longer than the tolerance
    while time.monotonic() < until:
        assert router.get(host=DOMAIN).status == 200
        with router.tls(DOMAIN) as client:
            assert client.subject == "own"
        time.sleep(0.2)
    assert str(key) in problem(router)


def send_as(uid, packet, router):
    child = os.fork()
    if child == 0:
        os.setgid(uid)
        os.setuid(uid)
        packets.send(packet, router.subscribe)
        os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize("owner, taken", [(33, True), (0, False), (34, False)],
                         ids=["his own", "root's", "another's"])
def test_of_files_for_their_owner_only_a_customers_own_are_read(scene, files, node, owner, taken):
    """The router is www-data, and the customer another user (33 is www-data's uid: any
    other would do as well, and none of these files is readable to the router but by the one
    right that it kept, or because it is its own)."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    scene.directory.chmod(0o755)
    customer = 33 if owner == 33 else 35
    router = tls.Router(scene, files, user="nobody")
    key, crt = files.self_signed("own", "own")
    for path in (key, crt):
        path.chmod(0o600)
        os.chown(path, owner, owner)
    files.directory.chmod(0o755)
    send_as(customer, packets.subscription(DOMAIN, node.address, sni_key=key, sni_crt=crt),
            router)
    wait_until(lambda: router.nodes(DOMAIN), "it is served")
    router.wait_known(DOMAIN)
    with router.tls(DOMAIN) as client:
        assert client.subject == ("own" if taken else "default.test")
    assert (problem(router) is None) == taken


def test_only_the_control_thread_keeps_a_right_and_only_in_store(scene, files):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    scene.directory.chmod(0o755)
    router = tls.Router(scene, files, user="www-data")
    reading = 1 << 2    # CAP_DAC_READ_SEARCH

    def sets(thread):
        with open(f"/proc/{router.pid}/task/{thread}/status", encoding="ascii") as status:
            pairs = dict(line.split(":", 1) for line in status)
        return [int(pairs[name], 16) for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")]

    def name_of(thread):
        with open(f"/proc/{router.pid}/task/{thread}/comm", encoding="ascii") as comm:
            return comm.read().strip()
    threads = [int(name) for name in os.listdir(f"/proc/{router.pid}/task")]
    # Every thread of the router's has a name of its own; ThreadSanitizer's, which is
    # there before the router's first step, bears the program's.
    others = [thread for thread in threads if name_of(thread) != name_of(router.pid)]
    assert {"worker-0", "worker-1"} <= {name_of(thread) for thread in others}
    assert len(threads) - len(others) == (2 if harness.SANITIZER_BUILD == "thread" else 1)
    assert sets(router.pid) in ([reading, 0, 0, 0], [0, 0, 0, 0])
    for thread in others:
        assert sets(thread) == [0, 0, 0, 0]


# ----------------------------------------------------------------------- renewals

def test_a_renewal_with_another_kind_of_key_takes_the_olds_place(router, files, node):
    key, crt = files.directory / "site.key", files.directory / "site.crt"
    for made in (files.self_signed("rsa", "old", ecdsa=False), files.self_signed("ec", "new")):
        shutil.copy(made[0], key)
        shutil.copy(made[1], crt)
        router.announce(node, DOMAIN, (key, crt), good=False)
        router.wait_adopted()
    wait_until(lambda: explain(router)["certificate"]["keys"] == ["ecdsa"], "the old one is gone")
    with pytest.raises(ssl.SSLError):
        router.tls(DOMAIN, version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256")
    with router.tls(DOMAIN) as client:
        assert client.subject == "new"


def test_a_chain_that_is_none_and_a_name_that_is_another_are_told(router, files, node):
    key, crt = files.self_signed("own", "own")
    unrelated = files.self_signed("unrelated", "unrelated")
    chain = files.directory / "chain.crt"
    chain.write_text(crt.read_text() + unrelated[1].read_text())
    router.announce(node, DOMAIN, (key, chain), good=False)
    wait_until(lambda: problem(router), "it is told")
    assert "chain" in problem(router)
    router.announce(node, DOMAIN, (key, crt))
    assert "does not name" in explain(router)["certificate_warning"]
    assert f"certificate of {DOMAIN} does not name it" in router.process.log()
    router.announce(node, DOMAIN, files.self_signed("named", DOMAIN))
    assert explain(router)["certificate_warning"] is None


# ------------------------------------------------------------- clients' certificates

def test_one_cas_list_says_nothing_of_anothers_clients(scene, files, node):
    first, second = (files.self_signed(name, name) for name in ("ca1", "ca2"))
    directory = files.directory
    (directory / "index.txt").touch()
    (directory / "crlnumber").write_text("01\n")
    (directory / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=x\n[x]\ndatabase={directory}/index.txt\n"
        f"crlnumber={directory}/crlnumber\ndefault_md=sha256\ndefault_crl_days=1\n")

    def crl():
        tls.openssl("ca", "-config", "ca.cnf", "-gencrl", "-keyfile", first[0], "-cert", first[1],
                    "-out", "crl.pem", cwd=directory)
        return directory / "crl.pem"
    theirs, revoked = files.client("c2", second), files.client("c1", first)
    tls.openssl("ca", "-config", "ca.cnf", "-keyfile", first[0], "-cert", first[1], "-revoke",
                revoked[1], cwd=directory)
    router = tls.Router(scene, files, tls={"client_crl": str(crl())})
    own = files.self_signed("own", "own")
    router.announce(node, "one.test", own, ca=f"!{first[1]}")
    router.announce(node, "two.test", own, ca=f"!{second[1]}")
    assert tls.refused(router, "one.test", certificate=revoked)
    with router.tls("two.test", certificate=theirs) as client:
        assert client.status("two.test") == 200
    # The customer's own list, beside his CA.
    both = directory / "both.pem"
    both.write_text(first[1].read_text() + crl().read_text())
    router.announce(node, "three.test", own, ca=f"!{both}")
    assert tls.refused(router, "three.test", certificate=revoked)


def test_who_is_not_let_in_is_told_in_the_log(router, files, node):
    ca = files.self_signed("ca", "ca")
    router.announce(node, DOMAIN, files.self_signed("own", "own"), ca=f"!{ca[1]}")
    nobody = files.client("nobody", ca, subject="/")
    assert tls.refused(router, DOMAIN, certificate=nobody), "he has no subject"
    wait_until(lambda: f"is not let in to {DOMAIN}: " in router.process.log(), "the line")
    assert "it showed no certificate" in router.process.log() or (
        "certificate verification" in router.process.log())


# ------------------------------------------------------------------- first bytes

def test_a_client_hello_in_pieces_over_a_unix_socket(scene, files, node):
    path = scene.directory / "https.sock"
    key, crt = files.self_signed("unix", "unix")
    router = tls.Router(scene, files, listeners=[
        {"address": f"unix:{path}", "protocol": "https", "certificate": str(crt),
         "key": str(key)}])
    router.announce(node, DOMAIN)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = tls.context_for().wrap_bio(incoming, outgoing, server_hostname=DOMAIN)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with clients.Client(path) as client:
        for byte in outgoing.read():
            client.send(bytes([byte]))
            time.sleep(0.001)
        assert client.socket.recv(65536)[:1] == b"\x16", "a ServerHello"
    with clients.Client(path) as client:
        client.send(b"G")
        time.sleep(0.05)
        client.send(f"ET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode())
        assert client.read_answer().status == 301


@pytest.mark.parametrize("pieces", [[b"\1\0", b"\xff\xff"], [b"\1\xff", b"\xff\xff"], [b"\1"]])
def test_a_client_hello_that_hides_its_size_is_closed(router, pieces):
    with socket.create_connection(("127.0.0.1", router.tls_port), timeout=10) as stream:
        stream.sendall(b"".join(b"\x16\3\1" + len(piece).to_bytes(2, "big") + piece
                                for piece in pieces) + b"\x16\3\1\0\1\0")
        with pytest.raises(ConnectionResetError):
            if stream.recv(100) == b"":
                raise ConnectionResetError


# ---------------------------------------------------------------------- strangers

def test_names_that_nobody_has_leave_no_trace(router, files, node):
    """Distinct ones, and some of 255 bytes."""
    router.announce(node, DOMAIN, files.self_signed("own", "own"))
    count = 100_000 if WHOLE else 2_000
    context = tls.context_for()
    settings = {"context": context, "seconds": 30}

    def shake(names):
        for name in names:
            router.tls(name, **settings).close()

    def long_name(i):
        return ".".join([f"{i:063d}", *["a" * 63] * 3])
    shake(f"warm{i}.test" for i in range(500))
    shake(long_name(i) for i in range(100))
    before = router.rss_kib()
    shake(f"n{i}.unknown.test" for i in range(count))
    shake(long_name(i) for i in range(count // 10))
    after = router.rss_kib()
    print(f"{count} names and {count // 10} of 255 bytes: {before} KiB before, {after} after")
    # A sanitizer keeps what was freed for a while.
    assert harness.SLOW != 1 or after - before < 1024
