"""Who holds a domain: asked of real name servers."""
import signal
import socket
import threading
import time

import pytest

import api_stage
import harness
import name_servers
from test_api import refused

TIMEOUT = 2 * harness.SLOW


class Zones:
    def __init__(self, scene):
        self.port = harness.free_port(socket.SOCK_DGRAM)
        api = api_stage.Api(
            scene, "sqlite", dns={"servers": [f"127.0.0.51:{self.port}"], "port": self.port,
                                  "timeout": f"{int(TIMEOUT * 1000)}ms", "allow_private": True})
        self.kratos, self.zeus = api_stage.Customer(api), api_stage.Customer(api)
        self.api = api
        token = f'uwsgi:{self.kratos.uuid}'
        own = ["@ NS ns", "ns A 127.0.0.52"]
        self.authority = name_servers.NameServer(scene, "127.0.0.52", self.port, {
            "held.example": [*own, f'@ TXT "{token}"', 'cname CNAME @'],
            "named.example": [*own, f'www TXT "{token}"'],
            "split.example": [*own, f'@ TXT "v=spf1 -all"', f'@ TXT "uwsgi:" "{self.kratos.uuid}"'],
            "near.example": [*own, f'@ TXT "{token} "', f'a TXT "x{token}"',
                             f'b TXT "{token}0"', f'c TXT "{token.upper()}"'],
            "cached.example": [*own],
            "fresh.example": [*own, f'@ TXT "{token}"'],
            "private.example": [*own, f'@ TXT "{token}"']})
        served = {zone: [*own] for zone in [
            "held.example", "named.example", "split.example", "near.example",
            "fresh.example", "private.example"]}
        # The resolver remembers what is no longer so.
        served["cached.example"] = [*own, f'@ TXT "{token}"']
        served["short.example"] = ["@ NS ns", "ns A 127.0.0.55"]
        served["lost.example"] = ["@ NS ns", "ns A 127.0.0.53"]
        served["silent.example"] = ["@ NS ns", "ns A 127.0.0.54"]
        name_servers.NameServer(scene, "127.0.0.51", self.port, served)

    def add(self, name, customer=None):
        return (customer or self.kratos).post("/domains", {"name": name})


@pytest.fixture(scope="module")
def zones(api_scene):
    return Zones(api_scene)


def test_a_txt_record_shows_whose_a_domain_is(zones):
    reply = zones.add("held.example")
    assert reply.status == 201
    assert {"name": "held.example", "tags": [], "note": ""}.items() <= reply.json.items()
    assert refused(zones.add("held.example"), 409, "Conflict")
    # Taken is taken, whoever asks, and before anybody asks the DNS.
    assert refused(zones.add("held.example", zones.zeus), 409, "Conflict")
    assert refused(zones.add("a.held.example", zones.zeus), 403, "Forbidden", "TXT")
    assert zones.kratos.delete("/domains", {"name": "held.example"}).status == 200
    assert zones.add("held.example").status == 201


def test_a_repeat_by_its_key_asks_nobody(scene, zones):
    authority = name_servers.NameServer(scene, "127.0.0.55", zones.port, {"short.example": [
        "@ NS ns", "ns A 127.0.0.55", f'@ TXT "uwsgi:{zones.kratos.uuid}"']})
    headers = {"Idempotency-Key": "again"}
    first = zones.kratos("POST", "/domains", {"name": "short.example"}, headers)
    assert first.status == 201
    authority.process.signal(signal.SIGTERM)
    authority.process.wait()
    assert zones.add("a.short.example").status == 403
    again = zones.kratos("POST", "/domains", {"name": "short.example"}, headers)
    assert again.status == 201 and again.data == first.data


@pytest.mark.parametrize("name", ["www.held.example", "a.b.c.held.example", ".held.example",
                                  "split.example", "www.named.example", "fresh.example"])
def test_of_a_parent_too_and_in_several_strings(zones, name):
    assert zones.add(name).status == 201


@pytest.mark.parametrize("name", ["near.example", "a.near.example", "b.near.example",
                                  "c.near.example", "named.example"])
def test_the_token_counts_as_a_whole_record_only(zones, name):
    assert refused(zones.add(name), 403, "Forbidden", "TXT")


def test_the_zones_own_servers_are_asked_and_not_a_cache(zones):
    assert refused(zones.add("cached.example"), 403, "Forbidden", "TXT")


def test_servers_that_are_away_cost_no_more_than_the_timeout(zones):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.54", zones.port))
        for name in ["lost.example", "silent.example", "nowhere.test"]:
            begun = time.monotonic()
            assert refused(zones.add(name), 403, "Forbidden")
            assert time.monotonic() - begun < 3 * TIMEOUT
        # Meanwhile others are served.
        slow = threading.Thread(target=zones.add, args=["silent.example"])
        slow.start()
        assert zones.kratos.get("/me").status == 200
        slow.join()


def test_private_name_servers_are_not_asked(api_scene, zones):
    api = api_stage.Api(api_scene, "sqlite", dns={
        "servers": [f"127.0.0.51:{zones.port}"], "port": zones.port, "timeout": "1s"})
    customer = api_stage.Customer(api)
    reply = customer.post("/domains", {"name": "private.example"})
    assert refused(reply, 403, "Forbidden", "no name server of")
