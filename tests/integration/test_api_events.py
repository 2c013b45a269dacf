"""What changes, as it does: /events and /private/events, and who hears of what."""
import contextlib
import json
import signal
import socket
import time

import pytest

import api_stage
import harness
from api_stage import unique
from test_api import refused


class Follower:
    """A reader of a stream; `events` are (id, object, data) that have come."""

    def __init__(self, api, path, headers):
        self.connection = socket.create_connection(("127.0.0.1", api.port), 30 * harness.SLOW)
        lines = [f"GET /api{path} HTTP/1.1", "Host: x",
                 *(f"{key}: {value}" for key, value in headers.items())]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.text = ""
        harness.wait_until(lambda: self.read() and "\r\n\r\n" in self.text, "the head came")
        self.head, _, self.text = self.text.partition("\r\n\r\n")

    def read(self):
        self.connection.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            self.text += self.connection.recv(65_536).decode()
        return True

    @property
    def events(self):
        self.read()
        found = []
        for block in self.text.split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
            if "data" in fields:
                found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
        return found

    def wait(self, count):
        harness.wait_until(lambda: len(self.events) >= count, f"{count} events came", 20)
        return self.events

    def ended(self):
        self.connection.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            while self.connection.recv(65_536):
                pass                              # a heartbeat, perhaps
            return True
        return False

    def close(self):
        self.connection.close()


@pytest.fixture
def follow():
    with contextlib.ExitStack() as stack:
        def begin(api, path, headers):
            follower = Follower(api, path, headers)
            stack.callback(follower.close)
            return follower
        yield begin


def what(events):
    return [(data["object"], data["id"], data["change"]) for _, _, data in events]


def as_server(server):
    return {"X-Client-DN": "/CN=x", "X-Forwarded-For": server["address"],
            "X-Forwarded-Host": api_stage.DOMAIN}


def test_a_customer_hears_of_what_is_his(api, kratos, zeus, follow):
    uid = api.container(kratos, kratos.server)
    theirs = api.container(zeus, zeus.server)
    mine = follow(api, "/events", kratos.basic)
    assert "200 OK" in mine.head and "text/event-stream" in mine.head
    zeus.post(f"/containers/{theirs}", {"note": "theirs"})
    kratos.post(f"/containers/{uid}", {"note": "mine"})
    kratos.post(f"/containers/{uid}", {"note": "mine"})      # changes nothing
    tag = kratos.post("/tags", {"name": unique("tag")}).json["id"]
    kratos.delete(f"/tags/{tag}")
    alarm = kratos.post(f"/alarms/raise/{uid}", "x").json["id"]
    domain = api.domain(kratos)["id"]
    assert what(mine.wait(5)) == [
        ("container", uid, "changed"), ("tag", tag, "created"), ("tag", tag, "deleted"),
        ("alarm", alarm, "created"), ("domain", domain, "created")]
    assert [event for _, event, _ in mine.events] == [
        "container", "tag", "tag", "alarm", "domain"]


def test_a_server_hears_of_what_it_runs(api, kratos, zeus, follow):
    uid = api.container(kratos, kratos.server)
    here = follow(api, "/private/events", as_server(kratos.server))
    there = follow(api, "/private/events", as_server(zeus.server))
    kratos.post(f"/containers/{uid}", {"name": "n"})
    kratos.post("/tags", {"name": unique("tag")})            # no server's
    domain = api.domain(kratos)["id"]
    api.admin("DELETE", f"/admin/containers/{uid - 30_000}")
    assert what(here.wait(3)) == [("container", uid, "changed"), ("domain", domain, "created"),
                                  ("container", uid, "deleted")]
    assert there.events == []


def test_a_reader_goes_on_after_the_last_that_it_had(api, kratos, follow):
    first = follow(api, "/events", kratos.basic)
    for _ in range(3):
        kratos.post("/tags", {"name": unique("tag")})
    had = first.wait(3)
    first.close()
    kratos.post("/tags", {"name": unique("tag")})
    again = follow(api, "/events", {**kratos.basic, "Last-Event-ID": had[0][0]})
    assert again.wait(3)[:2] == had[1:]
    kratos.post("/tags", {"name": unique("tag")})
    assert again.wait(4)[:2] == had[1:]
    by_query = follow(api, f"/events?after={had[2][0]}", kratos.basic)
    assert what(by_query.wait(2)) == what(again.events[2:])


def test_who_may_follow(api, kratos):
    assert refused(api.request("GET", "/events"), 401, "Unauthorized")
    assert refused(api.request("GET", "/private/events"), 403, "Forbidden")
    for bad in ["x", "-1", "1" * 30]:
        assert refused(kratos("GET", "/events", headers={"Last-Event-ID": bad}), 400,
                       "Bad request")
    assert refused(kratos.get("/events", after="x"), 400, "Bad request")
    assert kratos("HEAD", "/events").status == 200


def test_followers_hold_no_thread_and_are_bounded(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "followers": 8})   # two are servers'
    customer = api_stage.Customer(api)
    followers = [follow(api, "/events", customer.basic) for _ in range(6)]
    assert refused(customer.get("/events"), 503, "Service unavailable")
    for _ in range(20):
        assert customer.get("/me").status == 200
    customer.post("/tags", {"name": "a"})
    for each in followers:
        assert len(each.wait(1)) == 1
    followers[0].close()
    harness.wait_until(lambda: "200 OK" in follow(api, "/events", customer.basic).head,
                       "there is room")
    # They do not keep it from ending.
    begun = time.monotonic()
    api.process.signal(signal.SIGTERM)
    assert api.process.wait() == 0
    assert time.monotonic() - begun < 5 * harness.SLOW
    assert followers[1].ended()
