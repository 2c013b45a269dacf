"""Clients that are slow, many, or gone; and what signals do. The service goes on for others."""
import json
import signal
import socket
import threading
import time

import pytest

import api_stage
import harness
from api_stage import unique
from test_api import refused


def connect(api):
    connection = socket.create_connection(("127.0.0.1", api.port), 30 * harness.SLOW)
    return connection


def head(method, path, *fields):
    lines = [f"{method} /api{path} HTTP/1.1", "Host: x", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer(connection):
    """(status, the rest) of what comes until the end."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    return int(data.split(b" ", 2)[1]) if data else 0, data


def login(customer):
    return "Authorization: " + customer.basic["Authorization"]


@pytest.fixture(scope="module")
def service(api_scene):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 4, "connections": 64,
                                                     "per_network": 24})
    api.kratos = api_stage.Customer(api)
    return api


def test_slow_bodies_hold_no_thread(service):
    slow = [connect(service) for _ in range(16)]
    for one in slow:
        one.sendall(head("POST", "/tags", login(service.kratos), "Content-Length: 1000") + b"{")
    begun = time.monotonic()
    for _ in range(20):
        assert service.kratos.get("/me").status == 200
    assert time.monotonic() - begun < 5 * harness.SLOW
    for one in slow:
        one.close()


def test_a_networks_share_of_the_connections_is_bounded(service):
    slow = [connect(service) for _ in range(24)]
    for one in slow:
        one.sendall(head("POST", "/tags", login(service.kratos), "Content-Length: 9",
                         "Expect: 100-continue", "X-Forwarded-For: 198.51.100.1"))
        assert b"100 Continue" in one.recv(100)
    there = {"X-Forwarded-For": "198.51.100.1"}
    assert refused(service.kratos("GET", "/me", headers=there), 429, "Too many requests")
    assert service.kratos("GET", "/me", headers={"X-Forwarded-For": "198.51.100.2"}).status == 200
    for one in slow:
        one.close()
    harness.wait_until(lambda: service.kratos("GET", "/me", headers=there).status == 200,
                       "they have left")


def test_head_and_body_have_one_time_limit(service):
    slow = connect(service)
    begun = time.monotonic()
    slow.sendall(head("POST", "/tags", login(service.kratos), "Content-Length: 1000"))
    slow.settimeout(0.5)
    data = b""
    while time.monotonic() - begun < 30 * harness.SLOW:
        try:
            piece = slow.recv(4096)
        except socket.timeout:
            slow.sendall(b" ")       # never silent for long
            continue
        if not piece:
            break
        data += piece
    assert data.startswith(b"HTTP/1.1 408 ")
    assert 8 < time.monotonic() - begun < 20 * harness.SLOW


@pytest.mark.parametrize("path, fields, status", [
    ("/tags", [], 401), ("/tags", ["Authorization: Basic eDp5"], 401), ("/nothing", [], 404),
    ("/distros", [], 405), ("/private/metrics/container.cpu/30001", [], 403)])
def test_who_asks_is_looked_at_before_the_body_comes(service, path, fields, status):
    one = connect(service)
    one.sendall(head("POST", path, *fields, "Content-Length: 1000", "Expect: 100-continue"))
    found, data = answer(one)
    assert found == status and b"100 Continue" not in data
    assert json.loads(data.rpartition(b"\r\n\r\n")[2])["error"]


def test_bodies_come_after_a_continue_and_in_chunks(service):
    name = unique("tag")
    body = json.dumps({"name": name}).encode()
    one = connect(service)
    one.sendall(head("POST", "/tags", login(service.kratos), "Transfer-Encoding: chunked",
                     "Expect: 100-continue"))
    assert one.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    for byte in body:
        one.sendall(b"1\r\n" + bytes([byte]) + b"\r\n")
    one.sendall(b"0\r\n\r\n")
    assert answer(one)[0] == 201
    assert name in [each["name"] for each in service.kratos.get("/tags").json]
    for bad in [b"x\r\n", b"1\r\nab"]:
        one = connect(service)
        one.sendall(head("POST", "/tags", login(service.kratos), "Transfer-Encoding: chunked"))
        one.sendall(bad)
        assert answer(one)[0] == 400


def test_a_body_that_is_too_large_is_not_waited_for(service):
    for fields, sent in [(["Content-Length: 70000000"], b"x"),
                         (["Transfer-Encoding: chunked"], b"20000\r\n" + b"x" * 0x20000)]:
        one = connect(service)
        one.sendall(head("POST", "/tags", login(service.kratos), *fields) + sent)
        assert answer(one)[0] == 413
        one = connect(service)
        one.sendall(head("POST", "/tags", *fields) + sent)
        assert answer(one)[0] == 401


def test_a_body_that_is_not_asked_for_has_its_bounds_too(service):
    for length, status in [(65_536, 200), (65_537, 413)]:
        one = connect(service)
        one.sendall(head("GET", "/me", login(service.kratos), f"Content-Length: {length}"))
        assert answer(one)[0] == status


def admitted(api, path, *fields):
    """A POST whose head was read and whose caller was found out; its body is awaited."""
    one = connect(api)
    one.sendall(head("POST", path, *fields, "Content-Length: 21", "Expect: 100-continue"))
    assert one.recv(65_536).startswith(b"HTTP/1.1 100")
    return one


def test_who_has_changed_since_he_was_known_is_asked_again(service):
    customer = api_stage.Customer(service)
    late = admitted(service, "/me", login(customer))
    assert service.admin("POST", f"/admin/customers/{customer.id}",
                         {"password": "another"}).status == 200
    late.sendall(b'{"password":"stolen"}')
    assert answer(late)[0] == 401
    customer.password = "another"
    assert customer.get("/me").status == 200
    server = service.server()
    uid = service.container(customer, server)
    late = admitted(service, f"/private/alarms/{uid}", "X-Client-DN: /CN=x",
                    "X-Forwarded-For: " + server["address"],
                    "X-Forwarded-Host: " + api_stage.DOMAIN)
    service.admin("POST", f"/admin/servers/{server['id']}", {"subject": "/CN=y"})
    late.sendall(b"x" * 21)
    assert answer(late)[0] == 403


@pytest.mark.parametrize("sent, status", [
    (b"GET /api/me HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n", 417),
    (b"GET\r\n\r\n", 400), (b"GET / HTTP/1.1\r\n\r\n", 400), (b"\x16\x03\x01\r\n\r\n", 400),
    (b"GET /api/me HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 40_000, 431),
    (b"GET /api/me HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400),
    (b"POST /api/me HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400)])
def test_what_is_no_request_is_told(service, sent, status):
    one = connect(service)
    one.sendall(sent)
    found, data = answer(one)
    assert found == status and json.loads(data.rpartition(b"\r\n\r\n")[2])["error"]


def test_who_takes_an_answer_slowly_holds_no_thread(service):
    server = service.server(service.kratos)
    uid = service.container(service.kratos, server)
    for _ in range(40):
        service.kratos.post(f"/alarms/raise/{uid}", "x" * 60_000)
    slow = [connect(service) for _ in range(12)]
    for one in slow:
        one.sendall(head("GET", "/alarms", login(service.kratos)))
    begun = time.monotonic()
    for _ in range(10):
        assert service.kratos.get("/me").status == 200
    assert time.monotonic() - begun < 5 * harness.SLOW
    status, data = answer(slow[0])
    assert status == 200 and len(data) > 2_000_000
    for one in slow:
        one.close()


def test_large_answers_that_a_network_does_not_take_are_bounded(api_scene):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 4})
    customer = api_stage.Customer(api)
    uid = api.container(customer, api.server(customer))
    # A list of more than 16 MiB, which is where it ends.
    api.sql("INSERT INTO alarms (container_id, customer_id, unix, level, color, class, vassal, "
            "filename, func, msg) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            f"WHERE i < 300) SELECT {uid - 30_000}, {customer.id}, i, 1, '', '', '', '', '', "
            f"'{'x' * 60_000}' FROM n")
    asked = []

    def status(address):
        one = connect(api)
        asked.append(one)
        one.sendall(head("GET", "/alarms", login(customer), f"X-Forwarded-For: {address}"))
        return one.recv(12)
    assert [status("198.51.100.1") for _ in range(4)] == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 503"]
    there = {"X-Forwarded-For": "198.51.100.1"}
    assert customer("GET", "/me", headers=there).status == 200
    assert status("198.51.100.2") == b"HTTP/1.1 200"
    for one in asked:
        one.close()
    harness.wait_until(lambda: customer("GET", "/alarms", headers=there).status == 200,
                       "what waited has gone")


def test_a_list_ends_where_it_has_enough_and_goes_on(api_scene):
    api = api_stage.Api(api_scene, "sqlite", limits={"alarms": 400})
    customer = api_stage.Customer(api)
    uid = api.container(customer, api.server(customer))
    for number in range(300):
        assert customer.post(f"/alarms/raise/{uid}", "x" * 65_000, unix=number).status == 201
    whole = customer.get("/alarms")
    assert 16 * 2**20 <= len(whole.data) < 17 * 2**20
    rest = customer.get("/alarms", after=whole.json[-1]["id"])
    assert [each["unix"] for each in whole.json + rest.json] == list(range(299, -1, -1))


def test_a_wrong_alarm_key_is_throttled_and_a_right_one_is_not(service):
    uid = service.container(service.kratos, service.server(service.kratos))
    key = service.kratos.get(f"/alarm_key/{uid}").json["alarm_key"]

    def raise_(given, address):
        return service.request("POST", f"/alarms/raise/{uid}?key={given}", "x",
                               {"X-Forwarded-For": address}).status
    for _ in range(40):
        assert raise_(key, "2001:db8:5::1") == 201
    # Of one subscriber, by whichever of his addresses.
    statuses = [raise_("0" * 36, f"2001:db8:5::{number}") for number in range(40)]
    assert statuses[0] == 403 and statuses[-1] == 429
    assert raise_(key, "2001:db8:5::1") == 201
    assert raise_(key, "2001:db8:6::1") == 201


def test_guesses_side_by_side_are_counted(service):
    customer = api_stage.Customer(service)
    statuses = []

    def guess(number):
        wrong = api_stage.Customer.__new__(api_stage.Customer)
        wrong.api, wrong.username, wrong.password = service, customer.username, f"wrong{number}"
        statuses.append(wrong.get("/me").status)
    threads = [threading.Thread(target=guess, args=[number]) for number in range(20)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Ten at once, and then one each six seconds.
    assert statuses.count(401) <= 11 + (time.monotonic() - begun) // 6, statuses
    assert set(statuses) <= {401, 429, 503}


def test_guesses_from_one_network_shut_nobody_out_elsewhere(api_scene):
    api = api_stage.Api(api_scene, "sqlite")
    customer = api_stage.Customer(api)

    def guess(network, number):
        wrong = api_stage.Customer.__new__(api_stage.Customer)
        wrong.api, wrong.username, wrong.password = api, customer.username, f"wrong{number}"
        return wrong("GET", "/me", headers={"X-Forwarded-For": network}).status
    begun = time.monotonic()
    assert [guess("198.51.100.9", number) for number in range(12)] == [401] * 10 + [429] * 2
    # His password is not known to be right yet: nobody has logged in with it.
    here = {"X-Forwarded-For": "198.51.100.10"}
    assert customer("GET", "/me", headers=here).status == 200
    # From everywhere there are fifty, and one more each 1.2 s.
    tried = [guess(f"203.0.113.{network}", number) for network in range(20)
             for number in range(10)]
    assert 10 + tried.count(401) <= 51 + (time.monotonic() - begun) / 1.2


def test_guesses_that_are_the_same_let_others_be_answered(api_scene):
    api = api_stage.Api(api_scene, "sqlite")
    customer, wrong = api_stage.Customer(api), api_stage.Customer(api)
    assert customer.get("/me").status == 200
    wrong.password = "wrong"
    told = []

    def guess():
        for _ in range(200):
            reply = wrong("GET", "/me", headers={"X-Forwarded-For": "198.51.100.9"})
            told.append(reply.status)
            if reply.status == 429:
                return
    # Twice as many as there are threads.
    guessers = [threading.Thread(target=guess) for _ in range(32)]
    for guesser in guessers:
        guesser.start()
    others = []
    while any(guesser.is_alive() for guesser in guessers):
        others.append(customer.get("/me").status)
    assert set(others) == {200}
    # They find out together, so that none of them is told of a turn that there was not.
    assert told.count(429) == len(guessers) and set(told) == {401, 429}


# ----------------------------------------------------------------- signals

def test_what_is_under_way_is_answered_at_the_end(api_scene):
    api = api_stage.Api(api_scene, "sqlite")
    customer = api_stage.Customer(api)
    under_way, idle = connect(api), connect(api)
    under_way.sendall(head("POST", "/tags", login(customer), "Content-Length: 12"))
    assert customer.get("/me").status == 200      # it was read by then
    api.process.signal(signal.SIGTERM)
    harness.wait_until(lambda: "are answered" in api.process.log(), "it ends")
    under_way.sendall(b'{"name":"a"}')
    assert answer(under_way)[0] == 201
    assert api.process.wait() == 0
    idle.close()


def test_the_end_has_a_deadline_and_a_second_signal(api_scene):
    for again in [False, True]:
        api = api_stage.Api(api_scene, "sqlite", drain="60s" if again else "500ms")
        stuck = connect(api)
        stuck.sendall(b"POST /api/tags HT")
        assert api.admin("GET", "/admin/distros").status == 200
        begun = time.monotonic()
        api.process.signal(signal.SIGTERM)
        harness.wait_until(lambda: "are answered" in api.process.log(), "it ends")
        if again:
            api.process.signal(signal.SIGTERM)
        assert api.process.wait() == 0
        assert time.monotonic() - begun < 5 * harness.SLOW
        stuck.close()


def test_a_reload_counts_and_a_broken_one_does_not(api_scene):
    api = api_stage.Api(api_scene, "sqlite", allow_origin="https://one.example")
    text = api.config_path.read_text()

    def origin():
        return api.request("GET", "/news").headers.get("access-control-allow-origin")
    api.config_path.write_text(text.replace("one.example", "two.example"))
    api.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: origin() == "https://two.example", "it was reloaded")
    api.config_path.write_text(text.replace("one.example", "three.example") + "nonsense: 1\n")
    api.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: "the old one stays" in api.process.log(), "it was refused")
    assert origin() == "https://two.example"
    api.config_path.write_text(text.replace("threads: 16", "threads: 17"))
    api.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: "limits.threads: a start alone" in api.process.log(), "it is told")
    harness.wait_until(lambda: origin() == "https://one.example", "the rest counts")
    api.process.signal(signal.SIGUSR1)
    assert origin() == "https://one.example"


# ---------------------------------------------------------------- database

def test_a_connection_that_the_database_ended_is_made_anew(api_scene, postgresql):
    api = api_stage.Api(api_scene, "postgresql", postgresql)
    customer = api_stage.Customer(api)
    name = api.config["database"].rpartition("/")[2]
    for _ in range(3):
        assert postgresql.try_psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                   f"WHERE datname = '{name}'")
        for _ in range(20):
            assert customer.post("/tags", {"name": unique("tag")}).status == 201
            assert customer.get("/me").status == 200


def test_a_lock_that_is_never_given_back_is_not_waited_for(api_scene, postgresql):
    api = api_stage.Api(api_scene, "postgresql", postgresql)
    customer = api_stage.Customer(api)
    name = api.config["database"].rpartition("/")[2]
    # Until it is told to let go.
    holder = threading.Thread(target=postgresql.try_psql, args=[
        "SELECT pg_advisory_lock(300001), pg_sleep(3600)", name])
    holder.start()
    theirs = ("FROM pg_locks JOIN pg_database ON oid = database WHERE locktype = 'advisory' "
              f"AND granted AND objid = 300001 AND datname = '{name}'")
    try:
        harness.wait_until(lambda: postgresql.try_psql(f"SELECT 1 / count(*) {theirs}"),
                           "it is held")
        reply = customer.post("/tags", {"name": "a"})
        assert refused(reply, 503, "Service unavailable") and "retry-after" in reply.headers
        assert customer.get("/me").status == 200
    finally:
        postgresql.try_psql(f"SELECT pg_terminate_backend(pid) {theirs}")
        holder.join()
