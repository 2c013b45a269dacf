"""fealty subscribe and fealty router, with real applications and the real router."""
import contextlib
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

import clients
import harness
import nodes
import packets
import web_apps
import websockets

CONNECTIONS = 128
SECONDS = 60 if os.environ.get("FEALTY_SOAK") == "1" else 5
NAMES = ["one", "two", "three"]
# Node.js starts slowly where everything is slow.
READY_SECONDS = 30


def announce(scene, router, name="app", **how):
    """Node.js behind fealty subscribe, and the router knows it."""
    app = web_apps.NodeJs(scene, name, router=router, **how)
    router.wait_for_nodes(how.get("key", "app.test"), 1, READY_SECONDS)
    return app


def run(*words, env=None):
    """fealty, to its end: (exit code, stdout, stderr)."""
    done = subprocess.run([str(harness.FEALTY), *map(str, words)], capture_output=True,
                          text=True, timeout=30 * harness.SLOW, check=False,
                          env={**os.environ, **(env or {})})
    return done.returncode, done.stdout, done.stderr


def under_load(router, disturb, seconds, **how):
    """Calls disturb() again and again under load, then returns the failed requests."""
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS, path="/sleep/2",
                      seconds=20, **how) as load:
        load.wait_for_more(500)
        end = time.monotonic() + seconds * harness.SLOW
        rounds = 0
        while time.monotonic() < end or rounds < 3:
            disturb()
            load.wait_for_more(200)
            rounds += 1
        load.stop()
    return load.failures()


def restart(router, app):
    app.stop()
    router.wait_for_nodes("app.test", len(NAMES) - 1)
    app.start()
    router.wait_for_nodes("app.test", len(NAMES), READY_SECONDS)


@pytest.fixture
def three(scene, router):
    found = [web_apps.NodeJs(scene, name, router=router) for name in NAMES]
    router.wait_for_nodes("app.test", 3, READY_SECONDS)
    router.wait_answering("app.test", NAMES)
    return found


# ------------------------------------------------------------ applications

@pytest.mark.parametrize("kind", [web_apps.NodeJs, web_apps.Gunicorn])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_an_application_is_announced_while_it_runs(scene, router, kind, tcp):
    app = kind(scene, "app", tcp, router=router)
    router.wait_for_nodes("app.test", 1, READY_SECONDS)
    router.wait_answering("app.test", ["app"])
    assert [node["proto"] for node in router.nodes("app.test")] == ["http"]
    assert f"the router has taken app.test at {app.address}" in app.process.log()
    app.stop()
    assert router.nodes("app.test") == []


def test_every_field_reaches_the_router(scene, router):
    announce(scene, router, subscribe=[
        "--key", ".wild.test", "--weight", 7, "--modifier1", 5, "--modifier2", 6,
        "--backup", 2, "--algo", "lrc"])
    for key in ("app.test", ".wild.test"):
        router.wait_for_nodes(key, 1)
        (node,) = router.nodes(key)
        assert (node["weight"], node["modifier1"], node["modifier2"], node["backup"]) == (
            7, 5, 6, 2)
    router.wait_answering("any.wild.test", ["app"])


def test_several_servers_are_told(scene, router):
    second = harness.Router(scene)
    announce(scene, router, subscribe=["--server", "127.0.0.1:%d" % second.subscribe_udp[1]])
    second.wait_for_nodes("app.test", 1)
    second.wait_answering("app.test", ["app"])


def test_a_websocket_is_echoed(scene, router):
    announce(scene, router)
    router.wait_answering("app.test", ["app"])
    with router.client() as client:
        peer = websockets.WebSocket(client)
        assert (peer.status, peer.accepted) == (101, True)
        for size in (1, 126, 65536):
            text = b"x" * size
            peer.send(text)
            assert peer.receive() == (websockets.TEXT, text)


def test_nothing_is_announced_before_the_application_listens(scene, router):
    gate = scene.directory / "gate"
    address = scene.directory / "late.sock"
    process = scene.spawn("late", [
        harness.FEALTY, "subscribe", "--server", router.subscribe, "--key", "app.test",
        "--addr", address, "--", "/bin/sh", "-c",
        f"until [ -e {gate} ]; do sleep 0.05; done; "
        f"exec node {harness.APPS / 'web.js'} late {address}"])
    process.ends_by_sigterm = True
    harness.wait_until(lambda: "not announced yet" in process.log(), "it says why", 20)
    assert router.nodes("app.test") == []
    gate.touch()
    router.wait_for_nodes("app.test", 1, READY_SECONDS)


def test_a_socket_left_over_by_a_killed_one_is_no_hindrance(scene, router):
    """Node.js cannot bind where its predecessor's file still is."""
    app = announce(scene, router)
    os.kill(app.command_pid(), signal.SIGKILL)
    app.process.wait()
    assert pathlib.Path(app.address).exists()
    app.start()
    router.wait_for_nodes("app.test", 1, READY_SECONDS)
    router.wait_answering("app.test", ["app"])


def test_the_socket_gets_the_mode_that_is_asked_for(scene, router):
    app = announce(scene, router, subscribe=["--chmod-socket", "622"])
    assert pathlib.Path(app.address).stat().st_mode & 0o777 == 0o622


# ------------------------------------------------------------ the end

def test_sigterm_under_load_loses_no_request(scene, router, three):
    """POSTs, which are never sent twice: what is lost shows."""
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS, path="/sleep/20",
                      seconds=20, method="POST") as load:
        load.wait_for_more(500)
        for app in three[:2]:
            app.process.signal(signal.SIGTERM)
            load.wait_for_more(500)
            assert app.process.wait() == 128 + signal.SIGTERM
        load.wait_for_more(500)
        load.stop()
    assert load.failures() == []
    assert set(load.answered_by()) == set(NAMES)


def test_its_exit_code_is_the_commands(scene, router):
    code, _, said = run("subscribe", "--server", router.subscribe, "--key", "a.test",
                        "--addr", "127.0.0.1:1", "--", "sh", "-c", "exit 7")
    assert code == 7, said


def test_a_command_killed_is_unsubscribed_at_once(scene, router):
    app = announce(scene, router)
    os.kill(app.command_pid(), signal.SIGKILL)
    assert app.process.wait() == 128 + signal.SIGKILL
    assert router.nodes("app.test") == []


def test_two_of_three_killed_fail_no_idempotent_request(router, three):
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS, path="/sleep/2",
                      seconds=20) as load:
        load.wait_for_more(1000)
        for app in three[:2]:
            os.kill(app.command_pid(), signal.SIGKILL)
            load.wait_for_more(500)
        load.wait_for_more(1000)
        load.stop()
    assert load.failures() == []


def test_an_announcer_that_is_killed_takes_its_command_with_it(scene, router):
    app = announce(scene, router)
    pid = app.command_pid()
    app.process.signal(signal.SIGKILL)
    app.process.wait()
    harness.wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "COMMAND has ended")


def test_nobody_of_a_command_is_left_behind(scene, router):
    """A shell that does not wait for its children, the shells' way to make orphans."""
    pids = scene.directory / "pids"
    code, _, said = run("subscribe", "--server", router.subscribe, "--key", "a.test",
                        "--addr", "127.0.0.1:1", "--", "sh", "-c",
                        f"sleep 600 & echo $! > {pids}; exit 3")
    assert code == 3, said
    assert not pathlib.Path(f"/proc/{pids.read_text().strip()}").exists()


def test_a_rolling_restart_of_all_three_loses_no_request(router, three):
    turns = itertools.cycle(three)
    assert under_load(router, lambda: restart(router, next(turns)), SECONDS) == []


def test_a_second_sigterm_does_not_wait(scene, router):
    app = announce(scene, router, subscribe=["--drain", "10m"])
    app.process.signal(signal.SIGTERM)
    router.wait_for_nodes("app.test", 0)
    assert app.process.alive()
    app.process.signal(signal.SIGTERM)
    assert app.process.wait() == 128 + signal.SIGTERM


def test_other_signals_are_passed_on(scene, router):
    heard = scene.directory / "heard"
    process = scene.spawn("shell", [
        harness.FEALTY, "subscribe", "--server", router.subscribe, "--key", "a.test",
        "--addr", "127.0.0.1:1", "--", "/bin/sh", "-c",
        f"for s in HUP USR1 USR2 QUIT; do trap \"echo $s >> {heard}\" $s; done; "
        f"echo ready >> {heard}; while :; do sleep 0.02; done"])
    process.ends_by_sigterm = True

    def said():
        return heard.read_text().split() if heard.exists() else []
    harness.wait_until(lambda: said() == ["ready"], "the shell is ready")
    for name in ("HUP", "USR1", "USR2", "QUIT"):
        process.signal(getattr(signal, f"SIG{name}"))
        harness.wait_until(lambda: said()[-1:] == [name], f"it got {name}")  # noqa: B023


# ------------------------------------------------------------ without a command

def subscribe_only(scene, router, address, *options, key="app.test"):
    process = scene.spawn("announcer", [
        harness.FEALTY, "subscribe", "--server", router.subscribe, "--key", key,
        "--addr", address, "--every", "1s", *options])
    process.ends_by_sigterm = True
    return process


def test_what_runs_already_is_announced_until_sigterm(scene, router):
    node = nodes.HttpNode(scene, "node")
    process = subscribe_only(scene, router, node.address)
    router.wait_answering("app.test", ["node"])
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert router.nodes("app.test") == []


def test_an_application_that_stops_listening_is_unsubscribed(scene, router):
    node = nodes.HttpNode(scene, "node")
    subscribe_only(scene, router, node.address)
    router.wait_for_nodes("app.test", 1)
    node.close()
    router.wait_for_nodes("app.test", 0)


def test_the_check_decides(scene, router):
    healthy = threading.Event()
    seen_hosts = set()

    def behave(seen):
        if seen.target != "/health":
            seen.answer(b"node")
        elif healthy.is_set():
            seen_hosts.add(seen.header("Host"))
            seen.send(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
        else:
            seen.send(b"HTTP/1.1 503 Not Yet\r\nContent-Length: 0\r\n\r\n")
    node = nodes.HttpNode(scene, "node", behave)
    process = subscribe_only(scene, router, node.address, "--check-url", "/health")
    harness.wait_until(lambda: len(node.requests) >= 3, "it was looked at")
    assert router.nodes("app.test") == []
    for _ in range(2):
        healthy.set()
        router.wait_answering("app.test", ["node"])
        healthy.clear()
        router.wait_for_nodes("app.test", 0, 20)
    assert seen_hosts == {"app.test"}
    assert "it answers with 503" in process.log()


def test_once_to_a_udp_port_that_nobody_reads_fails(scene):
    node = nodes.HttpNode(scene, "node")
    port = harness.free_port(socket.SOCK_DGRAM)
    code, _, said = run("subscribe", "--server", f"127.0.0.1:{port}", "--key", "app.test",
                        "--addr", node.address, "--once")
    assert code == 1
    assert "nobody listens there" in said


def test_once_is_one_packet(scene, router):
    node = nodes.HttpNode(scene, "node")
    words = ("subscribe", "--server", router.subscribe, "--key", "app.test",
             "--addr", node.address, "--once")
    assert run(*words)[0] == 0
    router.wait_answering("app.test", ["node"])
    assert router.stats()["packets"]["received"] == 1
    assert run(*words, "--unsubscribe")[0] == 0
    router.wait_for_nodes("app.test", 0)


# ------------------------------------------------------------ signatures

@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA512"])
def test_signatures_of_every_kind_count(scene, digest):
    directory = scene.subdirectory("keys")
    router = harness.Router(scene, subscription={"sign_check": {
        "digest": digest, "keys": str(directory), "tolerance": "60s", "skip_uids": []}})
    for kind in packets.KEY_TYPES:
        pair = packets.KeyPair(scene.directory, kind, kind)
        key = f"{kind}.test"
        pair.install(directory, key)
        app = announce(scene, router, kind, key=key,
                       subscribe=["--sign", f"{digest}:{pair.private}"])
        router.wait_answering(key, [kind])
        app.stop()
        assert router.nodes(key) == []
    assert not any(router.stats()["packets"]["rejected"].values())


def test_a_signed_application_restarted_at_once_is_back(scene, key_pair):
    """Again and again, within the second that its signatures name."""
    directory = scene.subdirectory("keys")
    key_pair.install(directory, "app.test")
    router = harness.Router(scene, subscription={"sign_check": {
        "digest": "SHA1", "keys": str(directory), "tolerance": "60s", "skip_uids": []}})
    node = nodes.HttpNode(scene, "node")
    for _ in range(4):
        process = subscribe_only(scene, router, node.address,
                                 "--sign", f"SHA1:{key_pair.private}")
        router.wait_for_nodes("app.test", 1)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert router.nodes("app.test") == []
    assert not any(router.stats()["packets"]["rejected"].values())


def test_silence_of_the_router_is_explained(scene, key_pair):
    directory = scene.subdirectory("keys")
    router = harness.Router(scene, subscription={"sign_check": {
        "digest": "SHA1", "keys": str(directory), "tolerance": "60s", "skip_uids": []}})
    node = nodes.HttpNode(scene, "node")
    unsigned = subscribe_only(scene, router, node.address)
    signed = subscribe_only(scene, router, node.address, "--sign", f"SHA1:{key_pair.private}")
    harness.wait_until(lambda: "it wants a signature (--sign)" in unsigned.log(), "it says so")
    harness.wait_until(lambda: "it has no public key" in signed.log(), "it says so")


# ------------------------------------------------------------ routers come and go

@pytest.mark.parametrize("how", ["unix", "udp"])
def test_a_router_that_was_started_again_knows_it_soon(scene, router, how):
    server = router.subscribe if how == "unix" else f"127.0.0.1:{router.subscribe_udp[1]}"
    app = announce(scene, router, server=server)
    router.terminate()
    router.process.wait(20)
    harness.wait_until(lambda: "trying on" in app.process.log(), "it notices")
    router.start()
    harness.wait_until(router.healthy, "the router is back")
    router.wait_for_nodes("app.test", 1)
    router.wait_answering("app.test", ["app"])
    harness.wait_until(lambda: "takes announcements again" in app.process.log(), "it says so")
    assert app.process.log().count("trying on") == 1
    assert app.process.log().count("takes announcements again") == 1


def test_a_router_that_comes_later_is_waited_for(scene, router):
    router.terminate()
    router.process.wait(20)
    app = web_apps.NodeJs(scene, "app", router=router)
    harness.wait_until(lambda: "trying on" in app.process.log(), "it says so", READY_SECONDS)
    assert app.process.alive()
    router.start()
    router.wait_answering("app.test", ["app"])


# ------------------------------------------------------------ systemd

class ServiceManager:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, scene):
        self.path = str(scene.directory / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.02)
        self.heard = []
        scene.on_close(self.socket.close)

    def wait_for(self, state, seconds=READY_SECONDS):
        def there():
            with contextlib.suppress(TimeoutError):
                self.heard += self.socket.recv(4096).decode().split("\n")
            return state in self.heard
        harness.wait_until(there, f"systemd hears {state}", seconds, every=0)


def test_systemd_hears_ready_alive_and_stopping(scene, router):
    manager = ServiceManager(scene)
    seen = scene.directory / "environment"
    process = scene.spawn("service", [
        harness.FEALTY, "subscribe", "--server", router.subscribe, "--key", "app.test",
        "--addr", scene.directory / "app.sock", "--", "/bin/sh", "-c",
        f"env > {seen}; exec node {harness.APPS / 'web.js'} app {scene.directory / 'app.sock'}"],
        env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"})
    process.ends_by_sigterm = True
    manager.wait_for("READY=1")
    assert len(router.nodes("app.test")) == 1
    manager.heard.clear()
    manager.wait_for("WATCHDOG=1")
    process.signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    process.wait()
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}


def test_systemd_is_asked_for_time_while_no_router_is_there(scene, router):
    manager = ServiceManager(scene)
    router.terminate()
    router.process.wait(20)
    node = nodes.HttpNode(scene, "node")
    process = scene.spawn("service", [
        harness.FEALTY, "subscribe", "--server", router.subscribe, "--key", "app.test",
        "--addr", node.address], env={"NOTIFY_SOCKET": manager.path})
    process.ends_by_sigterm = True
    manager.wait_for("EXTEND_TIMEOUT_USEC=10000000")
    assert "READY=1" not in manager.heard
    router.start()
    manager.wait_for("READY=1")


# ------------------------------------------------------------ what goes wrong

def test_what_makes_no_sense_ends_with_2_and_says_what_to_write(router):
    def said(*words):
        code, _, text = run("subscribe", *words)
        assert code == 2, text
        return text
    fine = ("--server", router.subscribe, "--addr", "127.0.0.1:1")
    assert "punycode" in said(*fine, "--key", "bücher.example")
    assert "63 bytes" in said(*fine, "--key", "x" * 64 + ".test")
    assert "never looked up" in said("--server", router.subscribe, "--key", "a.test",
                                     "--addr", "localhost:3000")
    assert "107" in said("--server", router.subscribe, "--key", "a.test",
                         "--addr", "/" + "x" * 110)


def test_files_that_cannot_be_used_end_with_1_and_say_why(scene, router, key_pair):
    node = nodes.HttpNode(scene, "node")

    def said(*words):
        code, _, text = run("subscribe", "--server", router.subscribe, "--key", "a.test",
                            "--addr", node.address, "--once", *words)
        assert code == 1, text
        return text
    key = scene.directory / "key.pem"
    assert "No such file" in said("--sign", f"SHA1:{key}")
    key.write_bytes(key_pair.private.read_bytes())
    key.chmod(0o644)
    assert "chmod 600" in said("--sign", f"SHA1:{key}")
    key.chmod(0o600)
    subprocess.run(["openssl", "pkey", "-in", key_pair.private, "-aes128", "-passout",
                    "pass:secret", "-out", key], check=True, capture_output=True)
    assert "encrypted" in said("--sign", f"SHA1:{key}")


def make_chain(scene, extra=""):
    """A key and a self-signed certificate, with `extra` behind it."""
    key, crt = scene.directory / "site.key", scene.directory / "site.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt,
                    "-subj", "/CN=app.test"], check=True, capture_output=True)
    with open(crt, "a", encoding="ascii") as out:
        out.write(extra)
    return key, crt


def test_an_identity_may_travel_as_text(scene, router):
    key, crt = make_chain(scene)
    node = nodes.HttpNode(scene, "node")
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.bind(str(scene.directory / "inbox"))
    scene.on_close(inbox.close)
    words = ("subscribe", "--server", scene.directory / "inbox", "--key", "app.test",
             "--addr", node.address, "--once", "--sni-key", key, "--sni-crt", crt)
    assert run(*words)[0] == 0
    assert ("sni_crt", str(crt)) in packets.decode_pairs(inbox.recv(65536)[4:])
    assert run(*words, "--embed-sni")[0] == 0
    pairs = dict(packets.decode_pairs(inbox.recv(65536)[4:]))
    assert pairs["sni_key"] == key.read_text()
    assert pairs["sni_crt"] == crt.read_text()


def test_a_chain_that_fits_no_datagram_is_refused(scene, router):
    key, crt = make_chain(scene, extra="# needless\n" * 5800)
    node = nodes.HttpNode(scene, "node")
    code, _, said = run("subscribe", "--server", router.subscribe, "--key", "app.test",
                        "--addr", node.address, "--once", "--sni-key", key, "--sni-crt", crt,
                        "--sni-ca", crt, "--embed-sni")
    assert code == 1
    assert "65507" in said and "--embed-sni" in said


def test_a_command_that_is_not_there_ends_with_127(router):
    code, _, said = run("subscribe", "--server", router.subscribe, "--key", "a.test",
                        "--addr", "127.0.0.1:1", "--", "no-such-program")
    assert code == 127
    assert "no-such-program" in said


# ------------------------------------------------------------ fealty router

def ask(router, *words):
    return run("router", *words, "--admin", f"127.0.0.1:{router.admin_port}")


def test_stats_are_a_table_or_the_routers_own_words(scene, router, node):
    code, table, _ = ask(router, "stats")
    assert code == 0
    head, columns, row = table.splitlines()
    assert f"pid {router.pid}" in head
    assert columns.split()[:3] == ["KEY", "ALGO", "NODE"]
    assert row.split()[:4] == ["app.test", "wrr", node.address, "uwsgi"]
    code, text, _ = ask(router, "stats", "--json")
    assert code == 0
    assert '"app.test"' in text


def test_explain_says_who_answers_and_ends_with_1_if_nobody_does(router, node):
    code, text, _ = ask(router, "explain", "App.Test")
    assert code == 0
    assert "key: app.test\n" in text and f"+ {node.address}" in text
    code, text, _ = ask(router, "explain", "nobody.test")
    assert code == 1
    assert "answer: 404\n" in text


def test_health_is_the_exit_code(scene, router):
    assert ask(router, "health")[0] == 0
    router.terminate()
    router.process.wait(20)
    code, _, said = ask(router, "health")
    assert code == 1
    assert "--admin" in said


def test_a_node_is_drained_and_taken_back(scene, router):
    one, two = nodes.Node(scene, "one"), nodes.Node(scene, "two")
    for node in (one, two):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["one", "two"])
    code, said, _ = ask(router, "drain", "App.Test", one.address)
    assert (code, said) == (0, f"{one.address} of app.test is drained\n")
    router.wait_answering("app.test", ["two"])
    rows = ask(router, "stats", "--key", "app.test")[1].splitlines()[2:]
    assert {row.split()[2]: row.split()[-1] for row in rows} == {
        one.address: "drained", two.address: "up"}
    code, text, _ = ask(router, "explain", "app.test")
    assert code == 0
    assert f"- {one.address}" in text and f"+ {two.address}" in text
    assert ask(router, "undrain", "app.test", one.address)[0] == 0
    router.wait_answering("app.test", ["one", "two"])


def test_a_node_that_is_not_there_is_not_drained(router, node):
    code, _, said = ask(router, "drain", "app.test", "127.0.0.1:1")
    assert code == 1
    assert "404: app.test has no node 127.0.0.1:1" in said
    assert ask(router, "undrain", "nobody.test", node.address)[0] == 1


@pytest.mark.parametrize("action", ["drain", "undrain"])
def test_drain_posts_key_and_node(scene, action):
    """To an admin listener of the test's own: what is asked of a router, and what of it
    is shown."""
    def behave(seen):
        known = "known" in seen.target
        body = b"draining" if known else b"no such node"
        seen.send(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (
            b"200 OK" if known else b"404 Not Found", len(body), body))
        seen.connection.shutdown(socket.SHUT_RDWR)
    admin = nodes.HttpNode(scene, "admin", behave)
    code, said, _ = run("router", action, "known.test", "/run/x y", "--admin", admin.address)
    assert (code, said) == (0, "draining\n")
    (seen,) = admin.requests
    assert seen.line == f"POST /{action}?key=known.test&node=%2Frun%2Fx%20y HTTP/1.1"
    code, _, said = run("router", action, "other.test", "x", "--admin", admin.address)
    assert code == 1
    assert "404: no such node" in said
