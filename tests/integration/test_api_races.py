"""Many clients at the same last thing, the service killed while it writes, and requests made
up from its own description. FEALTY_SOAK=1: for a minute, fifty times, fifty thousand."""
import concurrent.futures
import json
import os
import random
import threading
import time

import pytest

import api_stage
import harness
from api_stage import SOAK, unique

CLIENTS = 64
ROUND_SECONDS = 60 if SOAK else 1
KILLS = 50 if SOAK else 2
FUZZ_REQUESTS = 50_000 if SOAK else 600


def together(calls):
    """Every call at once; their replies, none of them a failure of the server's."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        replies = list(pool.map(run, calls))
    assert all(reply.status < 500 for reply in replies), replies
    return [reply.status for reply in replies]


def race(round_):
    """Rounds until the time is over."""
    end = time.monotonic() + ROUND_SECONDS
    rounds = 0
    while time.monotonic() < end or rounds == 0:
        round_()
        rounds += 1


# ------------------------------------------------------------------- races

def test_a_servers_last_memory_is_sold_once(api, kratos):
    server = api.server(kratos, memory=5, storage=1000)
    new = {"server": server["address"], "name": "x", "memory": 1, "storage": 1}

    def round_():
        statuses = together([lambda: kratos.post("/containers", new)] * CLIENTS)
        assert statuses.count(201) == 5 and statuses.count(409) == CLIENTS - 5
        assert api.admin("GET", f"/admin/servers/{server['id']}").json["free_memory"] == 0
        for each in kratos.get("/containers").json:
            if each["server_address"] == server["address"]:
                api.admin("DELETE", f"/admin/containers/{each['uid'] - 30_000}")
    race(round_)


def test_containers_grow_into_what_is_left_and_no_further(api, kratos):
    server = api.server(kratos, memory=100, storage=1000)
    uids = [api.container(kratos, server, 1, 1) for _ in range(8)]

    def round_():
        wishes = [random.randint(1, 60) for _ in range(CLIENTS)]
        together([lambda uid=uids[i % 8], memory=wish:
                  kratos.post(f"/containers/{uid}", {"memory": memory})
                  for i, wish in enumerate(wishes)])
        assert api.admin("GET", f"/admin/servers/{server['id']}").json["free_memory"] >= 0
    race(round_)


def test_of_one_name_there_is_one(api, kratos, zeus):
    uid = api.container(kratos, kratos.server)
    other = api.container(zeus, zeus.server)

    def round_():
        tag, file, domain = unique("tag"), unique("file"), unique("d") + ".example.org"
        kinds = [
            lambda: kratos.post("/tags", {"name": tag}),
            lambda: kratos.post("/loopboxes", {"container": uid, "filename": file,
                                               "mountpoint": file}),
            lambda: api.admin("POST", "/admin/domains",
                              {"customer": kratos.username, "name": domain}),
            lambda: kratos.post(f"/containers/{uid}", {"link": other})]
        for call in kinds:
            statuses = together([call] * CLIENTS)
            assert statuses.count(201) + statuses.count(200) == 1, statuses
            assert statuses.count(409) == CLIENTS - 1
        kratos.post(f"/containers/{uid}", {"unlink": other})
    race(round_)


def test_a_key_makes_one_of_many(kratos):
    def round_():
        headers = {"Idempotency-Key": unique("key")}
        new = {"name": unique("tag")}
        statuses = together([lambda: kratos("POST", "/tags", new, headers)] * CLIENTS)
        assert statuses == [201] * CLIENTS
        assert [each["name"] for each in kratos.get("/tags").json].count(new["name"]) == 1
    race(round_)


# ----------------------------------------------------------------- kill -9

@pytest.mark.parametrize("database", api_stage.DATABASES)
def test_what_was_acknowledged_outlives_a_kill(scene, database, request):
    cluster = request.getfixturevalue("postgresql") if database == "postgresql" else None
    api = api_stage.Api(scene, database, cluster)
    customer = api_stage.Customer(api)
    uid = api.container(customer, api.server(customer))
    acknowledged, asked = set(), set()
    stop = threading.Event()

    def write():
        while not stop.is_set():
            name = unique("tag")
            asked.add(name)
            try:
                if customer.post("/tags", {"name": name}).status == 201:
                    acknowledged.add(name)
                # Two keys, one transaction: both or neither.
                customer.post(f"/containers/{uid}", {"note": name, "name": name})
            except (OSError, ValueError, api_stage.http.client.HTTPException):
                time.sleep(0.01)
    writers = [threading.Thread(target=write) for _ in range(8)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(KILLS):
            enough = len(acknowledged) + 20
            harness.wait_until(lambda: len(acknowledged) >= enough, "some were acknowledged", 30)
            api.kill()
            api.start()
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    names = {each["name"] for each in customer.get("/tags").json}
    assert acknowledged <= names <= asked
    found = customer.get(f"/containers/{uid}").json
    assert found["note"] == found["name"] or found["note"] == ""


# -------------------------------------------------------------------- fuzz

TEXTS = ["", "x", "é☕𝄞", "a" * 300, "'; DROP TABLE tags; --", "%00", "../etc", "\n", "null",
         "-1", "99999999999999999999", "example.com", "0", "?", ":p1", "#ff0000"]


class Fuzz:
    """Requests by the OpenAPI document: mostly well-formed, often not."""

    def __init__(self, seed, document, uids):
        self.random = random.Random(seed)
        self.document, self.uids = document, uids
        self.operations = [(method.upper(), path, operation)
                           for path, methods in document["paths"].items()
                           for method, operation in methods.items()]

    def value(self, schema):
        pick = self.random.random()
        if pick < 0.15:
            return self.random.choice([None, True, 1.5, -1, [], {}, [[]], 2**63, 10**400 % 7,
                                       self.random.choice(TEXTS)])
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self.random.choice(kind)
        if kind == "integer":
            low, high = schema.get("minimum", 0), schema.get("maximum", 100)
            return self.random.choice([low, high, low - 1, high + 1, *self.uids,
                                       self.random.randint(low, min(high, low + 100))])
        if kind == "array":
            return [self.value(schema["items"]) for _ in range(self.random.randint(0, 3))]
        if kind == "boolean":
            return self.random.choice([True, False])
        return self.random.choice(TEXTS) if kind == "string" else None

    def body(self, operation):
        content = operation.get("requestBody")
        if content is None or "application/json" not in content["content"]:
            return self.random.choice([None, b"\xff\xfe", "text"])
        name = content["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        properties = self.document["components"]["schemas"][name]["properties"]
        body = {key: self.value(schema) for key, schema in properties.items()
                if self.random.random() < 0.7}
        text = json.dumps(body)
        return text[:-1] if self.random.random() < 0.05 else text

    def request(self):
        method, path, operation = self.random.choice(self.operations)
        query = []
        for parameter in operation["parameters"]:
            text = str(self.random.choice([*self.uids, 1, 2, 0, 10**11, *TEXTS]))
            quoted = api_stage.urllib.parse.quote(text, safe="")
            if parameter["in"] == "path":
                if parameter["schema"]["type"] == "integer" and self.random.random() < 0.9:
                    quoted = str(self.random.choice([*self.uids, 1, 2, 3]))
                path = path.replace("{" + parameter["name"] + "}", quoted or "x")
            elif self.random.random() < 0.3:
                query.append(f"{parameter['name']}={quoted}")
        return method, path + ("?" + "&".join(query) if query else ""), self.body(operation)


def test_no_request_by_the_document_is_a_server_error(api, kratos, zeus):
    seed = int(os.environ.get("FEALTY_SEED") or random.randrange(2**32))
    print(f"FEALTY_SEED={seed}")
    victim = api_stage.Customer(api)
    uids = [api.container(victim, api.server(victim)), api.container(zeus, zeus.server)]
    fuzz = Fuzz(seed, api.request("GET", "/openapi.json").json, uids)
    requests = [fuzz.request() for _ in range(FUZZ_REQUESTS)]
    before = zeus.get(f"/containers/{uids[1]}").json
    server = {"X-Client-DN": "/CN=x", "X-Forwarded-For": kratos.server["address"],
              "X-Forwarded-Host": api_stage.DOMAIN}

    def send(each):
        method, path, body = each
        if path == "/me" and method == "POST":
            return None              # it would change the password
        if path.partition("?")[0].endswith("/events"):
            method = "HEAD"          # the stream has no end
        headers = server if path.startswith("/private") else victim.basic
        if method in ("GET", "HEAD"):
            body = None
        reply = api.request(method, path, body, headers)
        assert reply.status < 500, (each, reply)
        return reply
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        replies = [reply for reply in pool.map(send, requests) if reply is not None]
    assert zeus.get(f"/containers/{uids[1]}").json == before
    # It is of no use where everything is refused.
    assert sum(reply.status < 300 for reply in replies) > len(replies) / 20
    assert api.process.alive()
