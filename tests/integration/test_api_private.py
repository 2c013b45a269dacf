"""The servers' side of the API, its administration, and what it tells whom."""
import time

import pytest

import api_stage
import harness
from api_stage import request, unique
from test_api import refused


@pytest.fixture(scope="module")
def runnable(api, kratos):
    """A container with a distro and a key; its uid."""
    distro = api.made("distros", name=unique("distro"), path="/distros/" + unique("d"))
    uid = api.container(kratos, kratos.server)
    reply = kratos.post(f"/containers/{uid}", {
        "distro": distro["id"], "ssh_keys": ["ssh-rsa one", "ssh-rsa two"],
        "jid_secret": "jabber", "pushover_token": "push"})
    assert reply.status == 200
    return uid


# ------------------------------------------------------------------ servers

def test_only_verified_servers_get_in(api, kratos):
    address = kratos.server["address"]
    domain = {"X-Forwarded-Host": api_stage.DOMAIN}
    subject = {"X-Client-DN": "/CN=x", **domain}
    for headers in [{}, {"X-Forwarded-For": address, **domain}, subject,
                    {**subject, "X-Forwarded-For": "192.0.99.1"},
                    {**subject, "X-Forwarded-For": "x"},
                    {**kratos.basic, "X-Forwarded-For": address}]:
        reply = api.request("GET", "/private/nodes/", headers=headers)
        assert refused(reply, 403, "Forbidden")
    assert api.as_server(kratos.server, "GET", "/nodes/").status == 200


@pytest.mark.parametrize("host", [None, "", "customer.example", "x.api.test", "api.test.x",
                                  "api.test@x", "127.0.0.1"])
def test_a_certificate_counts_for_the_apis_own_domain_alone(api, kratos, host):
    headers = {"X-Client-DN": "/CN=x", "X-Forwarded-For": kratos.server["address"]}
    if host is not None:
        headers["X-Forwarded-Host"] = host
    assert refused(api.request("GET", "/private/nodes/", headers=headers), 403, "Forbidden")
    headers["X-Forwarded-Host"] = "API.test."
    assert api.request("GET", "/private/nodes/", headers=headers).status == 200


def test_without_a_domain_there_are_no_servers(api_scene):
    api = api_stage.Api(api_scene, "sqlite", domain="")
    assert api.as_server(api.server(), "GET", "/nodes/").status == 403
    assert "`domain`" in api.process.log()


def test_a_servers_subject_counts_where_it_is_given(api):
    server = api.server()
    api.admin("POST", f"/admin/servers/{server['id']}", {"subject": "/CN=other"})
    assert api.as_server(server, "GET", "/nodes/").status == 403
    api.admin("POST", f"/admin/servers/{server['id']}", {"subject": "/CN=" + server["name"]})
    assert api.as_server(server, "GET", "/nodes/").status == 200


def test_who_is_not_trusted_speaks_for_nobody(api_scene, postgresql):
    api = api_stage.Api(api_scene, "sqlite", trusted_proxies=["192.0.2.0/24"])
    server = api.server()
    assert api.as_server(server, "GET", "/nodes/").status == 403


def test_a_unix_sockets_peers_are_trusted(api_scene):
    socket = api_scene.directory / "api.sock"
    api = api_stage.Api(api_scene, "sqlite", listen=f"unix:{socket}", trusted_proxies=[])
    server = api.server()
    reply = request(socket, "GET", "/api/private/nodes/",
                    headers={"X-Client-DN": "/CN=x", "X-Forwarded-For": server["address"],
                             "X-Forwarded-Host": api_stage.DOMAIN})
    assert reply.status == 200
    assert socket.stat().st_mode & 0o777 == 0o660
    assert api.admin_socket.stat().st_mode & 0o777 == 0o600


def test_a_server_sees_its_containers_and_no_others(api, kratos, zeus, runnable):
    listed = api.as_server(kratos.server, "GET", "/containers/").json
    found = [each for each in listed if each["uid"] == runnable]
    assert len(found) == 1 and set(found[0]) == {"uid", "mtime", "ssh_keys_mtime"}
    bare = api.container(kratos, kratos.server)
    assert bare not in [each["uid"] for each in listed]
    assert api.as_server(zeus.server, "GET", "/containers/").json == []
    for path in ["/containers/{}.ini", "/containers/{}.json", "/ssh_keys/{}"]:
        assert api.as_server(kratos.server, "GET", path.format(runnable)).status == 200
        assert api.as_server(kratos.server, "GET", path.format(bare)).status == 403
        assert refused(api.as_server(zeus.server, "GET", path.format(runnable)), 403,
                       "Forbidden")


def test_a_containers_configuration(api, kratos, zeus, runnable):
    other = api.container(zeus, zeus.server)
    kratos.post(f"/containers/{runnable}", {"link": other})
    api.made("rules", container=runnable, direction="in", action="allow", src="10.0.0.9",
             dst="10.0.0.3")
    found = api.as_server(kratos.server, "GET", f"/containers/{runnable}.json").json
    assert found["jid_secret"] == "jabber" and found["pushover_token"] == "push"
    assert found["rsa_private"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert found["rsa_public"].startswith("-----BEGIN PUBLIC KEY-----")
    assert found["links"][0]["uid"] == other
    assert found["links"][0]["gateway"] == zeus.server["address"]
    assert found["rules"][0]["src_mask"] == 32
    assert (found["custom_distro_path"], found["custom_distro_store"]) == (None, None)
    store = api.container(kratos, kratos.server)
    kratos.post(f"/containers/{store}", {"custom_distros_storage": True})
    made = kratos.post(f"/custom_distros/{store}", {"name": "own", "path": "own0001"}).json
    kratos.post(f"/containers/{runnable}", {"custom_distro": made["id"]})
    found = api.as_server(kratos.server, "GET", f"/containers/{runnable}.json").json
    assert (found["custom_distro_path"], found["custom_distro_store"]) == ("own0001", store)
    kratos.post(f"/containers/{runnable}", {"distro": found["distro"]})
    ini = api.as_server(kratos.server, "GET", f"/containers/{runnable}.ini")
    assert ini.headers["content-type"].startswith("text/plain")
    assert f"uid = {runnable}\n" in ini.text and "ssh_keys = ssh-rsa two\n" in ini.text
    keys = api.as_server(kratos.server, "GET", f"/ssh_keys/{runnable}")
    assert keys.text == "ssh-rsa one\nssh-rsa two\n"


def test_no_value_of_a_customers_begins_a_line_of_its_own(api, kratos, runnable):
    lines = ["a"] + [f"memory = 9999{number}" for number in range(9)] + ["b"]
    ends = ["\n", "\r\n", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
    note = "".join(line + end for line, end in zip(lines, ends)) + lines[-1]
    assert kratos.post(f"/containers/{runnable}", {"note": note}).status == 200
    ini = api.as_server(kratos.server, "GET", f"/containers/{runnable}.ini").text
    found = [line.partition(" = ") for line in ini.splitlines()]
    assert [value for key, _, value in found if key == "note"] == lines
    assert [value for key, _, value in found if key == "memory"] == ["10"]
    assert kratos.post(f"/containers/{runnable}", {"note": ""}).status == 200


def test_public_keys_go_with_their_domains(api, kratos, zeus, runnable):
    domain = api.domain(kratos)
    listed = api.as_server(kratos.server, "GET", "/domains/rsa/").json
    found = [each for each in listed
             if domain["name"] in [one["name"] for one in each["domains"]]]
    assert len(found) == 1 and found[0]["rsa"].startswith("-----BEGIN PUBLIC KEY-----")
    empty = api.server()
    assert api.as_server(empty, "GET", "/domains/rsa/").json == []
    assert "PRIVATE" not in api.as_server(kratos.server, "GET", "/domains/rsa/").text


def test_nodes_loopboxes_ports_and_services(api, kratos, runnable):
    first, second = api.server(), api.server()
    legion = api.made("legions", name=unique("legion"), address="10.9.9.9", key="s3cret",
                      quorum=1, nodes=[{"server": first["name"], "weight": 5},
                                       {"server": second["name"]}])
    assert legion["nodes"][0] == {"server": first["name"], "weight": 5}
    assert "s3cret" not in api.admin("GET", f"/admin/legions/{legion['id']}").text
    nodes = api.as_server(first, "GET", "/legion/nodes/").json
    assert nodes["nodes"] == [second["address"]] and nodes["unix"] > 0
    everyone = api.as_server(first, "GET", "/nodes/").json["nodes"]
    assert second["address"] in everyone and first["address"] not in everyone
    kratos.post("/loopboxes", {"container": runnable, "filename": "i", "mountpoint": "m"})
    assert {"uid": runnable, "filename": "i", "mountpoint": "m", "ro": False}.items() <= (
        api.as_server(kratos.server, "GET", "/loopboxes/").json[-1].items())
    kratos.post("/portmappings/" + kratos.server["address"],
                {"proto": "udp", "public_port": 5353, "private_port": 5353,
                 "container": runnable})
    assert api.as_server(kratos.server, "GET", "/portmappings/").json[-1]["public_port"] == 5353
    api.made("custom_services", name=unique("service"), customer=kratos.username,
             server=kratos.server["name"], config="[uwsgi]\n")
    assert api.as_server(kratos.server, "GET", "/custom_services/").json[-1]["config"] == (
        "[uwsgi]\n")
    shown = kratos.get(f"/containers/{api.container(kratos, kratos.server)}").json
    assert shown["legion_address"] == []


def server_lists(api, server):
    """A path of each list that has pages, by how it is asked for with a query."""
    api.made("privileged_clients", name=unique("client"), address="198.51.100.77")

    def privileged(path, **query):
        query = "?" + api_stage.urllib.parse.urlencode(query) if query else ""
        return api.request("GET", path + query, headers={"X-Forwarded-For": "198.51.100.77"})

    def private(path, **query):
        return api.as_server(server, "GET", path.removeprefix("/private"), **query)
    return {"/private/containers": private, "/private/loopboxes": private,
            "/private/custom_services": private, "/privileged/secret_uuids": privileged}


def test_lists_of_servers_have_pages(api, kratos, zeus):
    server = api.server(kratos)
    distro = api.made("distros", name=unique("distro"), path="/distros/" + unique("d"))
    for number in range(5):
        uid = api.container(kratos, server)
        kratos.post(f"/containers/{uid}", {"distro": distro["id"], "ssh_keys": ["ssh-rsa x"]})
        kratos.post("/loopboxes", {"container": uid, "filename": "i", "mountpoint": "m"})
        for where in (server, zeus.server):
            api.made("custom_services", name=unique("service"), customer=kratos.username,
                     server=where["name"], config=str(number))
    document = api.request("GET", "/openapi.json").json
    for path, get in server_lists(api, server).items():
        whole = get(path).json
        assert len(whole) >= 5
        # Containers go by their number, as everywhere.
        ids = [each.get("id") or each["uid"] - 30_000 for each in whole]
        assert ids == sorted(ids)
        found, after = [], 0
        while page := get(path, limit=2, after=after).json:
            assert len(page) <= 2
            found += page
            after = page[-1].get("id") or page[-1]["uid"] - 30_000
        assert found == whole
        assert get(path, after=ids[0]).json == whole[1:] and get(path, limit=1).json == whole[:1]
        for bad in [{"limit": 0}, {"limit": 10_001}, {"limit": "x"}, {"after": "x"}]:
            assert refused(get(path, **bad), 400, "Bad request")
        named = [each["name"] for each in document["paths"][path]["get"]["parameters"]]
        assert {"after", "limit"} <= set(named)


def test_lists_of_servers_are_whole_where_no_page_is_asked_for(api, kratos):
    server = api.server(kratos)
    api.sql("INSERT INTO custom_services (name, customer_id, server_id, config, mtime) "
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10002) "
            f"SELECT 'bulk' || i, {kratos.id}, {server['id']}, '', 0 FROM n")
    whole = api.as_server(server, "GET", "/custom_services").json
    page = api.as_server(server, "GET", "/custom_services", limit=10_000).json
    # They would be all that the administration sees on its first page.
    api.sql(f"DELETE FROM custom_services WHERE server_id = {server['id']}")
    assert api.admin("DELETE", f"/admin/servers/{server['id']}").status == 200
    assert len(whole) == 10_002 and page == whole[:10_000]


def test_system_alarms_and_file_metadata(api, kratos, zeus, runnable):
    reply = api.as_server(kratos.server, "POST", f"/alarms/{runnable}", "out of memory",
                          unix=5000)
    assert reply.status == 201
    alarm = kratos.get(f"/alarms/{reply.json['id']}").json
    assert alarm["level"] == 0 and alarm["unix"] == 5000
    assert alarm["msg"] == "out of memory"
    assert refused(api.as_server(zeus.server, "POST", f"/alarms/{runnable}", "x"), 403,
                   "Forbidden")
    for text in ["one", "two"]:
        assert api.as_server(kratos.server, "POST", "/serverfilemetadata/",
                             {"filename": "/etc/x", "metadata": text}).status == 201
    listed = api.as_server(kratos.server, "GET", "/serverfilemetadata/").json
    assert [(each["filename"], each["metadata"]) for each in listed] == [("/etc/x", "two")]


def test_secret_uuids_are_for_listed_addresses(api, kratos, runnable):
    path, from_there = "/privileged/secret_uuids/", {"X-Forwarded-For": "198.51.100.7"}
    assert refused(api.request("GET", path, headers=from_there), 403, "Forbidden")
    api.made("privileged_clients", name=unique("client"), address="198.51.100.7")
    listed = api.request("GET", path, headers=from_there).json
    secret = kratos.get(f"/containers/{runnable}").json["secret_uuid"]
    assert secret in [each["secret_uuid"] for each in listed]
    assert refused(api.request("GET", path, headers={"X-Forwarded-For": "198.51.100.8"}), 403,
                   "Forbidden")


# ----------------------------------------------------------- administration

COLLECTIONS = {
    "customers": lambda api, c, s: {"username": unique("u"), "password": "p"},
    "servers": lambda api, c, s: {"name": unique("s"), "address": f"2001:db8::{unique('')}",
                                  "hd": "x", "memory": 10, "storage": 10},
    "datacenters": lambda api, c, s: {"name": unique("d")},
    "distros": lambda api, c, s: {"name": unique("d"), "path": unique("/d")},
    "containers": lambda api, c, s: {"customer": c.username, "server": s["name"],
                                     "name": "n", "memory": 1, "storage": 1},
    "domains": lambda api, c, s: {"customer": c.username, "name": unique("d") + ".test"},
    "legions": lambda api, c, s: {"name": unique("l"), "address": "10.0.0.1", "key": "k"},
    "floating_addresses": lambda api, c, s: {"address": f"2001:db8:1::{unique('')}",
                                             "mapped_to_server": s["name"]},
    "news": lambda api, c, s: {"content": "x"},
    "custom_services": lambda api, c, s: {"name": unique("c"), "customer": c.username,
                                          "server": s["name"], "config": ""},
    "privileged_clients": lambda api, c, s: {"name": unique("p"),
                                             "address": f"2001:db8:2::{unique('')}"},
    "rules": lambda api, c, s: {"container": api.container(c, s), "direction": "out",
                                "action": "deny", "src": "10.0.0.1", "dst": "10.0.0.2"},
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_collection_of_the_administration(api, kratos, name):
    new = COLLECTIONS[name](api, kratos, kratos.server)
    path = f"/admin/{name}"
    made = api.admin("POST", path, new)
    assert made.status == 201, made
    one = f"{path}/{made.json['id']}"
    assert api.admin("GET", one).json == made.json
    assert made.json in api.admin("GET", path + "/").json
    assert api.admin("GET", path + f"?limit=1&after={made.json['id'] - 1}").json == [made.json]
    assert api.admin("POST", one, {}).status == 200
    for key in new:
        part = {other: value for other, value in new.items() if other != key}
        if key in ("mapped_to_server",):
            continue
        assert refused(api.admin("POST", path, part), 400, "Bad request", key)
        assert refused(api.admin("POST", path, {**new, key: [1]}), 400, "Bad request", key)
    assert refused(api.admin("PUT", path), 405, "Method not allowed")
    assert api.admin("DELETE", one).json == {"message": "Ok"}
    for method in ["GET", "POST", "DELETE"]:
        body = None if method == "GET" else {}
        assert refused(api.admin(method, one, body), 404, "Not found")


def test_what_is_unique_and_what_is_in_use(api, kratos):
    server = api.server()
    assert refused(api.admin("POST", "/admin/servers", {
        "name": server["name"], "address": "192.0.9.9", "hd": "x", "memory": 1,
        "storage": 1}), 409, "Conflict")
    api.container(kratos, server, 60, 60)
    path = f"/admin/servers/{server['id']}"
    assert refused(api.admin("POST", path, {"memory": 59}), 409, "Conflict", "memory")
    assert api.admin("POST", path, {"memory": 60}).json["free_memory"] == 0
    assert refused(api.admin("POST", "/admin/containers", {
        "customer": kratos.username, "server": server["name"], "name": "x", "memory": 1,
        "storage": 1}), 409, "Conflict", "memory")
    assert refused(api.admin("DELETE", path), 409, "Conflict")
    assert refused(api.admin("DELETE", f"/admin/customers/{kratos.id}"), 409, "Conflict")
    assert refused(api.admin("POST", "/admin/containers", {
        "customer": "nobody", "server": server["name"], "name": "x", "memory": 1,
        "storage": 1}), 400, "Bad request", "customer")


def test_a_customer_gets_a_uuid_and_can_get_another_password(api):
    customer = api_stage.Customer(api)
    assert api.admin("POST", f"/admin/customers/{customer.id}",
                     {"password": "new"}).json["uuid"] == customer.uuid
    assert customer.get("/me").status == 401
    customer.password = "new"
    assert customer.get("/me").status == 200
    assert "password" not in api.admin("GET", f"/admin/customers/{customer.id}").json


def test_every_change_is_in_the_audit_log(api, kratos):
    made = kratos.post("/tags", {"name": unique("tag")}).json
    kratos.post(f"/tags/{made['id']}", {"note": "n"})
    kratos.delete(f"/tags/{made['id']}")
    lines = api.admin("GET", f"/admin/audit?object=tag&object_id={made['id']}").json
    assert [(line["before"], line["after"]) for line in lines] == [
        (None, made), ({"note": ""}, {"note": "n"}), ({**made, "note": "n"}, None)]
    assert lines[0]["actor"] == kratos.username and lines[0]["request"] == "POST /api/tags"
    kratos.post("/me", {"password": kratos.password})
    uid = api.container(kratos, kratos.server)
    kratos.post(f"/containers/{uid}", {"jid_secret": "plain-to-see"})
    secrets = [kratos.post(f"/alarm_key/{uid}").json["alarm_key"],
               kratos.post(f"/regenerate_secret_uuid/{uid}").json["secret_uuid"]]
    legion = api.made("legions", name=unique("legion"), address="10.0.0.1", key="plain-to-see")
    api.admin("POST", f"/admin/legions/{legion['id']}", {"key": "plain-to-see-too"})
    whole = api.admin("GET", "/admin/audit").text
    assert '{"password":"***"}' in whole and '{"key":"***"}' in whole
    for secret in [kratos.password, "PRIVATE KEY", "plain-to-see", *secrets]:
        assert secret not in whole
    # What changes nothing leaves no line.
    lines = len(api.admin("GET", "/admin/audit").json)
    kratos.post(f"/containers/{uid}", {})
    assert len(api.admin("GET", "/admin/audit").json) == lines


def test_a_container_comes_to_another_customer_bare(api, kratos, zeus):
    uid = api.container(kratos, kratos.server)
    store, friend = [api.container(kratos, kratos.server) for _ in range(2)]
    kratos.post(f"/containers/{store}", {"custom_distros_storage": True})
    custom = kratos.post(f"/custom_distros/{store}", {"name": "n", "path": "p"}).json
    tag = kratos.post("/tags", {"name": unique("tag")}).json["name"]
    path = f"/containers/{uid}"
    bare = {key: value for key, value in kratos.get(path).json.items()}
    given = {"tags": [tag], "link": friend, "custom_distro": custom["id"], "note": "mine",
             "jid_secret": "s", "pushover_token": "t", "slack_webhook": "https://a.example/x",
             "ssh_keys": ["ssh-rsa mine"]}
    assert kratos.post(path, given).status == 200
    kratos.post(f"/containers/{friend}", {"link": uid})
    kratos.post("/portmappings/" + kratos.server["address"],
                {"proto": "tcp", "public_port": 7777, "private_port": 7777, "container": uid})
    kratos.post("/loopboxes", {"container": uid, "filename": "f", "mountpoint": "m"})
    kratos.post(f"/alarms/raise/{uid}", "mine")
    key = kratos.get(f"/alarm_key/{uid}").json["alarm_key"]
    moved = api.admin("POST", f"/admin/containers/{uid - 30_000}", {"customer": zeus.username})
    assert moved.status == 200
    assert kratos.get(path).status == 403
    found = zeus.get(path).json
    assert found["secret_uuid"] != bare["secret_uuid"]
    assert {**found, "secret_uuid": ""} == {**bare, "secret_uuid": ""}
    assert zeus.get("/alarms", container=uid).json == []
    assert zeus.get("/loopboxes", container=uid).json == []
    assert zeus.get(f"/alarm_key/{uid}").json["alarm_key"] != key
    assert kratos.get(f"/containers/{friend}").json["linked_to"] == []
    assert uid not in [each["container"] for each in
                       kratos.get("/portmappings/" + kratos.server["address"]).json]


def test_a_domain_comes_to_another_customer_bare(api, kratos, zeus):
    domain = api.domain(kratos)
    uid = api.container(kratos, kratos.server)
    path = f"/domains/{domain['id']}"
    tag = kratos.post("/tags", {"name": unique("secret-client")}).json["name"]
    assert kratos.post(path, {"tags": [tag], "note": "mine"}).status == 200
    assert api.as_server(kratos.server, "POST", f"/metrics/domain.hits/{uid}", {
        "unix": int(time.time()), "value": 9, "domain": domain["name"]}).status == 201
    one = f"/admin/domains/{domain['id']}"
    assert api.admin("POST", one, {"customer": kratos.username}).status == 200
    assert kratos.get(path).json["tags"] == [tag], "nothing has changed"
    assert api.admin("POST", one, {"customer": zeus.username}).status == 200
    found = zeus.get(path).json
    assert found["tags"] == [] and found["note"] == ""
    assert zeus.get(path + "/containers").json == []
    assert zeus.get(f"/metrics/domain.hits/{domain['id']}").json == []
    assert kratos.get(path).status == 404
    moved = api.admin("POST", one, {"customer": kratos.username, "note": "given"})
    assert moved.json["note"] == "given"


def test_a_server_does_not_go_with_the_services_of_customers(api, kratos):
    server = api.server()
    service = api.made("custom_services", name=unique("c"), customer=kratos.username,
                       server=server["name"], config="")
    path = f"/admin/servers/{server['id']}"
    assert refused(api.admin("DELETE", path), 409, "Conflict", "custom_services")
    assert api.admin("DELETE", f"/admin/custom_services/{service['id']}").status == 200
    assert api.admin("DELETE", path).status == 200


def test_a_customer_goes_with_his_tags_and_not_with_what_runs(api):
    customer = api_stage.Customer(api)
    server = api.server(customer)
    domain = api.domain(customer)
    uid = api.container(customer, server)
    assert customer.post("/tags", {"name": "t"}).status == 201
    path = f"/admin/customers/{customer.id}"
    for kind, one in [("servers", server["id"]), ("containers", uid - 30_000),
                      ("domains", domain["id"])]:
        assert refused(api.admin("DELETE", path), 409, "Conflict", "depend on it")
        if kind == "servers":
            assert refused(api.admin("DELETE", f"/admin/servers/{one}"), 409, "Conflict",
                           "there are containers")
            api.admin("POST", f"/admin/servers/{one}", {"owner": ""})
        else:
            assert api.admin("DELETE", f"/admin/{kind}/{one}").status == 200
    assert api.admin("DELETE", path).status == 200
    assert customer.get("/me").status == 401


@pytest.mark.parametrize("way", ["deleted", "another server", "another customer",
                                 "its distro deleted"])
def test_who_uses_a_distro_that_goes_is_rebooted_and_told(api, kratos, zeus, way):
    server = api.server(kratos)
    store, user, own = [api.container(kratos, server) for _ in range(3)]
    distro = api.made("distros", name=unique("distro"), path="/distros/" + unique("d"))
    kratos.post(f"/containers/{store}", {"custom_distros_storage": True})
    custom = kratos.post(f"/custom_distros/{store}", {"name": "n", "path": "p"}).json["id"]
    for uid, more in [(user, {"custom_distro": custom}), (own, {})]:
        assert kratos.post(f"/containers/{uid}", {
            "distro": distro["id"], "ssh_keys": ["ssh-rsa x"], **more}).status == 200

    def mtimes():
        listed = api.as_server(server, "GET", "/containers/").json
        return {each["uid"]: each["mtime"] for each in listed}
    before = mtimes()
    one = f"/admin/containers/{store - 30_000}"
    if way == "deleted":
        done = api.admin("DELETE", one)
    elif way == "its distro deleted":
        done = kratos.delete(f"/custom_distro/{custom}")
    else:
        done = api.admin("POST", one, {"customer": zeus.username} if way == "another customer"
                         else {"server": api.server(kratos)["name"]})
    assert done.status == 200, done
    after = mtimes()
    assert after[user] > before[user] and after[own] == before[own]
    assert kratos.get(f"/containers/{user}").json["custom_distro"] is None
    lines = api.admin("GET", f"/admin/audit?object=container&object_id={user - 30_000}").json
    assert (lines[-1]["before"], lines[-1]["after"]) == ({"custom_distro": custom},
                                                         {"custom_distro": None})


def test_the_audit_log_calls_an_object_the_same_whoever_changes_it(api, kratos):
    uid = api.container(kratos, kratos.server)
    kratos.post(f"/containers/{uid}", {"note": "x"})
    api.admin("POST", f"/admin/containers/{uid - 30_000}", {"memory": 11})
    api.admin("DELETE", f"/admin/containers/{uid - 30_000}")
    lines = api.admin("GET", f"/admin/audit?object=container&object_id={uid - 30_000}").json
    assert [line["request"].split()[0] for line in lines] == ["POST", "POST", "POST", "DELETE"]
    assert [line["actor"] for line in lines] == ["admin", kratos.username, "admin", "admin"]


def test_the_time_of_the_nodes_grows_with_each_change_of_them(api):
    one, two = api.server(), api.server()
    seen = []

    def changed():
        now = [api.as_server(two, "GET", path).json["unix"]
               for path in ["/nodes/", "/legion/nodes/"]]
        seen.append(now)
        return len(seen) == 1 or all(new > old for new, old in zip(now, seen[-2]))
    assert changed()
    legion = api.made("legions", name=unique("legion"), address="10.0.0.1", key="k",
                      nodes=[{"server": one["name"]}, {"server": two["name"]}])
    assert changed()
    api.admin("POST", f"/admin/legions/{legion['id']}", {"nodes": []})
    assert changed()
    api.admin("DELETE", f"/admin/legions/{legion['id']}")
    assert changed()
    third = api.server()
    assert changed()
    api.admin("DELETE", f"/admin/servers/{third['id']}")
    assert changed()
    assert api.as_server(two, "GET", "/nodes/").json["unix"] == seen[-1][0]


def test_a_rule_reboots_its_container(api, kratos, runnable):
    other = api.container(kratos, kratos.server)

    def mtime():
        return [each["mtime"] for each in api.as_server(kratos.server, "GET", "/containers/").json
                if each["uid"] == runnable][0]
    times = [mtime()]
    rule = api.made("rules", container=runnable, direction="out", action="deny",
                    src="10.0.0.1", dst="10.0.0.2")
    path = f"/admin/rules/{rule['id']}"
    for change in [{"action": "allow"}, {"container": other}, {"container": runnable}]:
        times.append(mtime())
        assert api.admin("POST", path, change).status == 200
    times.append(mtime())
    assert api.admin("POST", path, {}).status == 200
    assert mtime() == times[-1], "nothing has changed"
    assert api.admin("DELETE", path).status == 200
    times.append(mtime())
    assert times == sorted(set(times))


def test_a_key_is_not_left_beside_a_database_that_has_another(api_scene):
    api = api_stage.Api(api_scene)
    api.end()
    key = api.directory / "api.key"
    kept = key.read_text()
    key.unlink()
    with pytest.raises(AssertionError, match="not the key that this database"):
        api.start()
    assert not key.exists()
    key.write_text(kept)
    key.chmod(0o600)
    api.start()


def test_keys_of_an_unknown_server_are_not_none(api, kratos):
    assert refused(api.admin("GET", "/admin/keys?server=none"), 404, "Not found")
    assert api.admin("GET", f"/admin/keys?server={kratos.server['name']}").status == 200


def test_the_administration_answers_to_names_of_this_host_alone(api_scene):
    port = harness.free_port()
    api = api_stage.Api(api_scene, "sqlite", admin_listen=f"127.0.0.1:{port}", admin=port)
    for host, status in [("127.0.0.1", 200), (f"localhost:{port}", 200), ("[::1]:80", 200),
                         ("rebound.example", 403), ("127.0.0.1.rebound.example", 403)]:
        reply = request(port, "GET", "/admin/distros", headers={"Host": host})
        assert reply.status == status, host


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
                                    "X-Client-DN", "Origin", "Sec-Fetch-Site"])
def test_nobody_reaches_the_administration_through_a_router_or_a_browser(api, header):
    for method, body in (("GET", None), ("POST", {"name": "x", "path": "/x"})):
        assert refused(request(api.admin_socket, method, "/admin/distros", body, {header: "x"}),
                       403, "Forbidden")


def test_the_admin_listener_serves_nothing_else(api):
    assert refused(api.admin("GET", "/me"), 404, "Not found")
    assert refused(api.admin("GET", "/api/containers"), 404, "Not found")
    assert api.admin("GET", "/api/admin/customers").status == 200
    assert refused(api.request("GET", "/admin/customers"), 404, "Not found")
