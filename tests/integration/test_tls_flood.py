"""What a client may cost that is within TLS and sends nothing, or announces too much."""
import contextlib
import socket
import time

import pytest

import harness
import nodes
import openssl_client
import tls
from harness import wait_until

DOMAIN = "secure.example.com"


@pytest.fixture
def router(scene):
    files = tls.Files(scene.subdirectory("tls"))
    router = tls.Router(scene, files, workers=1)
    router.node = nodes.Node(scene, "node")
    router.announce(router.node, DOMAIN, files.self_signed("own", "own"))
    return router


@pytest.fixture
def bare(router):
    with socket.create_connection(("127.0.0.1", router.tls_port)) as stream:
        client = openssl_client.BareClient(stream)
        yield client
        client.close()


def closed(stream):
    """Whether the router ends the connection, soon."""
    stream.settimeout(5 * harness.SLOW)
    try:
        while stream.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def test_a_flood_of_key_updates_holds_up_nobody(router, bare):
    """One worker: who takes turns with the flood is answered."""
    flood = bare.key_updates(200_000)
    bare.stream.settimeout(0.2)
    with contextlib.suppress(OSError):
        bare.stream.sendall(flood[:len(flood) // 2])
    began = time.monotonic()
    assert router.get(host=DOMAIN).status == 200
    assert time.monotonic() - began < 0.5 * harness.SLOW
    assert closed(bare.stream)


def test_records_without_data_end_the_connection(bare):
    for _ in range(40):
        with contextlib.suppress(OSError):
            bare.stream.sendall(bare.key_updates(1))
    assert closed(bare.stream)


def test_some_key_updates_between_requests_are_in_order(bare):
    request = f"GET / HTTP/1.1\r\nHost: {DOMAIN}\r\n\r\n".encode()
    for _ in range(10):
        bare.stream.sendall(bare.key_updates(8) + bare.data(request, 3))
        bare.stream.settimeout(5 * harness.SLOW)
        assert bare.stream.recv(65536) != b""
