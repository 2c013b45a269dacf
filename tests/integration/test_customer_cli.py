"""fealty for customers and for the operator, against the real API: what is typed, what comes
out on pipes and on a terminal, and what it ends with."""
import contextlib
import http.server
import json
import os
import queue
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

import api_stage
import command_line
import harness
import name_servers
import tls
from api_stage import unique

LOGIN, USAGE = 77, 2


@pytest.fixture(scope="module")
def api(api_scene):
    return api_stage.Api(api_scene)


@pytest.fixture(scope="module")
def url(api):
    return f"http://127.0.0.1:{api.port}/api"


@pytest.fixture(scope="module")
def kratos(api):
    customer = api_stage.Customer(api)
    customer.server = api.server(customer)
    return customer


@pytest.fixture
def nobody(tmp_path):
    return command_line.Home(tmp_path)


@pytest.fixture
def fealty(nobody, url, kratos):
    """The command, logged in as kratos."""
    nobody.log_in(url, kratos)
    return nobody


@pytest.fixture
def admin(nobody, api):
    def run(*words, **how):
        return nobody("admin", *words, "--admin", f"unix:{api.admin_socket}", **how)
    return run


@pytest.fixture
def container(api, kratos):
    return api.container(kratos, kratos.server)


def rows(done):
    """Tab-separated output, as cells."""
    return [line.split("\t") for line in done.out.splitlines()]


def fields(done):
    return dict(rows(done))


# ------------------------------------------------------------------- logins

def test_a_login_is_kept_for_its_owner_alone(nobody, url, kratos):
    nobody.log_in(url, kratos)
    assert stat.S_IMODE(nobody.profiles.stat().st_mode) == 0o600
    assert stat.S_IMODE(nobody.profiles.parent.stat().st_mode) == 0o700
    assert [path.name for path in nobody.profiles.parent.iterdir()] == ["profiles.json"]
    assert fields(nobody("me"))["uuid"] == kratos.uuid
    assert json.loads(nobody("me", "--json").out)["uuid"] == kratos.uuid


def test_a_wrong_password_is_not_kept(nobody, api, url):
    customer = api_stage.Customer(api)
    customer.password = "wrong"
    done = nobody("login", url, "--user", customer.username, "--password-stdin",
                  text="wrong\n", code=LOGIN)
    assert "401" in done.err and "fealty login" in done.err
    assert not nobody.profiles.exists()


def test_without_a_login_it_says_how_to_get_one(nobody):
    done = nobody("containers", code=LOGIN)
    assert "fealty login https://" in done.err and done.out == ""


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_profiles_that_others_may_read_are_refused(fealty, mode):
    fealty.profiles.chmod(mode)
    assert "chmod 600" in fealty("containers", code=1).err
    fealty.profiles.chmod(0o600)
    fealty("containers")


def test_profiles_are_chosen_by_option_and_environment(fealty, api, url, kratos):
    zeus = api_stage.Customer(api)
    fealty.log_in(url, zeus, "--profile", "zeus")
    assert fields(fealty("me"))["uuid"] == zeus.uuid
    assert fields(fealty("me", "--profile", "default"))["uuid"] == kratos.uuid
    assert fields(fealty("me", env={"FEALTY_PROFILE": "default"}))["uuid"] == kratos.uuid
    assert [row[0] for row in rows(fealty("profiles"))] == ["default", "zeus"]
    # Whoever logs out is nobody, and not another.
    fealty("logout")
    assert "--profile NAME" in fealty("me", code=LOGIN).err
    assert fields(fealty("me", "--profile", "default"))["uuid"] == kratos.uuid
    fealty("logout", code=LOGIN)
    assert "there is no profile" in fealty("logout", "--profile", "zeus", code=1).err


def test_a_password_goes_to_no_other_address_than_its_own(fealty):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        fealty("containers", "--url", other, code=LOGIN)
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_password_goes_over_plain_http_to_the_loopback_only(nobody, kratos):
    done = nobody("login", "http://192.0.2.1/api", "--user", kratos.username,
                  "--password-stdin", text="deimos\n", code=USAGE)
    assert "https://" in done.err and "--insecure" in done.err


def test_what_one_api_was_allowed_is_not_anothers(nobody, url, kratos):
    nobody.log_in(url, kratos, "--insecure")
    done = nobody("login", "http://192.0.2.1/api", "--user", kratos.username,
                  "--password-stdin", text="deimos\n", code=USAGE)
    assert "--insecure" in done.err


@pytest.mark.parametrize("url", ["https://kratos:deimos@api.example.com/api", "ftp://x/", "x y"])
def test_what_is_no_address_of_an_api_is_refused(nobody, url):
    done = nobody("login", url, "--user", "x", "--password-stdin", text="x\n", code=USAGE)
    assert "deimos" not in done.err


def test_a_password_file_logs_in_without_a_profile(nobody, url, kratos):
    secret = nobody.file("secret", kratos.password + "\n")
    who = ["--url", url, "--user", kratos.username, "--password-file", secret]
    assert fields(nobody("me", *who))["uuid"] == kratos.uuid
    secret.chmod(0o644)
    assert "chmod 600" in nobody("me", *who, code=1).err
    assert "No such file" in nobody("me", *who[:-1], "/nope", code=1).err
    assert not nobody.profiles.exists()


def test_a_password_that_is_changed_is_stored_with_its_own_login_only(nobody, api, url):
    customer = api_stage.Customer(api)
    secret = nobody.file("secret", customer.password + "\n")
    nobody("me", "password", "--url", url, "--user", customer.username, "--password-file",
           secret, "--new-password-stdin", text="deimos17\n")
    assert not nobody.profiles.exists()
    customer.password = "deimos17"
    nobody.log_in(url, customer)
    with nobody.terminal("fealty", "me", "password") as terminal:
        terminal.wait_for("New password: ")
        nobody.profiles.chmod(0o644)
        for _ in range(2):
            terminal.type("deimos18\n")
            terminal.wait_for("\n")
        terminal.wait_for("the password is changed, but not stored here: ")
        assert terminal.end() == 1
    customer.password = "deimos18"
    assert customer.get("/me").status == 200


def test_the_password_is_asked_for_without_echo(nobody, url, kratos):
    with nobody.terminal("fealty", "login", url) as terminal:
        terminal.wait_for("User: ")
        terminal.type(kratos.username + "\n")
        terminal.wait_for("Password: ")
        assert not terminal.echoes
        terminal.type(kratos.password + "\n")
        said = terminal.wait_for("logged in to ")
        assert terminal.end() == 0 and terminal.echoes
        assert kratos.password not in said + terminal.text
    assert fields(nobody("me"))["uuid"] == kratos.uuid


@pytest.mark.parametrize("key, number", [("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT)])
def test_an_interrupted_question_leaves_the_terminal_as_it_was(nobody, url, key, number):
    with nobody.terminal("fealty", "login", url, "--user", "x") as terminal:
        terminal.wait_for("Password: ")
        terminal.type("half" + key)
        assert terminal.end() == -number
        assert terminal.echoes and "half" not in terminal.text


def test_without_a_terminal_it_says_where_the_password_may_come_from(nobody, url):
    assert "--password-stdin" in nobody("login", url, "--user", "x", code=1).err


def test_a_password_is_changed_by_asking_twice(nobody, api, url):
    customer = api_stage.Customer(api)
    nobody.log_in(url, customer)
    with nobody.terminal("fealty", "me", "password") as terminal:
        terminal.wait_for("New password: ")
        terminal.type("deimos17\n")
        terminal.wait_for("again: ")
        terminal.type("deimos18\n")
        terminal.wait_for("not the same")
        assert terminal.end() == 1
    assert customer.get("/me").status == 200
    nobody("me", "password", "--new-password-stdin", text="deimos17\n")
    customer.password = "deimos17"
    assert customer.get("/me").status == 200
    # The login is of the new one.
    assert fields(nobody("me"))["uuid"] == customer.uuid


def test_me_is_changed(fealty, kratos):
    fealty("me", "set", "company=God of War S.r.l.", "email=k@example.com")
    assert fields(fealty("me"))["company"] == "God of War S.r.l."
    assert kratos.get("/me").json["email"] == "k@example.com"
    assert "one of email company vat" in fealty("me", "set", "password=x", code=USAGE).err


# --------------------------------------------------------------- containers

def test_containers_are_listed_in_three_forms(fealty, api, kratos, container):
    name = kratos.get(f"/containers/{container}").json["name"]
    row = next(row for row in rows(fealty("containers")) if row[0] == str(container))
    assert row[1] == name and len(row) == 9
    listed = json.loads(fealty("containers", "--json").out)
    assert container in [each["uid"] for each in listed]
    with fealty.terminal("fealty", "containers") as terminal:
        assert terminal.end() == 0
        head, *lines = terminal.text.splitlines()
        line = next(line for line in lines if line.startswith(str(container)))
        assert head.startswith("UID") and line.index(name) == head.index("NAME")


def test_a_container_is_shown_and_changed(fealty, api, kratos, container):
    distro = api.made("distros", name=unique("Debian "), path=unique("/d"))
    fealty("tags", "add", "blue")
    key = fealty.file("id.pub", "# mine\nssh-ed25519 AAAA kratos@sparta\n")
    fealty("container", container, "set", f"distro={distro['name']}", f"ssh-key=@{key}",
           "ssh-key=ssh-rsa BBBB", "name=www", "note=first\nsecond", "tags=blue", "memory=20",
           "jid-secret=@" + str(fealty.file("jid", "hush\n")))
    found = kratos.get(f"/containers/{container}").json
    assert found["distro"] == distro["id"] and found["memory"] == 20 and found["tags"] == ["blue"]
    assert found["ssh_keys"] == ["ssh-ed25519 AAAA kratos@sparta", "ssh-rsa BBBB"]
    assert found["note"] == "first\nsecond"
    shown = fields(fealty("container", container))
    assert shown["note"] == "first\\nsecond" and shown["distro_name"] == distro["name"]
    assert rows(fealty("containers", "--tags", "blue,none"))[0][0] == str(container)
    fealty("container", container, "set", "distro=none", "tags=", f"distro={distro['id']}",
           code=USAGE)
    fealty("container", container, "set", "distro=none", "tags=")
    found = kratos.get(f"/containers/{container}").json
    assert found["distro"] is None and found["tags"] == []
    # By its name, too.
    assert fields(fealty("container", "www"))["uid"] == str(container)
    fealty("container", "www", "set", "name=" + unique("old"))
    fealty("tags", "remove", "blue")


def test_secrets_are_not_taken_from_the_command_line(fealty, container):
    done = fealty("container", container, "set", "jid-secret=hush", code=USAGE)
    assert "jid-secret=@FILE" in done.err and "hush" not in done.err


@pytest.mark.parametrize("words, said", [
    (["memory=much"], "a number is expected"), (["nofollow=maybe"], "yes or no"),
    (["nothing=1"], "KEY is one of name note"), (["name"], "KEY=VALUE"),
    (["note=@/nonexistent"], "No such file")])
def test_what_cannot_be_sent_is_told_before_it_is(fealty, container, words, said):
    code = 1 if "file" in said else USAGE
    assert said in fealty("container", container, "set", *words, code=code).err


def test_a_container_is_created_on_ones_own_server(fealty, kratos):
    size = ["--memory", 5, "--storage", 5, "--name", unique("new")]
    uid = fealty("container", "create", "--server", kratos.server["address"], *size).out.strip()
    assert int(uid) in kratos.get("/me").json["containers"]
    assert "403" in fealty("container", "create", "--server", "192.0.2.9", *size, code=1).err
    assert "409" in fealty("container", "create", "--server", kratos.server["address"],
                           "--memory", 10**6, "--storage", 1, "--name", "x", code=1).err


def test_links_and_reboots(fealty, api, kratos, container):
    other = api.container(kratos, kratos.server)
    fealty("link", container, other)
    assert kratos.get(f"/containers/{container}").json["linked_to"] == [other]
    assert "linked already" in fealty("link", container, other, code=1).err
    fealty("unlink", container, other)
    assert kratos.get(f"/containers/{container}").json["linked_to"] == []
    fealty("reboot", container)
    assert "403" in fealty("reboot", 39999, code=1).err


# ------------------------------------------- domains, tags, boxes, distros

def test_a_domain_that_is_not_ones_own_yet_is_told_its_record(fealty, kratos):
    done = fealty("domains", "add", "other.example", code=1)
    assert f'other.example. TXT "uwsgi:{kratos.uuid}"' in done.err


def test_domains_are_called_by_name_or_id(fealty, api, kratos):
    made = api.domain(kratos)
    fealty("tags", "add", "green")
    fealty("domain", made["name"], "set", "note=mine", "tags=green")
    assert fields(fealty("domain", made["id"]))["note"] == "mine"
    assert [row[1] for row in rows(fealty("domains", "--tags", "green"))] == [made["name"]]
    fealty("domains", "remove", made["name"])
    assert "there is no domain" in fealty("domain", made["name"], code=1).err
    fealty("tags", "remove", "green")


def test_tags(fealty):
    number = fealty("tags", "add", "red", "--note", "a\tb").out.strip()
    assert [number, "red", "a\\tb"] in rows(fealty("tags"))
    assert fields(fealty("tags", "show", "red"))["note"] == "a\\tb"
    assert "409" in fealty("tags", "add", "red", code=1).err
    fealty("tags", "rename", "red", "crimson")
    assert rows(fealty("tags", "list"))[-1][1] == "crimson"
    # Only a VALUE may be a file.
    fealty("tags", "add", "file", "--note", "@/etc/passwd")
    assert fields(fealty("tags", "show", "file"))["note"] == "@/etc/passwd"
    fealty("tags", "remove", "file")
    fealty("tags", "remove", "crimson")
    assert "there is no tag" in fealty("tags", "remove", "crimson", code=1).err


def test_loopboxes(fealty, container):
    number = fealty("loopboxes", "add", container, "zeus001", "zeus", "--ro").out.strip()
    fealty("tags", "add", "box")
    fealty("loopboxes", "set", number, "tags=box")
    assert fields(fealty("loopboxes", "show", number))["mountpoint"] == "zeus"
    assert rows(fealty("loopboxes", "--container", container)) == [
        [number, str(container), "zeus001", "zeus", "yes", "box"]]
    assert "400" in fealty("loopboxes", "add", container, "../x", "y", code=1).err
    fealty("loopboxes", "remove", number)
    assert fealty("loopboxes", "--container", container).out == ""
    fealty("tags", "remove", "box")


def test_portmappings(fealty, kratos, container):
    address = kratos.server["address"]
    number = fealty("portmappings", "add", address, "tcp", 2022, container, 2222).out.strip()
    listed = rows(fealty("portmappings", "list", address))
    assert [number, "tcp", "2022", str(container)] in [row[:4] for row in listed]
    assert "409" in fealty("portmappings", "add", address, "tcp", 2022, container, 2223,
                           code=1).err
    fealty("portmappings", "remove", address, "tcp", 2022)
    assert fealty("portmappings", "list", address).out == ""
    assert "403" in fealty("portmappings", "list", "192.0.2.9", code=1).err


def test_what_a_container_served_and_who_served_a_domain(fealty, api, kratos, container):
    domain = api.domain(kratos)

    def today():
        answer = api.as_server(kratos.server, "POST", f"/metrics/domain.hits/{container}",
                               {"unix": int(time.time()), "value": 1, "domain": domain["name"]})
        assert answer.status == 201, answer
        assert rows(fealty("domain", domain["name"], "containers")) == [[str(container)]]
        served = rows(fealty("container", container, "domains"))
        assert [row[1] for row in served] == [domain["name"]]
    api_stage.on_one_day(today)


def test_another_secret_uuid(fealty, container):
    first, second = (json.loads(fealty("secret-uuid", container, "--json").out)["secret_uuid"]
                     for _ in range(2))
    assert first != second


def test_distros_and_custom_distros(fealty, api, kratos, container):
    distro = api.made("distros", name=unique("Ubuntu "), path=unique("/d"))
    assert [str(distro["id"]), distro["name"]] in rows(fealty("distros"))
    storage = api.container(kratos, kratos.server)
    assert "403" in fealty("custom-distros", "add", storage, "mine", "mine-1", code=1).err
    fealty("container", storage, "set", "custom-distros-storage=yes")
    number = fealty("custom-distros", "add", storage, "mine", "mine-1", "--note", "n").out.strip()
    usable = rows(fealty("custom-distros", "--usable-by", container))
    assert usable == [[number, "mine", str(storage)]]
    fealty("container", container, "set", "custom-distro=mine")
    assert kratos.get(f"/containers/{container}").json["custom_distro"] == int(number)
    fealty("container", container, "set", "custom-distro=none")
    assert fields(fealty("custom-distros", "show", "mine"))["path"] == "mine-1"
    fealty("custom-distros", "set", "mine", "path=mine-2")
    fealty("custom-distros", "remove", "mine")
    assert fealty("custom-distros").out == ""


# ------------------------------------------------------------------- alarms

def test_alarms_are_raised_filtered_and_removed(fealty, container):
    number = fealty("alarm", "raise", container, "out of luck", "--class", "web").out.strip()
    fealty("alarm", "raise", container, "--level", 2, text="from stdin")
    listed = rows(fealty("alarms", "--container", container))
    assert [row[-1] for row in listed] == ["from stdin", "out of luck"]
    assert [row[0] for row in rows(fealty("alarms", "--class", "web"))] == [number]
    assert fields(fealty("alarm", "show", number))["class"] == "web"
    fealty("alarm", "remove", number)
    assert len(rows(fealty("alarms", "--container", container))) == 1
    assert "416" in fealty("alarms", "--range", "x", code=1).err


def test_alarms_cannot_move_the_cursor(fealty, container):
    fealty("alarm", "raise", container, "evil \x1b[2J\u202e\u009b1m ünïcödé\tx")
    shown = "evil \\x1b[2J\\u{202e}\\u{9b}1m ünïcödé\\tx"
    assert rows(fealty("alarms", "--container", container))[0][-1] == shown
    for words in (["alarms"], ["alarms", "--json"]):
        with fealty.terminal("fealty", *words, "--container", container) as terminal:
            assert terminal.end() == 0
            assert not set("\x1b\u202e\u009b") & set(terminal.text)
    said = json.loads(fealty("alarms", "--json", "--container", container).out)[0]["msg"]
    assert said == "evil \x1b[2J\u202e\u009b1m ünïcödé\tx"


def test_a_number_that_is_a_name_too_is_refused(fealty, kratos):
    first = kratos.post("/tags", {"name": "first-of-two"}).json["id"]
    second = kratos.post("/tags", {"name": str(first)}).json["id"]
    assert "more than one" in fealty("tags", "remove", first, code=1).err
    fealty("tags", "remove", second)
    fealty("tags", "remove", first)
    assert "404" in fealty("tags", "remove", first, code=1).err
    # A number is no name, whatever is called by it.
    number = kratos.post("/tags", {"name": "777777"}).json["id"]
    assert "404" in fealty("tags", "remove", "777777", code=1).err
    fealty("tags", "remove", number)


def test_who_reads_no_more_is_told_nothing(fealty, kratos, container):
    for _ in range(3):
        assert kratos.post(f"/alarms/raise/{container}", "x" * 60_000).status == 201
    process = subprocess.Popen(["fealty", "alarms", "--json"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=fealty.env)
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 1
    with open("/dev/full", "wb") as full:
        done = subprocess.run(["fealty", "alarms"], stdout=full, stderr=subprocess.PIPE,
                              env=fealty.env, check=False, timeout=60)
    assert done.returncode == 1 and b"stdout takes nothing any more" in done.stderr


@contextlib.contextmanager
def following(fealty, *words):
    process = subprocess.Popen(["fealty", "alarms", "--follow", *map(str, words)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=fealty.env)
    # Who waits for a line that does not come gets none.
    deadline = threading.Timer(command_line.SECONDS, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def messages(process, count):
    return [process.stdout.readline().rstrip("\n").rpartition("\t")[2] for _ in range(count)]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_followed_alarms_come_once_each(fealty, kratos, container, end):
    kratos.post(f"/alarms/raise/{container}", "before")
    with following(fealty, "--container", container) as process:
        assert messages(process, 1) == ["before"]
        for i in range(150):        # more than are asked for at once, and than are kept
            assert kratos.post(f"/alarms/raise/{container}", f"n{i}").status == 201
        last = -1
        while last < 149:
            number = int(messages(process, 1)[0].removeprefix("n"))
            assert number > last
            last = number
        # Of the order in which the list has them it is the last.
        tomorrow = int(time.time()) + 80_000
        kratos.post(f"/alarms/raise/{container}?unix={tomorrow}", "of tomorrow")
        kratos.delete(f"/alarms/{kratos.get('/alarms', container=container).json[-1]['id']}")
        kratos.post(f"/alarms/raise/{container}?unix=1", "of 1970")
        assert messages(process, 2) == ["of tomorrow", "of 1970"]
        process.send_signal(end)
        assert process.wait(command_line.SECONDS) == -end


def test_the_last_ten_are_shown_before_those_that_are_followed(fealty, kratos, container):
    for i in range(12):
        kratos.post(f"/alarms/raise/{container}", f"n{i}")
    with following(fealty, "--container", container) as process:
        assert messages(process, 10) == [f"n{i}" for i in range(2, 12)]
        kratos.post(f"/alarms/raise/{container}", "new", **{"class": "x"})
        assert messages(process, 1) == ["new"]
    with following(fealty, "--container", container, "--class", "x") as process:
        assert messages(process, 1) == ["new"]


def test_followed_alarms_outlive_the_service(fealty, api, kratos, container):
    with following(fealty, "--container", container) as process:
        kratos.post(f"/alarms/raise/{container}", "before")
        assert messages(process, 1) == ["before"]
        for kill in range(2):
            api.kill()
            api.start()
            names = [f"{kill}.{i}" for i in range(50)]
            for name in names:
                assert kratos.post(f"/alarms/raise/{container}", name).status == 201
            assert messages(process, 50) == names


def test_following_ends_with_the_login(nobody, api, url):
    customer = api_stage.Customer(api)
    uid = api.container(customer, api.server(customer))
    nobody.log_in(url, customer)
    customer.post(f"/alarms/raise/{uid}", "one")
    with following(nobody) as process:
        assert messages(process, 1) == ["one"]
        assert customer.post("/me", {"password": "other"}).status == 200
        customer.password = "other"
        customer.post(f"/alarms/raise/{uid}", "two")
        assert process.wait(command_line.SECONDS) == LOGIN
        assert "fealty login" in process.stderr.read() and process.stdout.read() == ""


def test_following_ends_with_whoever_reads(fealty, kratos, container):
    with following(fealty, "--container", container, "--json") as process:
        kratos.post(f"/alarms/raise/{container}", "one")
        assert json.loads(process.stdout.readline())["msg"] == "one"
        process.stdout.close()
        harness.wait_until(
            lambda: kratos.post(f"/alarms/raise/{container}", "more").status == 201
            and process.poll() is not None, "it ends", 20)
        assert process.returncode == 1


class Announcer:
    """An API of alarms, and of streams that say what a test has them say (None: no more)."""

    def __init__(self):
        self.alarms, self.lists, self.streams = [], 0, 0
        self.says = queue.Queue()
        self.status = {"alarms": 200, "events": 200}
        stage = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path, _, query = self.path.removeprefix("/api/").partition("?")
                if stage.status[path] != 200:
                    return self.send_error(stage.status[path])
                self.send_response(200)
                return (self.list if path == "alarms" else self.stream)(query)

            def list(self, query):
                since = int(dict(api_stage.urllib.parse.parse_qsl(query)).get("since", 0))
                stage.lists += 1
                body = json.dumps([each for each in stage.alarms if each["id"] > since])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def stream(self, _):
                stage.streams += 1
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                while (piece := stage.says.get()) is not None:
                    self.wfile.write(piece.encode())

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/api"

    def raise_alarm(self):
        number = len(self.alarms) + 1
        self.alarms.append({"id": number, "unix": number, "msg": f"n{number}"})
        return f"n{number}"

    def say(self, *pieces):
        for piece in pieces:
            self.says.put(piece)

    def close(self):
        self.say(*[None] * (self.streams + 1))
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def announcer():
    with contextlib.closing(Announcer()) as found:
        yield found


@pytest.fixture
def to_announcer(nobody, announcer):
    return ["--url", announcer.url, "--user", "x", "--password-file",
            nobody.file("secret", "x\n")]


def test_alarms_are_asked_for_when_there_are_some(nobody, announcer, to_announcer):
    with following(nobody, *to_announcer) as process:
        announcer.say("retry: 100\n\n")
        harness.wait_until(lambda: announcer.lists == 3, "it follows", 20)
        announcer.say(*["event: tag\ndata: {}\n\n", ":\n\n"] * 500)
        for _ in range(2):
            name = announcer.raise_alarm()
            announcer.say("event: al", "arm\ndata: {}\n\n")
            assert messages(process, 1) == [name]
        announcer.say(None)
        harness.wait_until(lambda: announcer.streams == 2, "all of the first was read", 20)
        assert announcer.lists == 3 + 2 + 1


def test_a_stream_that_ends_is_followed_by_another_when_it_said(nobody, announcer,
                                                                to_announcer):
    with following(nobody, *to_announcer) as process:
        announcer.say(*["retry: 100\n\n", None] * 20)
        harness.wait_until(lambda: announcer.streams > 20, "streams came", 20)
        name = announcer.raise_alarm()
        announcer.say("retry: 100\n\n")
        assert messages(process, 1) == [name]


def test_a_stream_that_falls_silent_is_not_waited_for(nobody, announcer, to_announcer):
    with following(nobody, *to_announcer, "--timeout", "300ms") as process:
        announcer.say("retry: 100\n\n")
        harness.wait_until(lambda: announcer.lists >= 3, "it follows", 20)
        name = announcer.raise_alarm()
        assert messages(process, 1) == [name]


@pytest.mark.parametrize("status", [404, 503])
def test_without_a_stream_alarms_are_asked_for_now_and_then(nobody, announcer, to_announcer,
                                                            status):
    with following(nobody, *to_announcer) as process:
        announcer.say("retry: 100\n\n")
        harness.wait_until(lambda: announcer.lists >= 3, "it follows", 20)
        announcer.status["events"] = status
        announcer.say(None)
        for _ in range(2):
            name = announcer.raise_alarm()
            assert messages(process, 1) == [name]
        assert "trying on" in process.stderr.readline()


@pytest.mark.parametrize("path, status, code", [
    ("events", 401, LOGIN), ("alarms", 401, LOGIN), ("alarms", 403, 1)])
def test_following_ends_where_it_is_refused(nobody, announcer, to_announcer, path, status, code):
    with following(nobody, *to_announcer) as process:
        announcer.say("retry: 100\n\n")
        harness.wait_until(lambda: announcer.lists >= 3, "it follows", 20)
        announcer.status[path] = status
        announcer.say(None)
        assert process.wait(command_line.SECONDS) == code
        assert str(status) in process.stderr.read()


def test_the_alarm_key_raises_without_a_login(fealty, api, container):
    key = fealty("alarm-key", container).out.strip()
    raised = api.request("POST", f"/alarms/raise/{container}?key={key}", "x")
    assert raised.status == 201
    renewed = fealty("alarm-key", container, "--renew").out.strip()
    assert renewed != key and fealty("alarm-key", container).out.strip() == renewed


# --------------------------------------------------------- metrics and news

def test_metrics_as_rows_and_as_a_chart(fealty, api, kratos, container):
    now = int(time.time())
    for i in range(3):
        answer = api.as_server(kratos.server, "POST", f"/metrics/container.cpu/{container}",
                               {"unix": now - i, "value": 100 * i})
        assert answer.status == 201, answer
    day = time.strftime("%Y-%m-%d", time.gmtime(now - 2))
    listed = rows(fealty("metrics", container, "cpu", "--day", day))
    assert [str(container), str(now - 2), "200"] in listed
    with fealty.terminal("fealty", "metrics", container, "cpu", "--day", day, "--plot",
                         columns=60) as terminal:
        assert terminal.end() == 0
        lines = terminal.text.splitlines()
    assert lines[0].startswith("container.cpu, ") and "200┤" in lines[1]
    assert any("█" in line for line in lines) and lines[-1].split()[0] == "00h"
    assert max(len(line) for line in lines) <= 60
    assert "404" in fealty("metrics", container, "beer", code=1).err
    assert "no such day" in fealty("metrics", container, "cpu", "--day", "2026-02-30",
                                   code=USAGE).err
    assert fealty("metrics", container, "cpu", "--day", "2001-01-01").out == ""


def test_metrics_of_a_domain_are_found_by_its_name(fealty, api, kratos):
    domain = api.domain(kratos)
    assert json.loads(fealty("metrics", domain["name"], "hits", "--json").out) == []


def test_public_news_need_no_login(nobody, admin, url):
    number = admin("news", "add", "content=Hello\x07 all", "public=yes").out.strip()
    assert "Hello\\x07 all" in nobody("news", "--url", url).out
    admin("news", "remove", number)


# ----------------------------------------------------------- administration

def test_the_operator_fills_a_platform(nobody, admin, api, url):
    name = unique("zeus")
    secret = nobody.file("secret", "thunder\n")
    admin("customers", "add", f"username={name}", f"password=@{secret}", "company=Olympus")
    address = f"198.51.100.{int(time.time()) % 200 + 1}"
    server = unique("olympus")
    admin("servers", "add", f"name={server}", f"address={address}", "hd=sda", "memory=1000",
          "storage=1000", f"owner={name}", "ssd=yes")
    distro = admin("distros", "add", "name=Debian 12", "path=/distros/bookworm").out.strip()
    uid = admin("containers", "add", f"customer={name}", f"server={server}", "name=www",
                "memory=100", "storage=100", f"distro={distro}").out.strip()
    domain = unique("d") + ".example.org"
    admin("domains", "add", f"customer={name}", f"name={domain}")
    legion = unique("legion")
    admin("legions", "add", f"name={legion}", "address=198.51.100.250",
          f"key=@{secret}", "quorum=1", f"nodes={server}:10")
    rule = admin("rules", "add", f"container={uid}", "direction=in", "action=allow",
                 "src=10.0.0.0", "src-mask=8", "dst=10.0.0.3").out.strip()
    admin("custom-services", "add", "name=ftp", f"customer={name}", f"server={server}",
          "config=[x]")
    center = unique("center")
    admin("datacenters", "add", f"name={center}", "description=here")
    admin("floating-addresses", "add", "address=198.51.100.251", f"customer={name}",
          f"legion={legion}", f"mapped-to-server={server}")
    client = unique("client")
    admin("privileged-clients", "add", f"name={client}", "address=198.51.100.252")
    # What was filled in is there for its owner.
    nobody("login", url, "--user", name, "--password-stdin", text="thunder\n")
    assert rows(nobody("containers"))[0][:2] == [uid, "www"]
    assert rows(nobody("domains"))[0][1] == domain
    # Everything is listed, shown, changed and removed.
    assert fields(admin("customers", "show", name))["company"] == "Olympus"
    assert fields(admin("containers", "show", uid))["customer"] == name
    assert json.loads(admin("legions", "show", legion, "--json").out)["nodes"] == [
        {"server": server, "weight": 10}]
    admin("containers", "set", uid, "memory=200", "distro=none")
    assert fields(admin("servers", "show", server))["free_memory"] == "800"
    admin("servers", "set", server, "note=old", f"datacenter={center}")
    assert "409" in admin("servers", "remove", server, code=1).err
    for collection, each in [("rules", rule), ("custom-services", "ftp"),
                             ("floating-addresses", "198.51.100.251"), ("legions", legion),
                             ("privileged-clients", client), ("domains", domain),
                             ("containers", uid)]:
        admin(collection, "remove", each)
    assert domain not in admin("domains").out


def test_a_new_customers_password_is_asked_for(nobody, api, admin):
    name = unique("ares")
    assert "others can read" in admin("customers", "add", f"username={name}", "password=x",
                                      code=USAGE).err
    with nobody.terminal("fealty", "admin", "customers", "add", f"username={name}", "--admin",
                         f"unix:{api.admin_socket}") as terminal:
        for _ in range(2):
            terminal.wait_for(": ")
            terminal.type("war\n")
        terminal.wait_for("created")
        assert terminal.end() == 0 and "war" not in terminal.text
    customer = api_stage.Customer.__new__(api_stage.Customer)
    customer.api, customer.username, customer.password = api, name, "war"
    assert customer.get("/me").status == 200


def test_an_administration_that_is_away_is_told(nobody):
    done = nobody("admin", "customers", "--admin", "unix:/nonexistent/admin.sock", code=1)
    assert "admin_listen" in done.err


# ------------------------------------------------------------- when it fails

def test_an_answer_that_was_lost_is_asked_for_again_and_counts_once(nobody, api):
    customer = api_stage.Customer(api)
    proxy = command_line.LossyProxy(api.port, 0)
    try:
        nobody.log_in(f"http://127.0.0.1:{proxy.port}/api", customer)
        proxy.requests.clear()
        proxy.lost = 2
        number = nobody("tags", "add", "once").out.strip()
        assert [row[0] for row in rows(nobody("tags"))] == [number]
        # Three times the same request.
        assert len(set(proxy.requests[:3])) == 1 and len(proxy.requests) == 4
        assert b"Idempotency-Key: " in proxy.requests[0][0]
        # What is taken away is not taken away twice.
        proxy.requests.clear()
        proxy.lost, proxy.loses = 0, b"DELETE"
        assert "breaks off" in nobody("tags", "remove", number, code=1).err
        assert [request[0].split()[0] for request in proxy.requests] == [b"GET", b"DELETE"]
    finally:
        proxy.close()


def test_an_api_that_says_nothing_is_not_waited_for_for_ever(nobody, kratos):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = nobody("login", f"http://127.0.0.1:{listener.getsockname()[1]}/api", "--user",
                      kratos.username, "--password-stdin", "--timeout", "200ms", text="x\n",
                      code=1)
        assert "does not come in time" in done.err


def test_nobody_there_is_told(nobody, kratos):
    port = harness.free_port()
    done = nobody("login", f"http://127.0.0.1:{port}/api", "--user", kratos.username,
                  "--password-stdin", text="x\n", code=1)
    assert "nobody answers" in done.err


class Pretender:
    """Says the same to everybody."""

    def __init__(self, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())
            do_POST = do_DELETE = do_GET

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return ["--url", f"http://127.0.0.1:{self.server.server_port}/api", "--user", "x",
                "--password-file"]

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.mark.parametrize("said, words", [
    ("[" * 100_000, ["containers"]), ("[" * 50 + "]" * 50, ["containers", "--json"]),
    ("{}", ["containers"]), ("{}", ["reboot", "www"]), ("null", ["me"]), ("[]", ["me"]),
    ("{}", ["metrics", "30001", "cpu"]), ("", ["tags", "remove", "1", "--json"]),
    ("", ["alarm", "raise", "30001", "x", "--json"])])
def test_what_is_no_answer_of_the_apis_is_no_success(nobody, said, words):
    secret = nobody.file("secret", "x\n")
    with Pretender(said) as who:
        done = nobody(*words, *who, secret, code=1)
    assert "is this the API?" in done.err and done.out == ""


@pytest.mark.parametrize("said", ["[]", "{}", "null"])
def test_only_an_account_is_a_login(nobody, said):
    with Pretender(said) as who:
        nobody("login", *who[:-1], "--password-stdin", text="x\n", code=1)
    assert not nobody.profiles.exists()


def test_an_alarm_of_another_kind_breaks_nothing(nobody):
    secret = nobody.file("secret", "x\n")
    with Pretender('[{"id": 1, "unix": "x", "msg": null}, {"id": 2, "msg": "end"}, 3]') as who:
        with nobody.terminal("fealty", "alarms", "--follow", *who, secret) as terminal:
            terminal.wait_for("end")
            assert terminal.process.poll() is None


def test_a_command_that_is_misspelt_is_guessed(fealty):
    assert "mean set?" in fealty("container", 5, "sett", "name=x", code=USAGE).err
    assert "mean tags?" in fealty("tgas", code=USAGE).err


@pytest.mark.parametrize("words", [
    ["metrics", "30001", "cpu", "--plot", "--json"],
    ["tags", "nonsense"], ["container"], ["containers", "--nothing"], ["admin"],
    ["link", "30001"], ["metrics", "30001"], ["alarms", "--follow", "--range", "5"]])
def test_a_wrong_usage_ends_with_2(fealty, words):
    fealty(*words, code=USAGE)


def test_every_command_has_help(fealty):
    words = fealty("completion", "--line", "fealty ").out.split("\n")
    commands = [line.split("\t")[0] for line in words if line]
    assert len(commands) > 20
    for command in commands:
        assert "Usage: fealty " + command in fealty(command, "--help").out


# ---------------------------------------------------------------- completion

def completed(home, line):
    """What real bash makes of a line."""
    script = """
      source <(fealty completion bash)
      COMP_LINE=$1 COMP_POINT=${#1} COMP_WORDS=(fealty) COMP_CWORD=0
      _fealty
      printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", line], env=home.env,
                          cwd=home.directory, capture_output=True, text=True,
                          timeout=command_line.SECONDS, check=True)
    return [word for word in done.stdout.split("\n") if word]


def test_bash_completes_commands_options_and_objects(fealty, api, kratos, container):
    assert completed(fealty, "fealty contai") == ["containers", "container"]
    assert completed(fealty, "fealty admin priv") == ["privileged-clients"]
    assert completed(fealty, "fealty router dr") == ["drain"]
    assert "--tags" in completed(fealty, "fealty domains --t")
    assert completed(fealty, f"fealty reboot {container}") == [str(container)]
    assert completed(fealty, f"fealty container {container} set dis") == ["distro="]
    assert completed(fealty, "fealty container 30001 set nofollow=") == ["yes", "no"]
    assert completed(fealty, "fealty --log-level ") == []
    domain = api.domain(kratos)["name"]
    assert completed(fealty, f"fealty domains remove {domain[:3]}").count(domain) == 1
    assert completed(fealty, "fealty me --profile def") == ["default"]
    assert completed(fealty, "fealty subscribe --server x -- ") == []
    admin = f"fealty admin --admin unix:{api.admin_socket} customers show "
    assert kratos.username in completed(fealty, admin)


def test_completion_executes_nothing(fealty):
    fealty("tags", "add", "$(>tagged)`>tagged`")
    fealty("tags", "add", "shell")
    line = f"fealty container 30001 set tags=$(>{fealty.directory}/typed),"
    # Readline puts in what follows the last = or :.
    assert f"$(>{fealty.directory}/typed),shell" in completed(fealty, line)
    completed(fealty, "fealty tags remove ")
    assert not list(fealty.directory.glob("*ed"))
    fealty("tags", "remove", "shell")
    fealty("tags", "remove", "$(>tagged)`>tagged`")


def test_completion_asks_nobody_without_a_login(nobody):
    assert completed(nobody, "fealty reboot ") == []
    assert completed(nobody, "fealty rebo") == ["reboot"]


def test_an_interactive_bash_completes_at_a_key(fealty, container):
    with fealty.terminal("bash", "--norc", "--noprofile", "-i") as terminal:
        terminal.type("PS1='ready> '; source <(fealty completion bash)\n")
        terminal.wait_for("ready> ")
        terminal.wait_for("ready> ")
        terminal.type("fealty containers; fealty conta\t")
        terminal.wait_for("iner")
        terminal.type(f" {container} set cust\t")
        terminal.wait_for("set cust")
        terminal.wait_for("om-distro")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_its_script(nobody, shell):
    script = nobody("completion", shell).out
    assert "fealty completion --line" in script.replace('"${COMP_WORDS[0]}"', "fealty")


# ------------------------------------------------------ behind the router

def test_a_customers_way_over_https_through_the_router(scene, tmp_path):
    home = command_line.Home(tmp_path)
    files = tls.Files(scene.subdirectory("tls"))
    key, crt = files.self_signed("api", "localhost")
    router = tls.Router(scene, files)
    dns = harness.free_port(socket.SOCK_DGRAM)
    api = api_stage.Api(
        scene, dns={"servers": [f"127.0.0.52:{dns}"], "port": dns, "allow_private": True},
        subscribe={"server": f"unix:{router.subscribe}", "key": "localhost",
                   "sni_key": str(key), "sni_crt": str(crt)})
    kratos = api_stage.Customer(api, "kratos")
    uid = api.container(kratos, api.server())
    router.wait_for_nodes("localhost", 1, 20)
    url = f"https://localhost:{router.tls_port}"
    # Its certificate is of nobody that the system trusts.
    done = home("login", url, "--user", "kratos", "--password-stdin", text="deimos\n", code=1)
    assert "not trusted" in done.err and "--ca" in done.err
    home.log_in(url, kratos, "--ca", os.path.relpath(crt, home.directory))
    assert rows(home("containers"))[0][0] == str(uid)
    home("container", uid, "set", "note=over TLS")
    assert kratos.get(f"/containers/{uid}").json["note"] == "over TLS"
    # A name that the certificate is not for.
    done = home("login", f"https://127.0.0.1:{router.tls_port}", "--user", "kratos",
                "--password-stdin", "--ca", crt, "--profile", "wrong", text="deimos\n", code=1)
    assert "not for this name" in done.err
    # The record is published, and the domain is taken.
    assert "uwsgi:" + kratos.uuid in home("domains", "add", "mine.example", code=1).err
    name_servers.NameServer(scene, "127.0.0.52", dns, {"mine.example": [
        "@ NS ns", "ns A 127.0.0.52", f'@ TXT "uwsgi:{kratos.uuid}"']})
    number = home("domains", "add", "mine.example").out.strip()
    assert rows(home("domains"))[0][:2] == [number, "mine.example"]
