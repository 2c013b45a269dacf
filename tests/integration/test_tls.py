"""HTTPS: the quickstart's certificates with real uWSGI and curl, identities, rotation."""
import json
import os
import socket
import ssl
import subprocess
import threading

import pytest

import clients
import harness
import nodes
import packets
import tls
import vassals
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


# ------------------------------------------------------------ the quickstart

@pytest.fixture(params=["root", "www-data"])
def home(request, scene, files, key_pair):
    """A router that wants signatures, and a customer's Emperor; its certificates by the
    commands of the quickstart, which leave the keys to their owner alone."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    scene.directory.chmod(0o755)
    keys = scene.subdirectory("keys")
    key_pair.install(keys, DOMAIN)
    router = tls.Router(scene, files, user=request.param, subscription={
        "sign_check": {"digest": "SHA1", "keys": str(keys), "tolerance": "60s", "skip_uids": []},
        "allow_sni_paths": [str(scene.directory)]})
    emperor = vassals.Emperor(scene, router, key_pair)

    def run(command):
        subprocess.run(command, shell=True, cwd=emperor.home, check=True, capture_output=True)
    run("openssl genrsa -out foobar.key 2048")
    run(f"openssl req -new -key foobar.key -out foobar.csr -subj /CN={DOMAIN}")
    run("openssl x509 -req -days 365 -in foobar.csr -signkey foobar.key -out foobar.crt")
    run("openssl genrsa -des3 -passout pass:secret -out ca.key 4096")
    run("openssl req -new -x509 -days 365 -key ca.key -passin pass:secret -out ca.crt"
        " -subj /C=IT/O=Foo/CN=ca")
    run("openssl genrsa -out client.key 2048")
    run("openssl req -new -key client.key -out client.csr -subj /C=IT/O=Foo/CN=bar")
    run("openssl x509 -req -days 365 -in client.csr -CA ca.crt -CAkey ca.key -passin pass:secret"
        " -set_serial 01 -out client.crt")
    emperor.client = (emperor.home / "client.key", emperor.home / "client.crt")
    emperor.router = router
    return emperor


def deploy(home, line, more=""):
    home.write("app", "plugin = 0:python3\n"
               f"wsgi-file = {harness.APPS}/hello.py\nenv = VASSAL_NAME=app\n"
               f"env = VASSAL_BEGUN={home.home}/begun\ndisable-logging = true\n{line}\n{more}")
    home.router.wait_for_nodes(DOMAIN, 1, seconds=30)
    home.router.wait_known(DOMAIN)


def variables(answer):
    status, body = answer
    assert status == 200, answer
    return json.loads(body)


def test_ssl_domain_serves_https_with_its_certificate(home):
    deploy(home, f"ssl-domain = {DOMAIN} $(HOME)/foobar.key $(HOME)/foobar.crt")
    seen = variables(tls.curl(home.router, f"https://{DOMAIN}/vars"))
    assert seen["HTTPS"] == "on" and "HTTPS_DN" not in seen
    assert seen["SERVER_PORT"] == str(home.router.tls_port)
    with home.router.tls(DOMAIN) as client:
        assert client.subject == DOMAIN
    assert "HTTPS" not in variables(tls.curl(home.router, f"http://{DOMAIN}/vars"))


def test_https_can_be_forced_by_the_applications_own_route(home):
    deploy(home, f"ssl-domain = {DOMAIN} $(HOME)/foobar.key $(HOME)/foobar.crt",
           "plugin = 0:router_redirect\nroute-if-not = equal:${HTTPS};on "
           "redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}\n")
    answer = home.router.get("/a?b", host=DOMAIN)
    assert (answer.status, answer.header("Location")) == (301, f"https://{DOMAIN}/a?b")
    assert tls.curl(home.router, f"https://{DOMAIN}/a?b")[0] == 200


def test_ssl_ca_domain_demands_a_certificate_and_tells_its_subject(home):
    deploy(home, f"ssl-ca-domain = {DOMAIN} $(HOME)/foobar.key $(HOME)/foobar.crt !$(HOME)/ca.crt")
    assert tls.curl(home.router, f"https://{DOMAIN}/")[0] is None
    seen = variables(tls.curl(home.router, f"https://{DOMAIN}/vars", certificate=home.client))
    assert seen["HTTPS_DN"] == "/C=IT/O=Foo/CN=bar"
    answer = home.router.get("/a?b", host=DOMAIN)
    assert (answer.status, answer.header("Location")) == (
        301, f"https://{DOMAIN}:{home.router.tls_port}/a?b")


def test_ssl_ca_domain_without_a_mark_asks_only(home):
    deploy(home, f"ssl-ca-domain = {DOMAIN} $(HOME)/foobar.key $(HOME)/foobar.crt $(HOME)/ca.crt")
    assert "HTTPS_DN" not in variables(tls.curl(home.router, f"https://{DOMAIN}/vars"))
    seen = variables(tls.curl(home.router, f"https://{DOMAIN}/vars", certificate=home.client))
    assert seen["HTTPS_DN"] == "/C=IT/O=Foo/CN=bar"


# ---------------------------------------------------------------- identities

def test_exact_and_wildcard_names_follow_the_routes(router, files, node):
    router.announce(node, ".example.com", files.self_signed("wild", "wild"))
    router.announce(node, DOMAIN, files.self_signed("exact", "exact"))
    router.announce(node, "bare.test")
    for name, subject in ((DOMAIN, "exact"), ("other.example.com", "wild"),
                          ("a.b.example.com", "wild"), ("example.com", "default.test"),
                          ("bare.test", "default.test"), (None, "default.test"),
                          ("SECURE.Example.COM", "exact")):
        with router.tls(name) as client:
            assert client.subject == subject, name


def test_material_as_text_in_the_packet(router, files, node):
    key, crt = files.self_signed("text", "text")
    router.announce(node, DOMAIN, (tls.text_of(key), tls.text_of(crt)))
    with router.tls(DOMAIN) as client:
        assert client.subject == "text"
        assert client.status(DOMAIN) == 200


def test_rsa_and_ecdsa_of_one_name_serve_each_client_its_best(router, files, node):
    router.announce(node, DOMAIN, files.self_signed("rsa", "rsa", ecdsa=False))
    router.announce(node, DOMAIN, files.self_signed("ecdsa", "ecdsa"))
    for ciphers, subject in (("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
                             ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa")):
        with router.tls(DOMAIN, version="1.2", ciphers=ciphers) as client:
            assert client.subject == subject


def test_identity_goes_with_its_last_node(scene, files, node):
    router = tls.Router(scene, files, limits={"hold": "0s"})
    router.announce(node, DOMAIN, files.self_signed("own", "own"))
    node.unsubscribe(router, DOMAIN)
    router.wait_for_nodes(DOMAIN, 0)

    def is_gone():
        with router.tls(DOMAIN) as client:
            return client.subject == "default.test"
    wait_until(is_gone, "the default is served again")


def test_a_bad_renewal_keeps_the_old_one_and_is_reported(router, files, node):
    key, crt = files.self_signed("own", "own")
    other, _ = files.self_signed("other", "other")
    router.announce(node, DOMAIN, (tls.text_of(key), tls.text_of(crt)))
    router.announce(node, DOMAIN, (tls.text_of(other), tls.text_of(crt)), good=False)
    with router.tls(DOMAIN) as client:
        assert client.subject == "own"
    explained = json.loads(router.explain(DOMAIN).body)
    assert "key" in explained["certificate_problem"]
    assert explained["certificate"]["keys"] == ["ecdsa"]
    assert router.metric("fealty_certificate_problems") == 1
    assert router.metric("fealty_tls_identities") == 1


def test_rotation_fails_no_handshake(router, files, node):
    """New bytes in each announcement, under a load of handshakes. Once an announcement was
    acknowledged, each handshake with any worker shows what it brought."""
    rounds = 1000 if WHOLE else 30
    acknowledged = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    acknowledged.settimeout(10 * harness.SLOW)
    acknowledged.bind(str(router.files.directory / "notify"))
    identities = [tuple(map(tls.text_of, files.self_signed("own", "own", serial=1000 + i)))
                  for i in range(8)]
    router.announce(node, DOMAIN, identities[0])
    stopped, failures, done = threading.Event(), [], [0] * 2

    def load(me):
        while not stopped.is_set():
            try:
                with router.tls(DOMAIN) as client:
                    assert client.status(DOMAIN) == 200
                done[me] += 1
            except Exception as error:  # noqa: BLE001
                failures.append(error)
    threads = [threading.Thread(target=load, args=(me,)) for me in range(len(done))]
    for thread in threads:
        thread.start()
    handshakes = 0
    try:
        for i in range(1, rounds + 1):
            key, crt = identities[i % len(identities)]
            packets.send(packets.subscription(DOMAIN, node.address, sni_key=key, sni_crt=crt,
                                              notify=acknowledged.getsockname()),
                         router.subscribe)
            assert acknowledged.recv(1000).decode() == \
                f"[subscription ack] {DOMAIN} => new certificate: {node.address}"
            for _ in range(8):   # the kernel spreads them over the workers
                with router.tls(DOMAIN) as client:
                    shown = client.socket.getpeercert(binary_form=True)
                    assert shown == ssl.PEM_cert_to_DER_cert(crt.decode()), i
                handshakes += 1
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
        acknowledged.close()
    print(f"{rounds} rotations, {handshakes} handshakes right after one, {sum(done)} beside them")
    assert failures == [] and sum(done) > rounds


# ----------------------------------------------------------------- listeners

def test_plain_http_on_the_tls_port_is_told_so(router, node):
    router.announce(node, DOMAIN)
    node.requests.clear()
    where = f"https://{DOMAIN}:{router.tls_port}/a?b".encode()
    got = tls.plain_request(router.tls_port, clients.request_bytes("GET", "/a?b", host=DOMAIN))
    assert got.startswith(b"HTTP/1.1 301 ") and b"Location: " + where + b"\r\n" in got
    got = tls.plain_request(router.tls_port, clients.request_bytes(
        "POST", "/", host=DOMAIN, body=b"x"))
    assert got.startswith(b"HTTP/1.1 400 ") and b"HTTPS" in got
    assert node.requests == []


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03\x01\x00", b"G", b"\0" * 64,
                                  b"\x16" + b"\xff" * 64,
                                  b"SSH-2.0-x\r\n"],
                         ids=["half", "third", "letter", "zeros", "ones", "ssh"])
def test_what_is_no_tls_is_closed(router, data):
    assert tls.plain_request(router.tls_port, data)[:5] in (b"", b"\x15\x03\x01\x00\x02",
                                                            b"\x15\x03\x03\x00\x02")


def test_a_client_hello_in_pieces_is_heard(router, files, node):
    router.announce(node, DOMAIN, files.self_signed("own", "own"))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = tls.context_for().wrap_bio(incoming, outgoing, server_hostname=DOMAIN)
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    with clients.Client(("127.0.0.1", router.tls_port)) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in outgoing.read():
            client.send(bytes([byte]))
        while True:
            incoming.write(client.socket.recv(65536))
            try:
                hello.do_handshake()
                break
            except ssl.SSLWantReadError:
                continue
        client.send(outgoing.read())
        hello.write(clients.request_bytes("GET", "/", host=DOMAIN))
        client.send(outgoing.read())
        incoming.write(client.socket.recv(65536))
        got = b""
        while b"\r\n\r\nnode" not in got:
            try:
                got += hello.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))


def test_a_silent_client_is_let_go(scene, files):
    router = tls.Router(scene, files, timeouts={"handshake": "200ms"})
    with clients.Client(("127.0.0.1", router.tls_port)) as client:
        assert client.closed_by_peer()
    assert 'failures_total{reason="timeout"} 1' in router.admin("/metrics").text


def test_redirecting_listener(router):
    for method, status in (("GET", 301), ("HEAD", 301), ("POST", 308)):
        with clients.Client(("127.0.0.1", router.redirect_port)) as client:
            answer = client.request(method, "/a?b", host="Any.Test:81")
            assert answer.status == status
            assert answer.header("Location") == f"https://any.test:{router.tls_port}/a?b"


def test_old_versions_and_foreign_protocols_are_refused(router):
    context = tls.context_for()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert tls.refused(router, DOMAIN, context=context)
    context = tls.context_for()
    context.set_alpn_protocols(["h2"])
    assert tls.refused(router, DOMAIN, context=context)
    context = tls.context_for()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with router.tls(DOMAIN, context=context) as client:
        assert client.socket.selected_alpn_protocol() == "http/1.1"


# --------------------------------------------------------------- large bodies

@pytest.mark.parametrize("size", [1, 16384, 16385, 200_000, 5_000_000])
def test_bodies_of_any_size_go_both_ways(scene, router, size):
    vassals.Vassal(scene, router, "app", key=DOMAIN)
    router.wait_for_nodes(DOMAIN, 1, seconds=20)
    router.wait_known(DOMAIN)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with router.tls(DOMAIN, seconds=30) as client:
        for _ in range(2):
            assert client.request("POST", "/mirror", host=DOMAIN, body=body).body == body
        assert len(client.request("GET", f"/big/{size}", host=DOMAIN).body) == size
        pipelined = clients.request_bytes("GET", "/", host=DOMAIN) * 20
        client.send(pipelined)
        for _ in range(20):
            assert client.read_answer().text == "app"


def test_http_nodes_are_told_of_tls(scene, files):
    router = tls.Router(scene, files)
    ca = files.self_signed("ca", "ca")
    seen = []

    def behave(request):
        seen.append(request)
        request.answer(b"ok")
    web = nodes.HttpNode(scene, "web", behave)
    router.announce(web, DOMAIN, files.self_signed("own", "own"), ca=f"!{ca[1]}", proto="http")
    with router.tls(DOMAIN, certificate=files.client("client", ca)) as client:
        assert client.request("GET", "/", host=DOMAIN, headers=[
            ("X-Client-DN", "/CN=forged"), ("X-Forwarded-Proto", "http"),
            ("X-SSL-Client-S-DN", "/CN=forged"), ("Front-End-Https", "off"),
            ("X_Client_DN", "/CN=forged"), ("X_Forwarded_Proto", "http")]).status == 200
    told = [(name.lower().replace("_", "-"), value) for name, value in seen[0].headers]
    headers = dict(told)
    assert len(headers) == len(told), "beside the router's own nothing is told"
    assert headers["x-client-dn"] == "/C=IT/O=Foo/CN=bar"
    assert headers["x-forwarded-proto"] == "https"
    assert "forged" not in str(headers) and "front-end-https" not in headers


def test_forged_variables_never_reach_the_application(scene, router):
    vassals.Vassal(scene, router, "app", key=DOMAIN)
    router.wait_for_nodes(DOMAIN, 1, seconds=20)
    router.wait_known(DOMAIN)
    forged = [("HTTPS", "on"), ("HTTPS_DN", "/CN=root"), ("HTTPS-DN", "/CN=root"),
              ("X-Client-DN", "/CN=root"), ("Https-Cc", "x"), ("X-Forwarded-Proto", "https"),
              ("X-Forwarded-SSL", "on"), ("Front-End-Https", "on"),
              ("X-SSL-Client-Verify", "SUCCESS"), ("X_Client_DN", "/CN=root"),
              ("X_Forwarded_Proto", "https")]
    seen = json.loads(router.get("/vars", host=DOMAIN, headers=forged).body)
    assert not {"HTTPS", "HTTPS_DN", "HTTPS_CC", "HTTP_X_CLIENT_DN", "HTTP_X_FORWARDED_PROTO",
                "HTTP_X_FORWARDED_SSL", "HTTP_FRONT_END_HTTPS",
                "HTTP_X_SSL_CLIENT_VERIFY"} & seen.keys()
    assert router.get("/scheme", host=DOMAIN, headers=forged).text == "http"
    with router.tls(DOMAIN) as client:
        assert client.request("GET", "/scheme", host=DOMAIN, headers=[
            ("X-Forwarded-Proto", "http")]).text == "https"


def test_certificates_themselves_where_the_configuration_asks(scene, files):
    router = tls.Router(scene, files, tls={"client_certificate_variables": True})
    ca = files.self_signed("ca", "ca")
    node = nodes.Node(scene, "node")
    router.announce(node, DOMAIN, files.self_signed("own", "own"), ca=f"{ca[1]}")
    client_key = files.client("client", ca)
    with router.tls(DOMAIN, certificate=client_key) as client:
        assert client.status(DOMAIN) == 200
    variables = node.requests[-1].variables
    assert variables["HTTPS_CC"].startswith("-----BEGIN CERTIFICATE-----")
    assert variables["HTTPS_CLIENT_CERTIFICATE"].startswith("0\x82")


def test_expiry_is_measured_and_told(scene, files):
    told = scene.directory / "told"
    alarm = scene.directory / "alarm"
    alarm.write_text(f"#!/bin/sh\necho \"$FEALTY_NAME $FEALTY_DAYS\" >> {told}\n")
    alarm.chmod(0o755)
    router = tls.Router(scene, files, default_days=5, tls={"expiry_alarm": str(alarm)},
                        subscription={"tolerance": "300s"})
    node = nodes.Node(scene, "node")
    router.announce(node, "soon.test", files.self_signed("soon", "soon", days=3))
    router.announce(node, "late.test", files.self_signed("late", "late", days=300))
    many = files.self_signed("many", "many", days=1)
    for i in range(25):   # they must not hide the others
        router.deliver(packets.subscription(f"m{i}.test", node.address, sni_key=many[0],
                                            sni_crt=many[1]))

    def names():
        return {line.partition(" ")[0] for line in told.read_text().splitlines()}
    due = {"soon.test", *(f"m{i}.test" for i in range(25)), router.default_path}
    wait_until(lambda: told.exists() and names() >= due, "the alarms", 150)
    assert names() == due
    # Counted at the end of each round, and told in the middle of it.
    wait_until(lambda: router.metric("fealty_tls_identities_expiring") == 26, "the count", 60)
    text = router.admin("/metrics").text
    assert 'fealty_tls_identity_expires_seconds{name="m0.test"}' in text
    assert f'fealty_tls_identity_expires_seconds{{name="{router.default_path}"}}' in text
