"""The customer's quickstart and the custom distros page, by curl, from first to last line:
against the API behind the router, over HTTPS; and a domain's whole way, from its key in the
API to a request that a real vassal answers."""
import json
import socket
import subprocess

import pytest

import api_stage
import harness
import name_servers
import packets
import tls
import vassals
from test_api_events import events_in, make_tag, what

HOST = "api.test"


class Platform:
    """A router and, announced to it, the API; curl speaks to them as a customer does."""

    def __init__(self, scene, name_server_port=1):
        self.files = tls.Files(scene.subdirectory("tls"))
        self.ca = self.files.self_signed("ca", "ca")
        self.keys = scene.subdirectory("keys")
        # The API's own announcement is signed, too: by a key of the operator's.
        pair = packets.KeyPair(scene.subdirectory("operator"))
        pair.install(self.keys, HOST)
        key, crt = self.files.self_signed("api", HOST)
        self.router = tls.Router(scene, self.files, subscription={"sign_check": {
            "digest": "SHA1", "keys": str(self.keys), "tolerance": "60s", "skip_uids": []}})
        self.api = api_stage.Api(
            scene, "sqlite", dns={"servers": [f"127.0.0.51:{name_server_port}"],
                                  "port": name_server_port, "allow_private": True},
            subscribe={"server": f"unix:{self.router.subscribe}", "key": HOST,
                       "sign": f"SHA1:{pair.private}", "sni_key": str(key),
                       "sni_crt": str(crt), "sni_ca": str(self.ca[1])})
        self.kratos = api_stage.Customer(self.api, "kratos", "deimos")
        harness.wait_until(lambda: self.curl("/news", login=False)[0] == 200,
                           "the API answers through the router", 20)

    def command(self, path, *words, login=True, certificate=None):
        """`curl WORDS https://api.test/api…`"""
        who = ["-u", f"{self.kratos.username}:{self.kratos.password}"] if login else []
        shown = ["--cert", certificate[1], "--key", certificate[0]] if certificate else []
        port = self.router.tls_port
        return ["curl", "-s", "-k", "--resolve", f"{HOST}:{port}:127.0.0.1", "-w",
                "\n%{http_code}", *map(str, [*who, *shown, *words]),
                f"https://{HOST}:{port}/api{path}"]

    def curl(self, path, *words, **how):
        """(status, text)"""
        done = subprocess.run(self.command(path, *words, **how), capture_output=True, text=True,
                              timeout=30 * harness.SLOW, check=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    def json(self, path, *words, status=200, **how):
        found, text = self.curl(path, *words, **how)
        assert found == status, text
        assert text.endswith("\n")
        return json.loads(text)

    def sync_keys(self, *options, fails=False):
        done = subprocess.run([str(harness.FEALTY), "api", "sync-keys", str(self.keys),
                               "--admin", f"unix:{self.api.admin_socket}", *options],
                              capture_output=True, text=True, timeout=30 * harness.SLOW,
                              check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture
def platform(scene):
    return Platform(scene)


def test_the_quickstart_from_first_to_last_line(scene):
    port = harness.free_port(socket.SOCK_DGRAM)
    p = Platform(scene, port)
    api, kratos = p.api, p.kratos
    server = api.server()
    uids = [api.container(kratos, server, 500, 1000) for _ in range(2)]
    first, second = uids
    api.made("distros", name="Precise Pangolin - Ubuntu 12.04 LTS (64 bit)", path="/d/precise")
    saucy = api.made("distros", name="Saucy Salamander - Ubuntu 13.10 (64 bit)", path="/d/saucy")
    # Personal data, and a password of one's own.
    me = p.json("/me")
    assert me["containers"] == uids and me["uuid"] == kratos.uuid
    post = ["-X", "POST", "-d"]
    assert p.json("/me", *post, '{"company": "God of War 4 S.p.a."}')["company"] == (
        "God of War 4 S.p.a.")
    p.json("/me/", *post, '{"password": "deimos17"}')
    assert p.curl("/me")[0] == 401
    kratos.password = "deimos17"
    # Containers.
    assert [each["uid"] for each in p.json("/me/containers")] == uids
    one = f"/containers/{first}"
    assert p.json(one)["distro"] is None and p.json(one)["quota_threshold"] == 90
    assert p.json(one)["server_address"] == server["address"]
    assert saucy["id"] in [each["id"] for each in p.json("/distros")]
    assert p.json(one, *post, '{"distro": %d}' % saucy["id"])["distro_name"] == saucy["name"]
    p.json(one, *post, '{"ssh_keys": ["ssh-rsa ........."]}')
    keys = p.json(one, *post, '{"ssh_keys": ["ssh-rsa .........", "ssh-rsa ........."]}')
    assert len(keys["ssh_keys"]) == 2
    # Domains: the TXT record, then the domain.
    name_servers.NameServer(scene, "127.0.0.51", port, {"mine.example": [
        "@ NS ns", "ns A 127.0.0.51", f'@ TXT "uwsgi:{kratos.uuid}"']})
    made = p.json("/domains", *post, '{"name":"mine.example"}', status=201)
    p.json("/domains", *post, '{"name":"www.mine.example"}', status=201)
    p.json("/domains", *post, '{"name":"other.example"}', status=403)
    assert [each["name"] for each in p.json("/domains")] == ["mine.example", "www.mine.example"]
    assert p.json("/domains", "-X", "DELETE", "-d", '{"name":"www.mine.example"}') == {
        "message": "Ok"}
    # Links, in two steps, and a reboot.
    assert p.json(one, *post, '{"link": %d}' % second)["linked_to"] == [second]
    assert p.json(f"/containers/{second}", *post, '{"link": %d}' % first)["linked_to"] == [first]
    assert p.json(f"/containers/{second}", *post, '{"unlink": %d}' % first)["linked_to"] == []
    p.json(one, *post, '{"reboot":1}')
    # Tags.
    tag = p.json("/tags", *post, '{"name":"foobar"}', status=201)
    assert p.json("/tags")[0]["name"] == "foobar"
    assert p.json(one, *post, '{"tags":["foobar"]}')["tags"] == ["foobar"]
    assert p.json(f"/domains/{made['id']}", *post, '{"tags":["foobar"]}')["tags"] == ["foobar"]
    assert [each["uid"] for each in p.json("/me/containers?tags=foobar,zeus")] == [first]
    assert [each["name"] for each in p.json("/domains?tags=foobar")] == ["mine.example"]
    # Loopboxes.
    box = p.json("/loopboxes", *post, '{"container":%d,"filename":"zeus001","mountpoint":"zeus"}'
                 % first, status=201)
    assert p.json("/loopboxes")[0]["filename"] == "zeus001"
    path = f"/loopboxes/{box['id']}"
    assert p.json(path, *post, '{"tags":["foobar"]}')["tags"] == ["foobar"]
    assert p.json(path)["tags"] == ["foobar"]
    assert p.json(path, "-X", "DELETE") == {"message": "Ok"}
    p.json("/loopboxes", *post,
           '{"container":%d,"filename":"z","mountpoint":"z","ro":true}' % first, status=201)
    # Alarms.
    p.json(one, *post, '{"jid":"a@b","jid_secret":"s","jid_destinations":"c@d,e@f",'
           '"pushover_user":"u","pushover_token":"t","pushover_sound":"s",'
           '"pushbullet_token":"p","slack_webhook":"https://hooks.slack.com/services/x",'
           '"alarm_freq":120,"quota_threshold":80}')
    p.json(f"/alarms/raise/{first}", *post, "out of luck", status=201)
    assert p.json("/alarms/")[0]["msg"] == "out of luck"
    assert p.json(f"/tags/{tag['id']}", "-X", "DELETE") == {"message": "Ok"}
    assert p.json(one)["tags"] == []


def test_the_custom_distros_page_from_first_to_last_line(platform):
    p = platform
    server = p.api.server()
    store, uid = [p.api.container(p.kratos, server) for _ in range(2)]
    p.json(f"/containers/{store}", "-d", '{"custom_distros_storage": true}')
    assert p.json("/custom_distros/") == [] == p.json(f"/custom_distros/{uid}")
    made = p.json(f"/custom_distros/{store}", "-d",
                  '{"name": "new_distro", "path": "ubuntu0001", "note": "Hello World"}',
                  status=201)
    assert p.json(f"/custom_distros/{uid}")[0]["id"] == made["id"]
    path = f"/custom_distro/{made['id']}"
    assert p.json(path)["path"] == "ubuntu0001"
    assert p.json(path, "-d", '{"name": "new_name_for_the_distro"}')["name"] == (
        "new_name_for_the_distro")
    assert p.json(f"/containers/{uid}", "-d", '{"custom_distro": %d}' % made["id"])[
        "custom_distro_name"] == "new_name_for_the_distro"
    assert p.json(f"/containers/{uid}", "-d", '{"custom_distro": null}')["custom_distro"] is None
    assert p.json(path, "-X", "DELETE") == {"message": "Ok"}


def test_servers_come_through_the_router_with_their_certificates(platform):
    p = platform
    certificate = p.files.client("server", p.ca, "/CN=server")
    p.api.made("servers", name="here", address="127.0.0.1", hd="x", memory=10, storage=10)
    assert p.json("/private/nodes/", certificate=certificate, login=False)["nodes"] == []
    # The certificate counts for the API's own domain, and not for another's that leads to it.
    asked = {"X-Client-DN": "/CN=server", "X-Forwarded-For": "127.0.0.1"}
    for host, status in [(HOST, 200), ("customer.example", 403), ("", 403)]:
        reply = p.api.request("GET", "/private/nodes/", headers={**asked, "X-Forwarded-Host": host})
        assert reply.status == status
    for forged in [[], ["-H", "X-Client-DN: /CN=server"], ["-H", "X-Forwarded-For: 127.0.0.1"]]:
        assert p.curl("/private/nodes/", *forged, login=False) == (
            403, '{"error":"Forbidden"}\n')
    stranger = p.files.client("stranger", p.files.self_signed("other", "other"), "/CN=server")
    try:
        status, _ = p.curl("/private/nodes/", certificate=stranger, login=False)
    except subprocess.CalledProcessError:
        status = 0
    assert status != 200


def test_events_come_through_the_router_as_they_happen(scene, platform):
    p = platform
    reader = scene.spawn("reader", p.command("/events", "-N"))
    harness.wait_until(lambda: "retry: " in reader.log(), "the stream begins")
    for count in [1, 2]:
        tag = make_tag(p.kratos)
        harness.wait_until(lambda: len(events_in(reader.log())) == count, "its event has come")
        assert what(events_in(reader.log()))[-1] == tag
    assert reader.alive()
    # The API ends, and the answer does as answers do.
    p.api.end()
    assert reader.wait() == 0
    assert reader.log().endswith("\n\n\n200")


def test_a_server_follows_through_the_router(scene, platform):
    p = platform
    server = p.api.made("servers", name="here", address="127.0.0.1", hd="x", memory=99, storage=99)
    certificate = p.files.client("server", p.ca, "/CN=server")
    reader = scene.spawn("reader", p.command("/private/events", "-N", login=False,
                                             certificate=certificate))
    harness.wait_until(lambda: "retry: " in reader.log(), "the stream begins")
    uid = p.api.container(p.kratos, server)
    harness.wait_until(lambda: events_in(reader.log()), "an event has come")
    assert what(events_in(reader.log())) == [("container", uid, "created")]


def test_a_domains_way_from_its_key_to_a_request(scene, platform):
    p = platform
    server = p.api.server()
    uid = p.api.container(p.kratos, server)
    distro = p.api.made("distros", name="d", path="/d")
    p.json(f"/containers/{uid}", "-d", '{"distro": %d, "ssh_keys": ["ssh-rsa x"]}' % distro["id"])
    domain = p.api.domain(p.kratos, "app.example.com")
    # As the node agent gets it.
    found = p.api.as_server(server, "GET", f"/containers/{uid}.json").json
    private = scene.directory / "uwsgi.key"
    private.write_text(found["rsa_private"])
    private.chmod(0o600)
    assert "1 written" in p.sync_keys()
    vassals.Vassal(scene, p.router, "vassal", key=domain["name"], sign_with=private)
    p.router.wait_answering(domain["name"], ["vassal"])
    # Without the domain its key says nothing any more.
    assert p.kratos.delete("/domains", {"name": domain["name"]}).status == 200
    assert "no server 'none'" in p.sync_keys("--server", "none", fails=True)
    # It was the only key.
    assert "--force" in p.sync_keys(fails=True)
    assert "1 removed" in p.sync_keys("--force")
    p.router.reload(subscription={"tolerance": "3s"})
    p.router.wait_status(domain["name"], 404)
    # The API's own key is the operator's, and stays.
    assert (p.keys / f"{HOST}.pem").exists()


def test_the_api_leaves_the_router_before_it_ends(platform):
    platform.api.process.signal(harness.signal.SIGTERM)
    assert platform.api.process.wait() == 0
    assert platform.router.nodes(HOST) == []
