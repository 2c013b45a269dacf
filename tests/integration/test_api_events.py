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
from test_api_connections import answer, connect, head, login


def events_in(text):
    """(id, object, data) of those that are whole."""
    found = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


class Follower:
    """A reader of a stream; `narrow`: the kernel keeps little of what it does not take."""

    def __init__(self, api, path, headers, narrow=False):
        self.connection = socket.socket()
        self.connection.settimeout(30 * harness.SLOW)
        if narrow:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.connection.connect(("127.0.0.1", api.port))
        lines = [f"GET /api{path} HTTP/1.1", "Host: x",
                 *(f"{key}: {value}" for key, value in headers.items())]
        self.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.text, self.over = "", False
        harness.wait_until(lambda: self.read() and "\r\n\r\n" in self.text, "the head came")
        self.head, _, self.text = self.text.partition("\r\n\r\n")

    def read(self, size=65_536):
        self.connection.settimeout(0.05)
        with contextlib.suppress(TimeoutError):
            piece = self.connection.recv(size)
            self.text += piece.decode()
            self.over = not piece
        return True

    @property
    def events(self):
        self.read()
        return events_in(self.text)

    def wait(self, count):
        harness.wait_until(lambda: len(self.events) >= count, f"{count} events came", 20)
        return self.events

    def ended(self):
        self.read()                               # a heartbeat, perhaps
        return self.over

    def close(self):
        self.connection.close()


@pytest.fixture
def follow():
    with contextlib.ExitStack() as stack:
        def begin(api, path, headers, **how):
            follower = Follower(api, path, headers, **how)
            stack.callback(follower.close)
            return follower
        yield begin


def what(events):
    return [(data["object"], data["id"], data["change"]) for _, _, data in events]


def as_server(server):
    return {"X-Client-DN": "/CN=x", "X-Forwarded-For": server["address"],
            "X-Forwarded-Host": api_stage.DOMAIN}


def write_events(api, customer, count):
    """As many changes as a customer would hear of in a day, at once; of objects 1, 2, …"""
    api.sql("INSERT INTO events (unix, customer_id, object, object_id, change) "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            f"WHERE i < {count}) SELECT {int(time.time())}, {customer.id}, 'custom_service', i, "
            "'changed' FROM n")


def make_tag(customer):
    """Its event, as `what` has it."""
    return "tag", customer.post("/tags", {"name": unique("tag")}).json["id"], "created"


def may_follow(follow, api, path, headers):
    return "200 OK" in follow(api, path, headers).head


def test_a_stream_ends_where_its_reader_has_changed(api, follow):
    customer = api_stage.Customer(api)
    server = api.server(customer)
    mine = follow(api, "/events", customer.basic)
    other = follow(api, "/events", api_stage.Customer(api).basic)
    own = follow(api, "/private/events", as_server(server))

    def ended(follower, event):
        harness.wait_until(follower.ended, "it ends", 20)
        assert what(events_in(follower.text))[-1] == event
    assert customer.post("/me", {"password": "another"}).status == 200
    ended(mine, ("customer", customer.id, "changed"))
    assert "401" in follow(api, "/events", customer.basic).head
    customer.password = "another"
    last = {**customer.basic, "Last-Event-ID": str(events_in(mine.text)[-1][0])}
    mine = follow(api, "/events", last)
    assert what(mine.events) == [], "nothing twice"
    path = f"/admin/customers/{customer.id}"
    assert api.admin("POST", path, {"password": "third"}).status == 200
    ended(mine, ("customer", customer.id, "changed"))
    customer.password = "third"
    api.admin("POST", f"/admin/servers/{server['id']}", {"subject": "/CN=y"})
    ended(own, ("server", server["id"], "changed"))
    assert "403" in follow(api, "/private/events", as_server(server)).head
    mine = follow(api, "/events", customer.basic)
    assert api.admin("DELETE", f"/admin/servers/{server['id']}").status == 200
    assert api.admin("DELETE", path).status == 200
    ended(mine, ("customer", customer.id, "deleted"))
    assert "401" in follow(api, "/events", customer.basic).head
    assert not other.ended(), "others' go on"


def test_a_stream_that_ends_slowly_keeps_nothing_from_others(api, follow):
    slow, other = api_stage.Customer(api), api_stage.Customer(api)
    follow(api, "/events", slow.basic, narrow=True)
    theirs = follow(api, "/events", other.basic)
    write_events(api, slow, 950)
    assert slow.post("/me", {"company": "another"}).status == 200
    tag = make_tag(other)
    theirs.wait(1)
    # More than are read at a time.
    for _ in range(2):
        write_events(api, slow, 600)
    tags = [tag, make_tag(other)]
    harness.wait_until(lambda: what(theirs.events) == tags, "nobody waits for it", 8)


def test_who_loses_a_rule_a_link_or_a_port_is_told(api, kratos, zeus, follow):
    one, two = api.server(kratos), api.server(zeus)
    first, linker = [api.container(kratos, one) for _ in range(2)]
    second = api.container(kratos, two)
    rule = api.made("rules", container=first, direction="out", action="deny", src="10.0.0.1",
                    dst="10.0.0.2")["id"]
    port = kratos.post("/portmappings/" + one["address"], {
        "proto": "tcp", "public_port": 7777, "private_port": 7777, "container": first}).json["id"]
    distro = api.made("distros", name=unique("distro"), path="/distros/" + unique("d"))
    assert kratos.post(f"/containers/{linker}", {
        "link": first, "distro": distro["id"], "ssh_keys": ["ssh-rsa x"]}).status == 200

    def mtime():
        return [each["mtime"] for each in api.as_server(one, "GET", "/containers/").json]
    before = mtime()
    former = follow(api, "/private/events", as_server(one))
    mine = follow(api, "/events", kratos.basic)
    api.admin("POST", f"/admin/rules/{rule}", {"container": second})
    assert what(former.wait(1)) == [("rule", rule, "deleted")]
    assert what(mine.wait(1)) == [("rule", rule, "changed")], "it is his still"
    # To another server, and to another customer.
    for change in [{"server": two["name"]}, {"customer": zeus.username}]:
        assert api.admin("POST", f"/admin/containers/{first - 30_000}", change).status == 200
        assert mtime() > before
        before = mtime()
    told = what(former.wait(4))
    assert told[1:] == [("portmapping", port, "deleted"), ("container", linker, "changed"),
                        ("container", first, "deleted"), ("container", linker, "changed"),
                        ("container", linker, "changed")]
    assert kratos.get(f"/containers/{linker}").json["linked_to"] == []
    lines = api.admin("GET", f"/admin/audit?object=container&object_id={linker - 30_000}").json
    assert lines[-1]["before"] == {"linked_to": first}


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
    # Two are kept for servers.
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "followers": 8})
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
    harness.wait_until(followers[1].ended, "the stream ended")


# ------------------------------------------------- readers that are behind

def test_who_is_far_behind_gets_a_page_with_an_end_and_comes_back(api, follow):
    customer = api_stage.Customer(api)
    write_events(api, customer, 1_500)
    page = events_in(customer("GET", "/events", headers={"Last-Event-ID": "0"}).text)
    assert len(page) == 1_000
    rest = follow(api, "/events", {**customer.basic, "Last-Event-ID": page[-1][0]})
    rest.wait(501)
    tag = make_tag(customer)
    assert what(page + rest.wait(502)) == [
        ("customer", customer.id, "created"),
        *(("custom_service", number, "changed") for number in range(1, 1_501)), tag]


def test_many_changes_of_others_hold_up_nobody(api, follow):
    mine, other = api_stage.Customer(api), api_stage.Customer(api)
    follower = follow(api, "/events", mine.basic)
    write_events(api, other, 2_500)
    tag = make_tag(mine)
    assert what(follower.wait(1)) == [tag]


def test_a_change_is_told_of_what_is_gone_by_then(api, kratos, follow):
    customer = api_stage.Customer(api)
    uid = api.container(customer, kratos.server)
    customer.post(f"/containers/{uid}", {"note": "x"})
    alarm = customer.post(f"/alarms/raise/{uid}", "x").json["id"]
    api.admin("DELETE", f"/admin/containers/{uid - 30_000}")
    late = follow(api, "/events", {**customer.basic, "Last-Event-ID": "0"})
    assert what(late.wait(5)) == [
        ("customer", customer.id, "created"), ("container", uid, "created"),
        ("container", uid, "changed"), ("alarm", alarm, "created"),
        ("container", uid, "deleted")]
    assert refused(customer.get(f"/alarms/{alarm}"), 403, "Forbidden")


def test_a_reader_goes_on_after_an_event_that_is_kept_no_more(api, follow):
    customer = api_stage.Customer(api)
    tags = [make_tag(customer) for _ in range(3)]
    had = follow(api, "/events", {**customer.basic, "Last-Event-ID": "0"}).wait(4)
    api.sql(f"DELETE FROM events WHERE id <= {had[1][0]}")
    again = follow(api, "/events", {**customer.basic, "Last-Event-ID": had[1][0]})
    assert what(again.wait(2)) == tags[1:]
    # Nor is there any after all have gone.
    api.sql("DELETE FROM events")
    again = follow(api, "/events", {**customer.basic, "Last-Event-ID": had[-1][0]})
    tag = make_tag(customer)
    new = again.wait(1)
    assert what(new) == [tag] and new[0][0] > had[-1][0]


def test_a_reader_of_another_store_hears_what_is_new(api, follow):
    customer = api_stage.Customer(api)
    follower = follow(api, "/events", {**customer.basic, "Last-Event-ID": 10**15})
    tag = make_tag(customer)
    assert what(follower.wait(1)) == [tag]


# ----------------------------------------- readers that take none, or are many

def test_who_takes_no_events_is_cut_and_others_are_not(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "followers": 2})
    customer, other = api_stage.Customer(api), api_stage.Customer(api)
    well = follow(api, "/events", other.basic)
    stalled = follow(api, "/events", customer.basic, narrow=True)
    assert refused(customer.get("/events"), 503, "Service unavailable")
    # More than it takes and less than may wait: its time is over.
    write_events(api, customer, 2_000)
    tags = [make_tag(other)]
    assert what(well.wait(1)) == tags
    harness.wait_until(lambda: may_follow(follow, api, "/events", customer.basic),
                       "its place is free", 40, every=0.2)
    harness.wait_until(stalled.ended, "it ended", 20)
    # It comes back for what it has not had; so much that the answer has an end.
    had = stalled.events
    write_events(api, customer, 1_000)
    page = customer("GET", "/events", headers={"Last-Event-ID": str(had[-1][0])})
    numbers = [number for _, number, _ in what(had + events_in(page.text))][:2_000]
    assert len(had) < len(numbers) and numbers == list(range(1, len(numbers) + 1))
    tags.append(make_tag(other))
    assert what(well.wait(2)) == tags


def test_of_events_that_are_taken_too_slowly_few_wait(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "followers": 2})
    customer, other = api_stage.Customer(api), api_stage.Customer(api)
    well = follow(api, "/events", other.basic)
    slow = follow(api, "/events", customer.basic, narrow=True)
    write_events(api, customer, 10_000)
    tag = make_tag(other)
    harness.wait_until(lambda: slow.read(64) and may_follow(follow, api, "/events", customer.basic),
                       "it was cut", 20)
    harness.wait_until(slow.ended, "it ended", 20)
    assert len(slow.events) < 10_000
    assert what(well.wait(1)) == [tag]


@pytest.mark.parametrize("path", ["/events", "/private/events"])
def test_a_customer_or_a_server_has_sixteen_followers(api, follow, path):
    somebody = {"/events": lambda: api_stage.Customer(api).basic,
                "/private/events": lambda: as_server(api.server())}[path]
    one, other = somebody(), somebody()
    followers = [follow(api, path, one) for _ in range(16)]
    assert all("200 OK" in each.head for each in followers)
    reply = api.request("GET", path, headers=one)
    assert refused(reply, 503, "Service unavailable") and "retry-after" in reply.headers
    assert may_follow(follow, api, path, other)
    followers[0].close()
    harness.wait_until(lambda: may_follow(follow, api, path, one), "there is room")


def test_places_are_kept_for_servers(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "followers": 8})
    customer, server = api_stage.Customer(api), as_server(api.server())
    for _ in range(6):
        assert may_follow(follow, api, "/events", customer.basic)
    assert refused(customer.get("/events"), 503, "Service unavailable")
    for _ in range(2):
        assert may_follow(follow, api, "/private/events", server)
    assert refused(api.request("GET", "/private/events", headers=server), 503,
                   "Service unavailable")


def test_who_follows_takes_no_place_of_his_networks(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite", limits={"threads": 2, "per_network": 2})
    customer = api_stage.Customer(api)
    for _ in range(4):
        assert may_follow(follow, api, "/events", customer.basic)
    assert customer.get("/me").status == 200


# ------------------------------------------------------------ how they end

def test_a_comment_comes_where_nothing_happens(api_scene, follow):
    api = api_stage.Api(api_scene, "sqlite")
    follower = follow(api, "/events", api_stage.Customer(api).basic)
    harness.wait_until(lambda: follower.read() and "\n\n:\n\n" in follower.text,
                       "a comment came", 40)
    assert follower.events == []


@pytest.mark.parametrize("database", api_stage.DATABASES)
def test_a_stream_ends_with_the_service_and_goes_on_after_it(api_scene, follow, database, request):
    cluster = request.getfixturevalue("postgresql") if database == "postgresql" else None
    api = api_stage.Api(api_scene, database, cluster)
    customer = api_stage.Customer(api)
    reader = follow(api, "/events", customer.basic)
    make_tag(customer)
    had = reader.wait(1)
    under_way = connect(api)
    under_way.sendall(head("POST", "/tags", login(customer), "Content-Length: 12"))
    assert customer.get("/me").status == 200      # it was read by then
    api.process.signal(signal.SIGTERM)
    # It is not waited for, as what is under way is.
    harness.wait_until(reader.ended, "the stream ended")
    assert reader.events == had and reader.text.endswith("\n\n")
    assert api.process.alive()
    under_way.sendall(b'{"name":"a"}')
    assert answer(under_way)[0] == 201
    assert api.process.wait() == 0
    api.start()
    again = follow(api, "/events", {**customer.basic, "Last-Event-ID": had[0][0]})
    assert [data["change"] for _, _, data in again.wait(1)] == ["created"]


if api_stage.SOAK:                                  # it takes ten minutes
    def test_a_stream_ends_after_some_ten_minutes(api_scene, follow):
        api = api_stage.Api(api_scene, "sqlite")
        customer = api_stage.Customer(api)
        begun = time.monotonic()
        reader = follow(api, "/events", customer.basic)
        harness.wait_until(reader.ended, "the stream ended", 700)
        assert time.monotonic() - begun > 590
        assert reader.text.endswith("\n\n")
        assert may_follow(follow, api, "/events", customer.basic)
