"""No way around client certificates: other names, reused connections, resumed sessions,
plain HTTP. `open` has no rules; `guarded` and `twin` demand a certificate of one CA,
`foreign` one of another."""
import ssl

import pytest

import clients
import nodes
import packets
import tls
from harness import wait_until

OPEN, GUARDED, TWIN, FOREIGN = (f"{name}.example.com"
                                for name in ("open", "guarded", "twin", "foreign"))
VERSIONS = ["1.2", "1.3"]


@pytest.fixture
def files(scene):
    return tls.Files(scene.subdirectory("tls"))


@pytest.fixture
def ca(files):
    return files.self_signed("ca", "ca")


@pytest.fixture
def certificate(files, ca):
    return files.client("client", ca)


@pytest.fixture
def stage(scene, files, ca):
    return build(scene, files, ca)


def build(scene, files, ca, **changes):
    router = tls.Router(scene, files, **changes)
    router.other_ca = files.self_signed("other-ca", "other-ca")
    router.node = nodes.Node(scene, "node")
    for name, demanded in ((OPEN, None), (GUARDED, ca), (TWIN, ca), (FOREIGN, router.other_ca)):
        router.announce(router.node, name, files.self_signed(name, name),
                        ca=f"!{demanded[1]}" if demanded else None)
    return router


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


# --------------------------------------------------------- names and requests

def test_the_rules_themselves(stage, certificate, version):
    assert tls.refused(stage, GUARDED, version=version)
    with stage.tls(GUARDED, certificate=certificate, version=version) as client:
        assert client.status(GUARDED) == 200
        assert client.status(TWIN) == 200, "the same rules"
    assert stage.node.requests[-1].variables["HTTPS_DN"] == "/C=IT/O=Foo/CN=bar"
    assert tls.refused(stage, FOREIGN, certificate=certificate, version=version)


@pytest.mark.parametrize("host", [GUARDED, GUARDED.upper(), f"{GUARDED}.", f"{GUARDED}:443",
                                  f"{GUARDED}.:8443"])
def test_host_of_a_guarded_domain_over_an_open_one(stage, version, host):
    before = len(stage.node.requests)
    with stage.tls(OPEN, version=version) as client:
        assert client.status(host) == 421
    assert len(stage.node.requests) == before


def test_the_same_on_a_connection_that_was_used(stage, version):
    with stage.tls(OPEN, version=version) as client:
        assert client.status(OPEN) == 200
        assert client.status(OPEN) == 200
        assert client.status(GUARDED) == 421


def test_the_same_in_the_absolute_form(stage):
    with stage.tls(OPEN) as client:
        assert client.status(OPEN, path=f"https://{GUARDED}/") == 421


def test_pipelined_behind_a_permitted_request(stage):
    with stage.tls(OPEN) as client:
        client.send(clients.request_bytes("GET", "/", host=OPEN)
                    + clients.request_bytes("GET", "/", host=GUARDED))
        assert [client.read_answer().status for _ in range(2)] == [200, 421]


def test_a_certificate_for_one_ca_opens_no_domain_of_another(stage, certificate):
    with stage.tls(GUARDED, certificate=certificate) as client:
        assert client.status(FOREIGN) == 421


def test_a_guarded_connection_carries_nothing_to_an_open_domain(stage, certificate):
    with stage.tls(GUARDED, certificate=certificate) as client:
        assert client.status(OPEN) == 421


@pytest.mark.parametrize("name", [None, "unknown.test"])
def test_without_a_known_name(stage, name):
    with stage.tls(name) as client:
        assert client.status(GUARDED) == 421


@pytest.mark.parametrize("name", [GUARDED.upper(), "Guarded.Example.Com", f"{GUARDED}.",
                                  f"{GUARDED.upper()}."])
def test_the_name_in_another_form_is_the_same_name(stage, certificate, name, version):
    assert tls.refused(stage, name, host=GUARDED, version=version)
    with stage.tls(name, certificate=certificate, version=version) as client:
        assert client.status(GUARDED) == 200


@pytest.mark.parametrize("literal", ["127.0.0.1", "[::1]"])
def test_an_ip_literals_rules_count_though_no_handshake_names_it(stage, files, ca, certificate,
                                                                 literal):
    for name in (None, OPEN):
        with stage.tls(name) as client:
            assert client.status(literal) == 404, "nobody has it yet"
    stage.announce(stage.node, literal, files.self_signed("ip", "ip"), ca=f"!{ca[1]}", good=False)
    wait_until(lambda: stage.get(host=literal).status == 301, "it is guarded")
    before = len(stage.node.requests)
    for name in (None, OPEN):
        for own in (None, certificate):
            for host in (literal, f"{literal}:{stage.tls_port}"):
                with stage.tls(name, certificate=own) as client:
                    assert client.status(host) == 421
    assert len(stage.node.requests) == before


def test_a_wildcards_rules_count_below_it(scene, files, ca, certificate):
    router = tls.Router(scene, files)
    node = nodes.Node(scene, "node")
    router.announce(node, ".wild.test", files.self_signed("wild", "wild"), ca=f"!{ca[1]}")
    router.announce(node, "plain.test")
    assert tls.refused(router, "a.wild.test")
    with router.tls("plain.test") as client:
        assert client.status("a.wild.test") == 421
    with router.tls("b.wild.test", certificate=certificate) as client:
        assert client.status("a.wild.test") == 200
    assert router.get(host="a.wild.test").status == 301


def test_a_mountpoints_own_certificate_does_not_open_the_wildcard_behind_it(scene, files, ca):
    router = tls.Router(scene, files, subscription={"mountpoints": 1})
    node = nodes.Node(scene, "node")
    router.announce(node, ".wild.test", files.self_signed("wild", "wild"), ca=f"!{ca[1]}")
    router.announce(node, "a.wild.test/free", files.self_signed("free", "free"))
    with router.tls("a.wild.test") as client:
        assert client.status("a.wild.test", "/free") == 200
        assert client.status("a.wild.test", "/") == 421, "the wildcard's pool answers there"


def test_a_mountpoints_clients_are_none_of_the_wildcard_behind_it(scene, files, ca, certificate):
    """Both only ask, each for clients of another CA."""
    router = tls.Router(scene, files, subscription={"mountpoints": 1})
    node = nodes.Node(scene, "node")
    other_ca = files.self_signed("other-ca", "other-ca")
    router.announce(node, ".wild.test", files.self_signed("wild", "wild"), ca=str(other_ca[1]))
    router.announce(node, "a.wild.test/free", files.self_signed("free", "free"), ca=str(ca[1]))
    with router.tls("a.wild.test", certificate=certificate) as client:
        assert client.status("a.wild.test", "/free") == 200
        assert client.status("a.wild.test", "/") == 421


def test_a_default_that_demands_certificates(scene, files, ca, certificate):
    router = tls.Router(scene, files, https={"client_ca": f"!{ca[1]}"})
    node = nodes.Node(scene, "node")
    router.announce(node, OPEN, files.self_signed("open", "open"))
    router.announce(node, "bare.test")
    assert tls.refused(router, "bare.test")
    with router.tls(OPEN) as client:
        assert client.status(OPEN) == 200
        assert client.status("bare.test") == 421
    with router.tls("bare.test", certificate=certificate) as client:
        assert client.status("bare.test") == 200


# ------------------------------------------------------------------ resumption

def session_of(client, host):
    """A session that can be resumed: with TLS 1.3 it comes with the first answer."""
    assert client.status(host) == 200
    return client.socket.session


def test_resumption_works_and_keeps_the_clients_identity(stage, certificate, version):
    context = tls.context_for(certificate, version)
    with stage.tls(GUARDED, context=context) as client:
        session = session_of(client, GUARDED)
    with stage.tls(GUARDED, context=context, session=session) as client:
        assert client.status(GUARDED) == 200
        assert client.socket.session_reused
    assert stage.node.requests[-1].variables["HTTPS_DN"] == "/C=IT/O=Foo/CN=bar"
    assert 'handshakes_total{kind="resumed"} 1' in stage.admin("/metrics").text


def test_a_session_of_an_open_domain_opens_no_guarded_one(stage, version):
    context = tls.context_for(None, version)
    with stage.tls(OPEN, context=context) as client:
        session = session_of(client, OPEN)
    assert tls.refused(stage, GUARDED, context=context, session=session)


def test_a_session_of_one_guarded_domain_is_not_resumed_in_another(stage, certificate, version):
    context = tls.context_for(certificate, version)
    with stage.tls(GUARDED, context=context) as client:
        session = session_of(client, GUARDED)
    with stage.tls(TWIN, context=context, session=session) as client:
        assert client.status(TWIN) == 200
        assert not client.socket.session_reused
    assert tls.refused(stage, FOREIGN, context=context, session=session)


def id_of_session(router, name, certificate):
    """A TLS 1.2 session without a ticket, and a context to bring it again by. The router has
    the last word on its connection: OpenSSL's cache forgets what ended otherwise."""
    context = tls.context_for(certificate, "1.2")
    context.options |= ssl.OP_NO_TICKET
    with router.tls(name, context=context) as client:
        answer = client.request("GET", "/", host=name, headers=[("Connection", "close")])
        assert answer.status == 200
        session = client.socket.session
        assert not session.has_ticket
        assert client.closed_by_peer()
    return context, session


def test_a_session_id_alone_resumes_nothing(stage, certificate):
    """No worker keeps sessions."""
    context, session = id_of_session(stage, GUARDED, certificate)
    for name in (GUARDED, TWIN):
        with stage.tls(name, context=context, session=session) as client:
            assert client.status(name) == 200
            assert not client.socket.session_reused
    assert tls.refused(stage, FOREIGN, context=context, session=session)


def test_a_session_id_of_an_open_domain_opens_no_guarded_one(stage):
    context, session = id_of_session(stage, OPEN, None)
    assert tls.refused(stage, GUARDED, context=context, session=session)


def test_a_session_does_not_outlive_a_changed_ca(stage, files, certificate, version):
    context = tls.context_for(certificate, version)
    with stage.tls(GUARDED, context=context) as client:
        session = session_of(client, GUARDED)
    stage.announce(stage.node, GUARDED, files.self_signed("renewed", "renewed"),
                   ca=f"!{stage.other_ca[1]}")
    assert tls.refused(stage, GUARDED, context=context, session=session)


def test_a_connection_does_not_outlive_a_changed_ca(stage, files, certificate):
    with stage.tls(GUARDED, certificate=certificate) as client:
        assert client.status(GUARDED) == 200
        stage.announce(stage.node, GUARDED, files.self_signed("renewed", "renewed"),
                       ca=f"!{stage.other_ca[1]}")
        assert client.status(GUARDED) == 421


# ------------------------------------------------------------------ plain HTTP

@pytest.mark.parametrize("how, status", [("redirect", 301), ("refuse", 403), ("serve", 200)])
def test_plain_http_to_a_guarded_domain(scene, files, ca, how, status):
    router = build(scene, files, ca, tls={"plain_http_for_client_auth": how})
    for host in (GUARDED, GUARDED.upper(), f"{GUARDED}."):
        assert router.get(host=host).status == status
    with router.client() as client:
        assert client.request("GET", f"http://{GUARDED}/", host=OPEN).status == status
    assert router.get(host=OPEN).status == 200


def test_plain_http_where_a_certificate_is_only_asked_for(scene, files, ca):
    router = tls.Router(scene, files)
    node = nodes.Node(scene, "node")
    router.announce(node, OPEN, files.self_signed("open", "open"), ca=str(ca[1]))
    assert router.get(host=OPEN).status == 200


def test_an_announcement_without_its_material_takes_no_rule_away(stage):
    """Another node of the domain, which says nothing of certificates."""
    stage.deliver(packets.subscription(GUARDED, "127.0.0.1:9"))
    assert tls.refused(stage, GUARDED)
    with stage.tls(OPEN) as client:
        assert client.status(GUARDED) == 421
