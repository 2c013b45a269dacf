"""The REST API's resources: every row of its specification, over both databases."""
import json
import re
import time

import jsonschema
import pytest

import api_stage
from api_stage import unique

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@pytest.fixture
def container(api, kratos):
    return api.container(kratos, kratos.server)


@pytest.fixture
def anothers(api, zeus):
    return api.container(zeus, zeus.server)


def refused(reply, status, error, reason=""):
    assert reply.status == status, reply
    assert reply.json["error"] == error
    assert reason in reply.json.get("reason", "")
    return True


# ---------------------------------------------------------- authentication

def test_basic_and_hex_headers_log_in(api, kratos):
    assert kratos.get("/me").status == 200
    hexed = {"X-uwsgi-it-username": kratos.username.encode().hex(),
             "X-uwsgi-it-password": kratos.password.encode().hex()}
    assert api.request("GET", "/me", headers=hexed).status == 200


@pytest.mark.parametrize("headers", [
    {}, {"Authorization": "Basic"}, {"Authorization": "Basic !!"},
    {"Authorization": "Bearer x"}, {"X-uwsgi-it-username": "zz", "X-uwsgi-it-password": "zz"}])
def test_without_a_login_it_is_401(api, headers):
    reply = api.request("GET", "/me", headers=headers)
    assert refused(reply, 401, "Unauthorized")
    assert reply.headers["www-authenticate"] == 'Basic realm="uwsgi.it api"'
    assert reply.data == b'{"error":"Unauthorized"}\n'


def test_wrong_passwords_are_refused_and_then_throttled(api):
    customer = api_stage.Customer(api)
    assert customer.get("/me").status == 200
    wrong = api_stage.Customer.__new__(api_stage.Customer)
    wrong.api, wrong.username, wrong.password = api, customer.username, "wrong"
    statuses = [wrong.get("/me").status for _ in range(12)]
    assert statuses[0] == 401 and statuses[-1] == 429
    assert set(statuses) == {401, 429}
    # Who was verified a moment ago does not pay for it.
    assert customer.get("/me").status == 200


def test_a_changed_password_counts_at_once(api):
    customer = api_stage.Customer(api)
    assert customer.post("/me", {"password": "deimos17"}).status == 200
    assert customer.get("/me").status == 401
    customer.password = "deimos17"
    assert customer.get("/me").status == 200


def test_paths_methods_sizes(api, kratos, container):
    assert refused(kratos.get("/nothing"), 404, "Not found")
    assert refused(kratos.get("/containers/x"), 404, "Not found")
    assert refused(kratos.get("/containers/99999999999999999999"), 404, "Not found")
    assert refused(kratos.get("/admin/customers"), 404, "Not found")
    assert refused(api_stage.request(api.port, "GET", "/"), 404, "Not found")
    for method, path in [("DELETE", "/me"), ("PUT", "/me"), ("PATCH", "/tags"),
                         ("POST", "/distros"), ("DELETE", "/containers"), ("POST", "/"),
                         ("LINK", "/me"), ("TRACE", "/me"), ("DELETE", "/openapi.json")]:
        reply = kratos(method, path)
        assert refused(reply, 405, "Method not allowed")
        assert "OPTIONS" in reply.headers["allow"]
    assert refused(kratos("BREW", "/me"), 405, "Method not allowed")
    large = json.dumps({"note": "x" * 65_536})
    assert refused(kratos.post(f"/containers/{container}", large), 413,
                   "Request entity too large")
    assert kratos("HEAD", "/me").status == 200
    for path in ["/me/", "/containers/", f"/containers/{container}/", "/tags/", "/domains/",
                 "/loopboxes/", "/alarms/", "/distros/", "/custom_distros/", "/news/"]:
        assert kratos.get(path).status == 200, path
        assert kratos.get(path).data.endswith(b"\n"), path


def test_what_is_no_utf_8_is_told_where_it_stands(api, kratos):
    assert refused(kratos.get("/containers/%ff"), 400, "Bad request", "the path")
    for query in ["tags=%ff", "%ff=x"]:
        assert refused(kratos.get("/containers?" + query), 400, "Bad request", "the query")


def test_options_answers_the_preflight(api):
    reply = api.request("OPTIONS", "/containers", headers={"Origin": "https://ui.example"})
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert api.request("GET", "/news").headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("body, reason", [
    ("", "no JSON"), ("{", "no JSON"), (b'{"note": "a"}\0', "no JSON"), ("[1]", "object"), ("1", "object"),
    ('{"name": 1}', "name:"), ('{"name": ""}', "name:"), ('{"name": "a\\nb"}', "name:"),
    ('{"name": "a\\u0000b"}', "NUL"), (b'{"name": "\xff"}', "UTF-8"),
    ("[" * 40_000, "deeply"), ('{"quota_threshold": 0}', "quota_threshold:"),
    ('{"quota_threshold": "90"}', "quota_threshold:"),
    ('{"alarm_freq": 59}', "alarm_freq:"), ('{"distro": "x"}', "distro:"),
    ('{"distro": 123456}', "distro:"), ('{"ssh_keys": "x"}', "ssh_keys:"),
    ('{"ssh_keys": ["a\\nb"]}', "ssh_keys:"), ('{"tags": [1]}', "tags:"),
    ('{"tags": ["nothere"]}', "tags:"), ('{"nofollow": 2}', "nofollow:"),
    ('{"memory": 0}', "memory:"), ('{"memory": 1e3}', "memory:"),
    ('{"memory": 18446744073709551615}', "memory:"),
    ('{"slack_webhook": "http://x.example"}', "slack_webhook:"),
    ('{"slack_webhook": "https://127.0.0.1/x"}', "slack_webhook:"),
    ('{"slack_webhook": "https://127.0.0.0x1/x"}', "slack_webhook:"),
    ('{"slack_webhook": "https://169.254.169.0xfe/x"}', "slack_webhook:"),
    ('{"slack_webhook": "https://u@x.example/x"}', "slack_webhook:")])
def test_a_malformed_body_is_400_and_says_where(kratos, container, body, reason):
    assert refused(kratos.post(f"/containers/{container}", body), 400, "Bad request", reason)


# ---------------------------------------------------------------------- me

def test_me_shows_and_changes_the_customers_data(api):
    customer = api_stage.Customer(api)
    server = api.server(customer)
    uid = api.container(customer, server)
    assert customer.get("/me").json == {
        "email": "", "vat": "", "company": "", "uuid": customer.uuid, "containers": [uid],
        "servers": [server["address"]]}
    given = {"company": "Göd of War ☕ S.p.a.", "vat": "01234567890", "email": "k@example.com",
             "uuid": "mine", "unknown": {"a": [1]}}
    reply = customer.post("/me/", given)
    assert reply.status == 200
    assert reply.json["company"] == given["company"] and reply.json["uuid"] == customer.uuid
    assert customer.get("/me").json == reply.json
    assert refused(customer.post("/me", {"vat": 1}), 400, "Bad request", "vat:")


# -------------------------------------------------------------- containers

def test_a_container_as_the_quickstart_shows_it(kratos, container):
    found = kratos.get(f"/containers/{container}").json
    number = container - 30_000
    assert found["ip"] == f"10.0.{(number + 2) >> 8}.{(number + 2) & 255}"
    assert {"uid": container, "server": kratos.server["name"], "note": "", "distro": None,
            "distro_name": None, "custom_distro": None, "quota_threshold": 90, "ssh_keys": [],
            "linked_to": [], "jid": "", "jid_destinations": "", "tags": [], "storage": 10,
            "memory": 10, "server_address": kratos.server["address"],
            "legion_address": []}.items() <= found.items()
    assert UUID.match(found["uuid"]) and UUID.match(found["secret_uuid"])
    assert "jid_secret" not in found


def test_the_hostname_is_the_name_in_a_safe_form(kratos, container):
    kratos.post(f"/containers/{container}", {"name": "my app_é.1"})
    found = kratos.get(f"/containers/{container}").json
    assert found["name"] == "my app_é.1" and found["hostname"] == "my-app---1"


def test_owners_of_a_server_make_containers(api, kratos, zeus):
    server = api.server(kratos, memory=100, storage=100)
    new = {"server": server["address"], "name": "a", "memory": 60, "storage": 50}
    reply = kratos.post("/containers", new)
    assert reply.status == 201 and reply.json["message"] == "Created"
    uid = reply.json["uid"]
    assert uid in kratos.get("/me").json["containers"]
    for path in ["/containers", "/me/containers/"]:
        assert uid in [each["uid"] for each in kratos.get(path).json]
    assert refused(kratos.post("/containers", new), 409, "Conflict", "memory")
    assert refused(kratos.post("/containers", {**new, "memory": 1, "storage": 51}), 409,
                   "Conflict", "storage")
    assert refused(zeus.post("/containers", new), 403, "Forbidden")
    assert refused(kratos.post("/containers", {**new, "server": zeus.server["address"]}), 403,
                   "Forbidden")
    for key in new:
        part = {name: value for name, value in new.items() if name != key}
        assert refused(kratos.post("/containers", part), 403, "Forbidden")
    assert refused(kratos.post("/containers", {**new, "memory": "60"}), 400, "Bad request",
                   "memory:")


def test_sizes_are_for_the_servers_owner(api, kratos, zeus):
    server = api.server(kratos, memory=100, storage=100)
    uid = api.container(kratos, server, 50, 50)
    path = f"/containers/{uid}"
    assert kratos.post(path, {"memory": 100, "storage": 1}).json["memory"] == 100
    assert refused(kratos.post(path, {"memory": 101}), 409, "Conflict", "memory")
    theirs = api.container(zeus, zeus.server)
    assert refused(zeus.post(f"/containers/{theirs}", {"memory": 1}), 403, "Forbidden")


def test_several_keys_are_all_or_nothing(kratos, container, anothers):
    path = f"/containers/{container}"
    before = kratos.get(path).json
    for bad in [{"link": container}, {"distro": 99_999}, {"tags": ["nothere"]},
                {"memory": 10**9}, {"unlink": anothers}]:
        reply = kratos.post(path, {"name": "changed", "note": "changed", **bad})
        assert reply.status in (400, 409), reply
        assert kratos.get(path).json == before


def test_every_field_is_kept(api, kratos, container):
    distro = api.made("distros", name=unique("distro"), path=unique("/distro"))
    given = {"name": "n", "note": "two\nlines ☕", "quota_threshold": 80, "jid": "a@b",
             "jid_destinations": "c@d,e@f", "nofollow": True, "pushover_user": "u",
             "pushover_token": "t", "pushover_sound": "s", "pushbullet_token": "p",
             "slack_webhook": "https://hooks.slack.com/services/A/B", "alarm_freq": 90,
             "ssh_keys": ["ssh-rsa .........", "ssh-ed25519 x"], "distro": distro["id"],
             "custom_distros_storage": True}
    reply = kratos.post(f"/containers/{container}", {**given, "jid_secret": "hidden"})
    assert reply.status == 200
    assert given.items() <= reply.json.items()
    assert reply.json["distro_name"] == distro["name"]
    assert "hidden" not in kratos.get(f"/containers/{container}").text
    assert kratos.post(f"/containers/{container}", {"distro": None}).json["distro"] is None


def test_what_reboots_a_container(api, kratos, container):
    distro = api.made("distros", name=unique("distro"), path=unique("/distro"))
    path = f"/containers/{container}"
    kratos.post(path, {"distro": distro["id"], "ssh_keys": ["ssh-rsa x"]})

    def times():
        listed = api.as_server(kratos.server, "GET", "/containers/").json
        found = [each for each in listed if each["uid"] == container][0]
        return found["mtime"], found["ssh_keys_mtime"]
    kratos.post("/tags", {"name": unique("tag")})
    tag = kratos.get("/tags").json[-1]["name"]
    before = times()
    kratos.post(path, {"note": "x", "tags": [tag]})
    kratos.post(path, {})
    assert times() == before
    kratos.post(path, {"ssh_keys": ["ssh-rsa y"]})
    assert times()[0] == before[0] and times()[1] > before[1]
    for change in [{"reboot": 1}, {"name": "other"}, {"jid_secret": "x"}]:
        before = times()
        kratos.post(path, change)
        assert times()[0] > before[0]


def test_links_are_each_sides_own_word(kratos, container, anothers):
    path = f"/containers/{container}"
    assert kratos.post(path, {"link": anothers}).json["linked_to"] == [anothers]
    assert refused(kratos.post(path, {"link": anothers}), 409, "Conflict", "link")
    assert refused(kratos.post(path, {"link": container}), 409, "Conflict")
    # Whether another customer has it, or nobody, is not told.
    assert refused(kratos.post(path, {"link": 30_000}), 400, "Bad request", "link:")
    assert kratos.post(path, {"link": 12_345_678}).json["linked_to"] == [anothers, 12_345_678]
    assert kratos.post(path, {"unlink": 12_345_678}).json["linked_to"] == [anothers]
    assert kratos.post(path, {"unlink": anothers}).json["linked_to"] == []
    assert refused(kratos.post(path, {"unlink": anothers}), 409, "Conflict", "unlink")


def test_anothers_container_is_forbidden_whatever_one_does(kratos, anothers):
    for uid in [anothers, 39_999]:
        for method, path, body in [
                ("GET", "/containers/{}", None), ("POST", "/containers/{}", {"note": "x"}),
                ("GET", "/containers/{}/domains", None),
                ("POST", "/regenerate_secret_uuid/{}", None), ("GET", "/alarm_key/{}", None),
                ("POST", "/alarm_key/{}", None), ("POST", "/alarms/raise/{}", "x"),
                ("GET", "/custom_distros/{}", None),
                ("POST", "/custom_distros/{}", {"name": "a", "path": "a"}),
                ("GET", "/metrics/container.cpu/{}", None)]:
            reply = kratos(method, path.format(uid), body)
            assert refused(reply, 403, "Forbidden")
            assert reply.data == b'{"error":"Forbidden"}\n'
        assert refused(kratos.post("/loopboxes", {"container": uid, "filename": "a",
                                                  "mountpoint": "b"}), 403, "Forbidden")
        assert refused(kratos.get("/loopboxes", container=uid), 403, "Forbidden")
        assert refused(kratos.get("/alarms", container=uid), 403, "Forbidden")


def test_a_secret_uuid_is_renewed(kratos, container):
    before = kratos.get(f"/containers/{container}").json["secret_uuid"]
    assert kratos.post(f"/regenerate_secret_uuid/{container}").status == 200
    assert kratos.get(f"/containers/{container}").json["secret_uuid"] != before


# ----------------------------------------------------------------- distros

def test_distros(api, kratos):
    distro = api.made("distros", name=unique("distro"), path=unique("/distro"))
    assert {"id": distro["id"], "name": distro["name"]} in kratos.get("/distros").json


def test_the_custom_distros_page(api, kratos, zeus, container):
    store = api.container(kratos, kratos.server)
    new = {"name": "new_distro", "path": "ubuntu0001", "note": "Hello World"}
    assert refused(kratos.post(f"/custom_distros/{store}", new), 403, "Forbidden")
    kratos.post(f"/containers/{store}", {"custom_distros_storage": True})
    reply = kratos.post(f"/custom_distros/{store}", new)
    assert reply.status == 201 and new.items() <= reply.json.items()
    made = reply.json
    assert set(made) == {"id", "container", "name", "path", "note", "uuid"}
    entry = {"id": made["id"], "name": "new_distro", "container": store}
    assert entry in kratos.get("/custom_distros/").json
    assert entry in kratos.get(f"/custom_distros/{container}").json
    assert entry not in kratos.get(f"/custom_distros/{store}").json
    path = f"/custom_distro/{made['id']}"
    assert kratos.get(path).json == made
    for twice in [{**new, "path": "other"}, {**new, "name": "other"}]:
        assert refused(kratos.post(f"/custom_distros/{store}", twice), 409, "Conflict")
    for bad in ["a/b", "..", "", "ü"]:
        assert refused(kratos.post(f"/custom_distros/{store}", {**new, "path": bad}), 400,
                       "Bad request", "path:")
    assert refused(kratos.post(f"/custom_distros/{store}", {"name": "x"}), 400, "Bad request",
                   "path:")
    renamed = kratos.post(path, {"name": "new_name_for_the_distro"})
    assert renamed.json == {**made, "name": "new_name_for_the_distro"}
    # Who may use it: the same server, the same customer, not the store.
    assert kratos.post(f"/containers/{container}",
                       {"custom_distro": made["id"]}).json["custom_distro"] == made["id"]
    assert refused(kratos.post(f"/containers/{store}", {"custom_distro": made["id"]}), 403,
                   "Forbidden")
    elsewhere = api.container(kratos, api.server(kratos))
    assert refused(kratos.post(f"/containers/{elsewhere}", {"custom_distro": made["id"]}),
                   403, "Forbidden")
    assert refused(kratos.post(f"/containers/{container}", {"custom_distros_storage": 1}),
                   409, "Conflict")
    assert refused(kratos.post(f"/containers/{store}", {"custom_distros_storage": 0}), 409,
                   "Conflict")
    for method in ["GET", "POST", "DELETE"]:
        assert refused(zeus(method, path, {}), 403, "Forbidden")
    assert kratos.delete(path).json == {"message": "Ok"}
    assert kratos.get(f"/containers/{container}").json["custom_distro"] is None
    assert refused(kratos.get(path), 403, "Forbidden")


# -------------------------------------------------------------------- tags

def test_tags(kratos, zeus):
    name = unique("tàg")
    reply = kratos.post("/tags", {"name": name})
    assert reply.status == 201 and reply.json["name"] == name
    path = f"/tags/{reply.json['id']}"
    assert kratos.get(path).json == reply.json
    assert reply.json in kratos.get("/tags").json
    assert refused(kratos.post("/tags", {"name": name}), 409, "Conflict")
    assert zeus.post("/tags", {"name": name}).status == 201
    other = kratos.post("/tags", {"name": unique("tag")}).json
    assert refused(kratos.post(path, {"name": other["name"]}), 409, "Conflict")
    assert kratos.post(path, {"note": "n"}).json["note"] == "n"
    for method in ["GET", "POST", "DELETE"]:
        assert refused(zeus(method, path, {}), 404, "Not found")
    for bad in [{}, {"name": 1}, {"name": ""}, {"name": "a,b"}, {"name": "x" * 256}]:
        assert refused(kratos.post("/tags", bad), 400, "Bad request", "name:")
    assert kratos.delete(path).status == 200
    assert refused(kratos.get(path), 404, "Not found")


def test_tags_filter_containers_domains_and_loopboxes(api, kratos, container):
    one, two = unique("tag"), unique("tag")
    for name in [one, two]:
        kratos.post("/tags", {"name": name})
    box = kratos.post("/loopboxes", {"container": container, "filename": "f",
                                     "mountpoint": "m"}).json["id"]
    domain = api.domain(kratos)["id"]
    for path, listed in [(f"/containers/{container}", "/containers"),
                         (f"/domains/{domain}", "/domains"),
                         (f"/loopboxes/{box}", "/loopboxes")]:
        assert kratos.post(path, {"tags": [one, one]}).json["tags"] == [one]
        found = kratos.get(listed, tags=f"nothere,{one}").json
        assert len(found) == 1 and found[0]["tags"] == [one]
        assert kratos.get(listed, tags=two).json == []
        assert len(kratos.get(listed, tags=f"{two},{one}").json) == 1
        assert kratos.post(path, {"tags": []}).json["tags"] == []
        assert kratos.get(listed, tags=one).json == []


# --------------------------------------------------------------- loopboxes

def test_loopboxes(kratos, zeus, container):
    new = {"container": container, "filename": "zeus001", "mountpoint": "zeus"}
    reply = kratos.post("/loopboxes", new)
    assert reply.status == 201
    path = f"/loopboxes/{reply.json['id']}"
    expected = {"id": reply.json["id"], **new, "ro": False, "tags": []}
    assert kratos.get(path).json == expected
    assert expected in kratos.get("/loopboxes").json
    assert kratos.get("/loopboxes", container=container).json == [expected]
    for twice in [{**new, "mountpoint": "other"}, {**new, "filename": "other"}]:
        assert refused(kratos.post("/loopboxes", twice), 409, "Conflict")
    assert kratos.post("/loopboxes", {"container": container, "filename": "a/b",
                                      "mountpoint": "c/d", "ro": True}).json["ro"] is True
    assert kratos.post(path, {"filename": "x", "tags": []}).json["filename"] == "zeus001"
    for method in ["GET", "POST", "DELETE"]:
        assert refused(zeus(method, path, {}), 403, "Forbidden")
    assert refused(kratos.get("/loopboxes", container="x"), 400, "Bad request")
    assert kratos.delete(path).json == {"message": "Ok"}
    assert refused(kratos.get(path), 403, "Forbidden")


@pytest.mark.parametrize("bad", ["/a", "a/", "..", "a/../b", "./a", "a/./b", "a//b", ".", "a/.", "a./b", "etc",
                                 "logs", "run", "tmp", "vassals", "vassals/x", "etc/x", ""])
def test_paths_of_loopboxes_stay_in_the_home(kratos, container, bad):
    for key in ["filename", "mountpoint"]:
        new = {"container": container, "filename": "f", "mountpoint": "m", key: bad}
        assert refused(kratos.post("/loopboxes", new), 400, "Bad request", key + ":")


def test_a_path_may_end_in_a_dot(kratos, container):
    new = {"container": container, "filename": "foo.", "mountpoint": "b/r."}
    assert kratos.post("/loopboxes", new).status == 201


# ------------------------------------------------------------------ alarms

def test_an_alarm_is_raised_read_and_deleted(kratos, zeus, container):
    reply = kratos.post(f"/alarms/raise/{container}", "höt ☕", color="#FF0000", vassal="v",
                        line=7, func="f", filename="a.py", level=3, unix=1000, **{"class": "c"})
    assert reply.status == 201
    path = f"/alarms/{reply.json['id']}"
    assert kratos.get(path).json == {
        "id": reply.json["id"], "container": container, "level": 3, "color": "#ff0000",
        "class": "c", "vassal": "v", "line": 7, "filename": "a.py", "func": "f", "unix": 1000,
        "msg": "höt ☕"}
    for method in ["GET", "DELETE"]:
        assert refused(zeus(method, path), 403, "Forbidden")
    assert kratos.delete(path).status == 200
    assert refused(kratos.get(path), 403, "Forbidden")


@pytest.mark.parametrize("query, status", [
    ({"level": 0}, 403), ({"level": 5}, 400), ({"level": "x"}, 400), ({"color": "red"}, 400),
    ({"line": "x"}, 400), ({"unix": "x"}, 400), ({"unix": 10**15}, 400),
    ({"vassal": "x" * 256}, 400), ({}, 201), ({"color": "00ff00"}, 201)])
def test_what_an_alarm_may_say(kratos, container, query, status):
    assert kratos.post(f"/alarms/trigger/{container}", "x", **query).status == status
    assert kratos.post(f"/alarms/raise/{container}", b"\xff", **query).status in (400, 403)


def test_the_alarm_key_raises_without_a_login(api, kratos, container):
    key = kratos.get(f"/alarm_key/{container}").json["alarm_key"]
    raised = f"/alarms/raise/{container}?key="
    assert api.request("POST", raised + key, "x").status == 201
    renewed = kratos.post(f"/alarm_key/{container}").json
    assert renewed["message"] == "Ok" and renewed["alarm_key"] != key
    assert api.request("POST", raised + key, "x").status == 403
    assert api.request("POST", raised + renewed["alarm_key"], "x").status == 201
    assert api.request("POST", raised, "x").status == 403
    assert api.request("POST", f"/alarms/raise/{container}", "x").status == 401


def test_alarms_are_filtered_ranged_and_bounded(api, kratos):
    uid = api.container(kratos, kratos.server)
    for number in range(103):
        reply = kratos.post(f"/alarms/raise/{uid}", str(number), unix=1000 + number,
                            vassal=f"v{number % 2}", level=1 + number % 2)
        assert reply.status == 201

    def messages(**query):
        return [int(each["msg"]) for each in
                kratos.get("/alarms/", container=uid, **query).json]
    assert messages() == list(range(102, 2, -1))
    assert messages(range="3") == [102, 101, 100]
    assert messages(range="1-3") == [101, 100]
    assert messages(range="3-1") == [100, 101]
    assert messages(range="0") == [] and messages(range="200-300") == []
    assert set(number % 2 for number in messages(vassal="v1")) == {1}
    assert set(number % 2 for number in messages(level=2)) == {1}
    assert messages(func="none") == []
    total = kratos.get("/alarms", container=uid, with_total=1, range="2").json
    assert total["total"] == 100 and len(total["alarms"]) == 2
    # Page by page, and to the end.
    pages, after = [], {}
    while page := kratos.get("/alarms", container=uid, limit=30, **after).json:
        assert len(page) <= 30
        pages += [int(each["msg"]) for each in page]
        after = {"after": page[-1]["id"]}
    assert pages == list(range(102, 2, -1))
    for bad in [{"limit": 0}, {"limit": 10_001}, {"after": "x"}]:
        assert refused(kratos.get("/alarms", **bad), 400, "Bad request")
    for bad in ["x", "1-x", "-1", "", "1-2-3", "99999999999"]:
        assert kratos.get("/alarms", range=bad).status == 416
    assert refused(kratos.get("/alarms", level="x"), 400, "Bad request")


def test_alarms_since_one_come_in_the_order_in_which_they_were_raised(api, kratos, zeus):
    uid = api.container(kratos, kratos.server)
    other = api.container(kratos, kratos.server)
    ids = [kratos.post(f"/alarms/raise/{uid}", "x", unix=9000 + i).json["id"] for i in range(4)]
    kratos.post(f"/alarms/raise/{other}", "x")
    theirs = api.container(zeus, zeus.server)
    zeus.post(f"/alarms/raise/{theirs}", "x")

    def since(number, **query):
        return [each["id"] for each in
                kratos.get("/alarms", container=uid, since=number, **query).json]
    assert since(ids[0]) == ids[1:] and since(ids[3]) == []
    assert since(ids[0], limit=2) == ids[1:3]
    kratos.delete(f"/alarms/{ids[1]}")
    assert since(ids[1]) == ids[2:]
    for bad in [{"since": "x"}, {"since": "-1"}, {"since": 1, "after": 1},
                {"since": 1, "range": 1}]:
        assert refused(kratos.get("/alarms", **bad), 400, "Bad request")


def test_pages_of_alarms_go_on_after_one_that_is_gone(api, kratos, zeus):
    uid = api.container(kratos, kratos.server)
    ids = [kratos.post(f"/alarms/raise/{uid}", "x").json["id"] for _ in range(5)]

    def page(after):
        return [each["id"] for each in
                kratos.get("/alarms", container=uid, limit=2, after=after).json]
    kratos.delete(f"/alarms/{ids[3]}")
    assert page(ids[3]) == [ids[2], ids[1]]
    # Another customer's is as one that is gone.
    theirs = api.container(zeus, zeus.server)
    assert page(zeus.post(f"/alarms/raise/{theirs}", "x").json["id"]) == [ids[4], ids[2]]


# ----------------------------------------------------------------- domains

def test_domains_are_listed_changed_and_deleted(api, kratos, zeus):
    made = api.domain(kratos)
    path = f"/domains/{made['id']}"
    full = {"id": made["id"], "name": made["name"], "uuid": made["uuid"], "tags": [],
            "note": ""}
    assert kratos.get(path).json == full
    listed = {key: value for key, value in full.items() if key != "note"}
    assert listed in kratos.get("/domains").json
    assert kratos.post(path, {"note": "n"}).json["note"] == "n"
    assert kratos.get(path + "/containers").json == []
    for method, body in [("GET", None), ("POST", {}), ("DELETE", None)]:
        assert refused(zeus(method, path, body), 404, "Not found")
    assert refused(zeus.delete("/domains", {"name": made["name"]}), 404, "Not found")
    assert kratos.delete("/domains", {"name": made["name"]}).json == {"message": "Ok"}
    assert refused(kratos.delete("/domains", {"name": made["name"]}), 404, "Not found")
    other = api.domain(kratos)
    assert kratos.delete(f"/domains/{other['id']}").status == 200


@pytest.mark.parametrize("name", ["", "com", "a b.com", "a..com", "-a.com", "A.example.com",
                                  "münchen.example.com", "1.2.3.4/", "a.com/", "x" * 300,
                                  "a_b.example.com", "*.example.com", "a\nb.com"])
def test_what_is_no_domain_is_400(kratos, name):
    assert refused(kratos.post("/domains", {"name": name}), 400, "Bad request", "name:")


def test_a_public_suffix_is_nobodys(kratos):
    for name in ["co.uk", ".co.uk", "github.io"]:
        assert refused(kratos.post("/domains", {"name": name}), 403, "Forbidden", "suffix")


# ----------------------------------------------------- ports, metrics, news

def test_portmappings(api, kratos, zeus):
    server = api.server(kratos)
    uid = api.container(kratos, server)
    path = f"/portmappings/{server['address']}"
    new = {"proto": "tcp", "public_port": 8000, "private_port": 8080, "container": uid}
    reply = kratos.post(path, new)
    assert reply.status == 201
    listed = kratos.get(path).json
    assert len(listed) == 1 and new.items() <= listed[0].items()
    assert listed[0]["container_ip"].startswith("10.0.")
    assert refused(kratos.post(path, new), 409, "Conflict")
    assert kratos.post(path, {**new, "proto": "udp"}).status == 201
    for bad in [{"public_port": 1023}, {"public_port": 1999}, {"public_port": 3022},
                {"public_port": 3026}, {"public_port": 65_536}, {"proto": "icmp"},
                {"private_port": 80}, {"container": "x"}]:
        assert refused(kratos.post(path, {**new, **bad}), 400, "Bad request")
    elsewhere = api.container(kratos, kratos.server)
    assert refused(kratos.post(path, {**new, "public_port": 1, "container": elsewhere}), 400,
                   "Bad request")
    assert refused(kratos.post(path, {**new, "public_port": 9000, "container": elsewhere}),
                   403, "Forbidden")
    for method in ["GET", "POST", "DELETE"]:
        assert refused(zeus(method, path, new), 403, "Forbidden")
    assert kratos.delete(path, {"proto": "tcp", "public_port": 8000}).status == 200
    assert refused(kratos.delete(path, {"proto": "tcp", "public_port": 8000}), 404,
                   "Not found")


def test_metrics_of_a_day(api, kratos, zeus, container):
    domain = api.domain(kratos)

    def push(name, body):
        return api.as_server(kratos.server, "POST", f"/metrics/{name}/{container}", body)

    def today():
        now = int(time.time())
        hits = {"unix": now, "value": 3, "domain": domain["name"]}
        for name, body in [("container.cpu", {"unix": now, "value": 7}),
                           ("container.cpu", {"unix": now, "value": 2**62}),
                           ("domain.hits", hits)]:
            assert push(name, body).status == 201
        reply = kratos.get(f"/metrics/container.cpu/{container}")
        assert reply.json == [[now, 2**62]]
        assert "max-age=300" in reply.headers["cache-control"]
        assert kratos.get(f"/metrics/domain.hits/{domain['id']}").json == [
            {"container": container, "metrics": [[now, 3]]}]
        served = kratos.get(f"/containers/{container}/domains").json
        assert [each["name"] for each in served] == [domain["name"]]
        assert kratos.get(f"/domains/{domain['id']}/containers").json == [container]
    api_stage.on_one_day(today)
    now = int(time.time())
    assert refused(push("domain.hits", {"unix": now, "value": 3}), 400, "Bad request", "domain")
    assert refused(push("domain.hits", {"unix": now, "value": 3, "domain": "x.example"}), 403,
                   "Forbidden")
    assert refused(push("container.none", {"unix": now, "value": 3}), 404, "Not found")
    assert refused(push("container.cpu", {"unix": now + 10**6, "value": 3}), 400, "Bad request")
    past = kratos.get(f"/metrics/container.cpu/{container}", year=2020, month=2, day=29)
    assert past.json == [] and "max-age=86400" in past.headers["cache-control"]
    for bad in [{"month": 13}, {"year": 2021, "month": 2, "day": 29}, {"day": "x"}]:
        assert refused(kratos.get(f"/metrics/container.cpu/{container}", **bad), 400,
                       "Bad request")
    assert refused(kratos.get(f"/metrics/container.none/{container}"), 404, "Not found")
    assert refused(zeus.get(f"/metrics/domain.hits/{domain['id']}"), 404, "Not found")


def test_news(api, kratos):
    secret, public = unique("secret"), unique("public")
    api.made("news", content=secret)
    api.made("news", content=public, public=True)
    contents = [each["content"] for each in kratos.get("/news").json]
    assert secret in contents and public in contents and len(contents) <= 10
    contents = [each["content"] for each in api.request("GET", "/news").json]
    assert public in contents and secret not in contents


# ------------------------------------------- pages, etags, idempotency keys

def test_lists_come_in_pages(kratos):
    for _ in range(5):
        kratos.post("/tags", {"name": unique("tag")})
    whole = kratos.get("/tags").json
    pages, after = [], 0
    while page := kratos.get("/tags", limit=2, after=after).json:
        assert len(page) <= 2
        pages += page
        after = page[-1]["id"]
    assert pages == whole
    for bad in [{"limit": 0}, {"limit": "x"}, {"after": "x"}, {"limit": -1}, {"limit": 10**9}]:
        assert refused(kratos.get("/tags", **bad), 400, "Bad request", "limit")


def test_pages_go_on_after_one_that_is_gone(kratos):
    ids = [kratos.post("/tags", {"name": unique("tag")}).json["id"] for _ in range(3)]
    kratos.delete(f"/tags/{ids[0]}")
    assert [each["id"] for each in kratos.get("/tags", after=ids[0]).json] == ids[1:]


def test_answers_are_whole_whatever_is_asked_of_their_form(kratos):
    plain = kratos.get("/me")
    for headers in [{"Range": "bytes=0-3"}, {"Accept-Encoding": "br, gzip, deflate"}]:
        reply = kratos("GET", "/me", headers=headers)
        assert reply.status == 200 and reply.data == plain.data
        assert "content-encoding" not in reply.headers


def test_passwords_can_be_as_long_as_one_can_log_in_with(api):
    customer = api_stage.Customer(api, unique("n").ljust(255, "x"))
    for length, status in [(768, 200), (769, 400), (1024, 400)]:
        reply = customer.post("/me", {"password": "p" * length})
        assert reply.status == status
        if status == 400:
            assert refused(reply, 400, "Bad request", "password:")
        else:
            customer.password = "p" * length
        assert customer.get("/me").status == 200


def test_an_etag_saves_the_answer(kratos):
    etag = kratos.get("/me").headers["etag"]
    reply = kratos("GET", "/me", headers={"If-None-Match": etag})
    assert reply.status == 304 and reply.data == b""
    for named in [f'"x", W/{etag}', "*"]:
        assert kratos("GET", "/me", headers={"If-None-Match": named}).status == 304
    assert kratos("GET", "/me", headers={"If-None-Match": "x" + etag}).status == 200
    kratos.post("/me", {"company": unique("company")})
    assert kratos("GET", "/me", headers={"If-None-Match": etag}).status == 200


@pytest.mark.parametrize("said", [
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"}, {"Origin": "null"}])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded; charset=x",
                                  "Multipart/Form-Data; boundary=y", None])
def test_a_page_of_another_site_changes_nothing(kratos, said, kind):
    headers = {**said, **({"Content-Type": kind} if kind else {})}
    reply = kratos("POST", "/tags", {"name": unique("tag")}, headers)
    assert refused(reply, 403, "Forbidden", "another site")
    # What a browser asks about first, or what is of no page's, goes on.
    own = [{"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
           {"Origin": f"http://127.0.0.1:{kratos.api.port}"},
           {**said, "Content-Type": "application/json"}]
    for headers in own:
        assert kratos("POST", "/tags", {"name": unique("tag")}, headers).status == 201


def test_an_alarm_of_the_future_is_refused(kratos, container):
    path = f"/alarms/raise/{container}"
    reply = kratos.post(path, "x", unix=int(time.time()) + 90_000)
    assert refused(reply, 400, "Bad request", "unix:")
    assert kratos.post(path, "x", unix=int(time.time()) + 80_000).status == 201


def test_what_is_no_request_is_told_to_other_origins_too(api):
    for method, path in [("GET", "/me%"), ("BREW", "/me"), ("GET", "/" + "x" * 2000)]:
        reply = api.request(method, path)
        assert reply.status in (400, 405) and reply.headers["access-control-allow-origin"] == "*"
        assert reply.status == 400 or "POST" in reply.headers["allow"]


def test_a_post_with_a_key_happens_once(kratos):
    headers = {"Idempotency-Key": unique("key")}
    new = {"name": unique("tag")}
    first = kratos("POST", "/tags", new, headers)
    again = kratos("POST", "/tags", new, headers)
    assert first.status == again.status == 201 and first.data == again.data
    assert again.headers["idempotency-replayed"] == "true"
    assert refused(kratos("POST", "/tags", {"name": unique("tag")}, headers), 409, "Conflict",
                   "Idempotency-Key")
    assert refused(kratos("POST", "/tags", new, headers, other="query"), 409, "Conflict",
                   "Idempotency-Key")


def test_keys_of_alarms_servers_and_the_administrator_count_once_too(api, kratos, zeus, container):
    key = {"Idempotency-Key": unique("key")}
    alarm_key = kratos.get(f"/alarm_key/{container}").json["alarm_key"]
    raised = f"/alarms/raise/{container}?key={alarm_key}"
    server = kratos.server
    as_server = {"X-Client-DN": "/CN=x", "X-Forwarded-For": server["address"],
                 "X-Forwarded-Host": api_stage.DOMAIN}
    sends = [lambda body: api.request("POST", raised, body, key),
             lambda body: api.request("POST", f"/private/alarms/{container}", body,
                                      {**as_server, **key}),
             lambda body: api_stage.request(api.admin_socket, "POST", "/admin/news",
                                            {"content": body}, key),
             lambda body: kratos("POST", f"/alarms/raise/{container}", body, key),
             lambda body: zeus("POST", "/tags", {"name": body}, key)]
    before = len(kratos.get("/alarms", container=container).json)
    for send in sends:
        word = unique("x")
        first, again = send(word), send(word)
        assert first.status == again.status == 201 and first.data == again.data
        assert "idempotency-replayed" in again.headers
        assert "idempotency-replayed" not in first.headers, "each has keys of its own"
        assert refused(send(word + "."), 409, "Conflict", "Idempotency-Key")
    # Another key of the container's lets the same in.
    headers, replies = {"Idempotency-Key": unique("key")}, []
    for _ in range(2):
        alarm_key = kratos.post(f"/alarm_key/{container}").json["alarm_key"]
        replies.append(api.request("POST", f"/alarms/raise/{container}?key={alarm_key}", "x",
                                   headers))
    assert replies[0].status == 201 and replies[0].data == replies[1].data
    assert len(kratos.get("/alarms", container=container).json) == before + 4


def test_secrets_are_sealed_at_rest(api, kratos):
    uid = api.container(kratos, kratos.server)
    words = ["plain-to-see-jid", "plain-to-see-token", "https://hooks.example/plain-to-see"]
    assert kratos.post(f"/containers/{uid}", {
        "jid_secret": words[0], "pushover_token": words[1], "pushbullet_token": words[1],
        "slack_webhook": words[2]}).status == 200
    api.made("legions", name=unique("legion"), address="10.0.0.1", key="plain-to-see-legion")
    for renew in [None, "renewed"]:
        for method in ["POST", "GET"] if renew else ["GET"]:
            words.append(kratos(method, f"/alarm_key/{uid}").json["alarm_key"])
        if renew:
            kratos.post(f"/regenerate_secret_uuid/{uid}")
        words.append(kratos.get(f"/containers/{uid}").json["secret_uuid"])
    stored = "".join(api.stored("*", table) for table in [
        "containers", "customers", "legions", "audit", "answered", "events"])
    assert str(kratos.uuid) in stored, "what is no secret is seen"
    for word in [*words, "plain-to-see", "PRIVATE KEY", kratos.password]:
        assert word not in stored


def test_answers_that_are_kept_are_sealed(api, kratos, container):
    headers = {"Idempotency-Key": unique("key")}
    first = kratos("POST", f"/containers/{container}", {"pushover_token": "plain-to-see"}, headers)
    again = kratos("POST", f"/containers/{container}", {"pushover_token": "plain-to-see"}, headers)
    assert first.data == again.data and first.json["pushover_token"] == "plain-to-see"
    assert "plain-to-see" not in api.stored("*", "answered") + api.stored("*", "containers")


def test_lengths_are_counted_in_characters(api, kratos):
    schemas = api.request("GET", "/openapi.json").json["components"]["schemas"]
    most = schemas["NewTag"]["properties"]["name"]["maxLength"]
    assert kratos.post("/tags", {"name": "é" * most}).status == 201
    assert refused(kratos.post("/tags", {"name": "é" * (most + 1)}), 400, "Bad request",
                   f"name: it must have 1 to {most} characters")
    uid = api.container(kratos, kratos.server)
    most = schemas["Container"]["properties"]["ssh_keys"]["items"]["maxLength"]
    assert kratos.post(f"/containers/{uid}", {"ssh_keys": ["x" * most]}).status == 200
    assert refused(kratos.post(f"/containers/{uid}", {"ssh_keys": ["x" * (most + 1)]}), 400,
                   "Bad request", f"1 to {most} characters")


def test_a_name_and_a_password_of_the_longest_can_log_in(api):
    name = unique("n")
    customer = api_stage.Customer(api, name + "é" * ((255 - len(name)) // 2), "é" * 384)
    assert customer.get("/me").status == 200
    for change in [{"password": "é" * 385}, {"username": "é" * 128}]:
        new = {"username": unique("n"), "password": "p", **change}
        assert refused(api.admin("POST", "/admin/customers", new), 400, "Bad request", "768 bytes"
                       if "password" in change else "255 bytes")


def test_texts_on_disk_and_in_indexes_are_bounded_in_bytes(api, kratos, container):
    for key, most in [("filename", 64), ("mountpoint", 255)]:
        new = {"container": container, "filename": unique("f"), "mountpoint": unique("m")}
        bad = {**new, key: "é" * (most // 2 + 1)}
        assert refused(kratos.post("/loopboxes", bad), 400, "Bad request", f"{most} bytes")
        assert kratos.post("/loopboxes", {**new, key: "é" * (most // 2)}).status == 201
    long = "".join(chr(0x20000 + number) for number in range(257))
    reply = api.admin("POST", "/admin/distros", {"name": unique("d"), "path": long})
    assert refused(reply, 400, "Bad request", "1024 bytes")
    server = kratos.server
    for name, status in [(long, 400), (long[1:], 201)]:
        assert api.as_server(server, "POST", "/serverfilemetadata", {
            "filename": name, "metadata": ""}).status == status


def test_too_many_names_of_tags_are_told(kratos):
    names = ",".join(f"t{number}" for number in range(65))
    for path in ["/containers", "/domains", "/loopboxes"]:
        assert refused(kratos.get(path, tags=names), 400, "Bad request", "tags:")
        assert kratos.get(path, tags=names[4:]).status == 200


def test_the_openapi_document_and_the_page(api):
    document = api.request("GET", "/openapi.json").json
    assert document["openapi"] == "3.1.0"
    container = document["components"]["schemas"]["Container"]["properties"]
    assert container["alarm_freq"]["minimum"] == 60
    assert not any("admin" in path for path in document["paths"])
    for path in ["/", "", "/openapi.json", "/openapi.json/"]:
        head = api.request("HEAD", path)
        assert head.status == 200 and head.data == b"" and int(head.headers["content-length"])
        assert api.request("OPTIONS", path).status == 204
        assert api.request("GET", path).status == 200
    assert jsonschema.Draft202012Validator.check_schema(document["components"]["schemas"][
        "ShownContainer"]) is None
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            done = [status for status in operation["responses"] if status != "default"]
            assert len(done) == 1 and operation["responses"][done[0]]["content"], (method, path)
            named = [each["name"] for each in operation["parameters"]]
            assert ("Idempotency-Key" in named) == (method == "post"), (method, path)
            assert method != "get" or {"If-None-Match", "Last-Event-ID"} & set(named), path
    page = api.request("GET", "/")
    assert page.status == 200 and "text/html" in page.headers["content-type"]
    assert "/api/containers/{uid}" in page.text
