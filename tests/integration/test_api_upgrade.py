"""Stores as earlier versions of the service left them: it brings them up to its own; and
SIGUSR2: another process takes over, and nobody who asks notices."""
import contextlib
import http.client
import os
import signal
import threading
import time

import pytest

import api_stage
import harness
from api_stage import unique
from test_api import refused
from test_api_events import Follower, make_tag, what

# What the steps of the schema (api/migrations.cc) have made since the first, taken back.
TAKEN_BACK = {
    5: ["""CREATE TABLE old_answered (
            customer_id BIGINT NOT NULL REFERENCES customers(id) ON DELETE CASCADE,
            token TEXT NOT NULL, request TEXT NOT NULL, status BIGINT NOT NULL,
            body TEXT NOT NULL, unix BIGINT NOT NULL, PRIMARY KEY (customer_id, token))""",
        """INSERT INTO old_answered SELECT c.id, a.token, a.request, a.status, a.body, a.unix
            FROM answered a JOIN customers c ON c.uuid = a.caller""",
        "DROP TABLE answered", "ALTER TABLE old_answered RENAME TO answered",
        "CREATE INDEX answered_unix ON answered(unix)",
        "DELETE FROM settings WHERE name = 'sealed_alarm_keys'"],
    4: ["DROP INDEX alarms_customer", "ALTER TABLE alarms DROP COLUMN customer_id"],
    3: ["DROP TABLE events"],
    2: ["DROP INDEX answered_unix", "DROP INDEX audit_unix", "DROP INDEX domain_metrics_day",
        """CREATE TABLE old_links (
            container_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            linked_id BIGINT NOT NULL REFERENCES containers(id) ON DELETE CASCADE,
            PRIMARY KEY (container_id, linked_id))""",
        "INSERT INTO old_links SELECT container_id, linked_id FROM container_links",
        "DROP TABLE container_links", "ALTER TABLE old_links RENAME TO container_links",
        "CREATE INDEX container_links_linked ON container_links(linked_id)"]}


class Platform:
    """Two customers, with something of everything that they can have."""

    def __init__(self, scene, database, cluster):
        self.api = api = api_stage.Api(scene, database, cluster)
        self.kratos, self.zeus = api_stage.Customer(api), api_stage.Customer(api)
        self.server = api.server(self.kratos)
        self.uid, self.other = [api.container(self.kratos, self.server) for _ in range(2)]
        self.theirs = api.container(self.zeus, self.server)
        self.domain = api.domain(self.kratos)
        self.key = {"Idempotency-Key": unique("key")}
        self.tag = {"name": unique("tag")}
        assert self.kratos("POST", "/tags", self.tag, self.key).status == 201
        for linked in [self.other, self.theirs]:
            self.kratos.post(f"/containers/{self.uid}", {
                "link": linked, "tags": [self.tag["name"]], "jid_secret": "s"})
        self.kratos.post(f"/domains/{self.domain['id']}", {"note": "n"})
        self.kratos.post("/loopboxes", {"container": self.uid, "filename": "f",
                                        "mountpoint": "m"})
        for customer, uid in [(self.kratos, self.uid), (self.zeus, self.theirs)]:
            for unix in [2_000, 1_000]:
                assert customer.post(f"/alarms/raise/{uid}", "x", unix=unix).status == 201
        self.now = int(time.time())
        for name, more in [("container.cpu", {}), ("domain.hits", {"domain": self.domain["name"]})]:
            assert api.as_server(self.server, "POST", f"/metrics/{name}/{self.uid}",
                                 {"unix": self.now, "value": 7, **more}).status == 201

    def seen(self):
        """All that is shown, of the day of the metrics."""
        year, month, day, *_ = time.gmtime(self.now)
        metrics = f"?year={year}&month={month}&day={day}"
        kratos = ["/me", "/containers", f"/containers/{self.uid}", "/domains", "/tags", "/alarms",
                  f"/domains/{self.domain['id']}", "/loopboxes", f"/alarm_key/{self.uid}",
                  f"/metrics/container.cpu/{self.uid}{metrics}",
                  f"/metrics/domain.hits/{self.domain['id']}{metrics}"]
        zeus = ["/me", f"/containers/{self.theirs}", "/domains", "/alarms"]
        admin = ["customers", "servers", "containers", "domains", "audit"]
        replies = [*map(self.kratos.get, kratos), *map(self.zeus.get, zeus),
                   *(self.api.admin("GET", f"/admin/{name}") for name in admin)]
        assert all(reply.status == 200 for reply in replies), replies
        return [reply.json for reply in replies]

    def keys(self):
        """Each container's alarm key and secret uuid."""
        return [(uid, customer.get(f"/alarm_key/{uid}").json["alarm_key"],
                 customer.get(f"/containers/{uid}").json["secret_uuid"])
                for customer, uid in [(self.kratos, self.uid), (self.kratos, self.other),
                                      (self.zeus, self.theirs)]]

    def take_back(self, version):
        """The service again, on the store as the one that knew `version` steps left it."""
        keys = [f"UPDATE containers SET alarm_key = '{alarm_key}', secret_uuid = '{secret}' "
                f"WHERE id = {uid - 30_000}" for uid, alarm_key, secret in self.keys()]
        self.api.end()
        self.api.sql(*(statement for step, statements in TAKEN_BACK.items() if step > version
                       for statement in statements), *keys,
                     f"UPDATE schema_version SET version = {version}")
        self.api.start()


@pytest.fixture(params=api_stage.DATABASES)
def platform(scene, request):
    cluster = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Platform(scene, request.param, cluster)


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_all_that_an_earlier_store_holds_is_there(platform, version):
    before = platform.seen()
    platform.take_back(version)
    assert platform.seen() == before


def test_everything_works_on_a_store_of_the_first_version(platform):
    p = platform
    kratos, path = p.kratos, f"/containers/{p.uid}"
    p.take_back(1)
    # A number that nobody has: the second step.
    assert kratos.post(path, {"link": 12_345_678}).json["linked_to"] == [
        p.other, p.theirs, 12_345_678]
    assert kratos.post(path, {"unlink": p.other}).json["linked_to"] == [p.theirs, 12_345_678]
    # What changes is told: the third.
    with contextlib.closing(Follower(p.api, "/events", {**kratos.basic,
                                                        "Last-Event-ID": "0"})) as reader:
        assert what(reader.wait(2)) == [("container", p.uid, "changed")] * 2
        tag = make_tag(kratos)
        assert what(reader.wait(3))[-1] == tag
    # Alarms are their customers': the fourth.
    for customer, uid in [(kratos, p.uid), (p.zeus, p.theirs)]:
        assert customer.post(f"/alarms/raise/{uid}", "x", unix=3_000).status == 201
        listed = customer.get("/alarms").json
        assert [(each["container"], each["unix"]) for each in listed] == [
            (uid, 3_000), (uid, 2_000), (uid, 1_000)]
    assert kratos.delete(f"/alarms/{listed[0]['id']}").status == 403
    made = {"server": p.server["address"], "name": "n", "memory": 1, "storage": 1}
    uid = kratos.post("/containers", made).json["uid"]
    assert p.api.admin("DELETE", f"/admin/containers/{uid - 30_000}").status == 200
    assert kratos.delete("/domains", {"name": p.domain["name"]}).status == 200
    assert p.api.domain(kratos, p.domain["name"])["id"] > p.domain["id"]


def test_answers_that_were_kept_in_clear_are_no_more(platform):
    p = platform
    again = p.kratos("POST", "/tags", p.tag, p.key)
    assert again.status == 201 and "idempotency-replayed" in again.headers
    p.take_back(1)
    assert refused(p.kratos("POST", "/tags", p.tag, p.key), 409, "Conflict", "name")


def test_answers_of_customers_are_kept_over_the_fifth_step(platform):
    p = platform
    before = p.kratos("POST", "/tags", p.tag, p.key)
    p.take_back(4)
    again = p.kratos("POST", "/tags", p.tag, p.key)
    assert again.data == before.data and "idempotency-replayed" in again.headers


def test_keys_that_lay_in_clear_are_sealed(platform):
    p = platform
    keys = p.keys()
    p.take_back(4)
    assert p.keys() == keys
    for uid, alarm_key, _ in keys:
        raised = p.api.request("POST", f"/alarms/raise/{uid}?key={alarm_key}", "x")
        assert raised.status == 201
    stored = p.api.stored("alarm_key, secret_uuid", "containers")
    for word in [word for _, *words in keys for word in words]:
        assert word not in stored


def test_upgrades_under_load_lose_no_request(platform):
    api = platform.api
    customer = api_stage.Customer(api)
    ended, answers = threading.Event(), []

    def work():
        while not ended.is_set():
            try:
                answers.append(customer.post("/tags", {"name": unique("tag")}).status)
                answers.append(customer.get("/tags").status)
            except (OSError, http.client.HTTPException) as lost:
                answers.append(repr(lost))
    workers = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for worker in workers:
        worker.start()
    pids = [api.serving]
    try:
        for _ in range(3):
            pids.append(api.upgrade())
            before = len(answers)
            harness.wait_until(lambda before=before: len(answers) > before + 50, "work goes on")
            harness.wait_until(lambda: pids[-2] not in api.process.session_pids(),
                               "the one before has ended", 30)
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    assert set(answers) == {200, 201}
    assert len(set(pids)) == 4
    assert len(customer.get("/tags").json) == answers.count(201)


def test_a_successor_has_the_key_though_it_cannot_read_it(platform):
    api, customer = platform.api, api_stage.Customer(platform.api)
    box = api.container(customer, api.server(customer))
    customer.post(f"/containers/{box}", {"pushover_token": "a secret"})
    (api.directory / "api.key").rename(api.directory / "elsewhere")
    api.upgrade()
    assert customer.get(f"/containers/{box}").json["pushover_token"] == "a secret"
    assert not (api.directory / "api.key").exists()
    assert api.answers(), "for administration as well"


def test_a_successor_that_does_not_come_up_changes_nothing(platform):
    api = platform.api
    text = api.config_path.read_text()
    api.config_path.write_text(text + "nonsense: 1\n")
    os.kill(api.serving, signal.SIGUSR2)
    harness.wait_until(lambda: "ended before it served; this process goes on"
                       in api.process.log(), "it is said", 30)
    assert api.answers() and api.process.alive()
    api.config_path.write_text(text)
    api.upgrade()
    assert api.answers()


def test_a_successor_that_cannot_serve_leaves_the_sockets_files(platform):
    api = platform.api
    text = api.config_path.read_text()
    api.config_path.write_text(text.replace(api.config["database"], "sqlite:///nowhere/api.db"))
    os.kill(api.serving, signal.SIGUSR2)
    harness.wait_until(lambda: "ended before it served; this process goes on"
                       in api.process.log(), "it is said", 30)
    assert api.answers(), "by the file of its Unix socket"
    api.config_path.write_text(text)
    api.upgrade()
    assert api.answers()


def test_an_end_while_a_successor_starts_ends_both(platform):
    api = platform.api
    os.kill(api.serving, signal.SIGUSR2)
    os.kill(api.serving, signal.SIGTERM)
    harness.wait_until(lambda: not api.process.session_pids(), "nobody is left", 30)


def test_who_follows_is_told_to_come_again_and_misses_nothing(platform):
    api, customer = platform.api, api_stage.Customer(platform.api)
    with contextlib.closing(Follower(api, "/events", customer.basic)) as follower:
        first = make_tag(customer)
        events = follower.wait(1)
        assert what(events) == [first]
        api.upgrade()
        harness.wait_until(follower.ended, "the stream ended", 30)
    second = make_tag(customer)
    headers = {**customer.basic, "Last-Event-ID": str(events[-1][0])}
    with contextlib.closing(Follower(api, "/events", headers)) as follower:
        assert what(follower.wait(1)) == [second]
