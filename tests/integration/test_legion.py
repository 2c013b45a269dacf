"""fealty-legion itself: its command line, signals, hooks, reload, admin, the sealed wire."""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import clients
import harness
from legions import LEGION, Legion, Ours


def lonely(scene, **options):
    """A member with a quorum of one, whose hooks write what happened."""
    out = scene.directory / "out"
    hooks = {event: [f"exec: echo {event} $VALOR $LORD_SCROLL >> {out}"]
             for event in ("setup", "join", "lord", "unlord", "death")}
    legion = Legion(scene, {"one": (Ours, 30), "absent": (Ours, 1)}, quorum=1,
                    **{"hooks": hooks, **options})
    legion["one"].start()
    return legion["one"], out


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_hooks_run_in_order_and_the_exit_is_clean(scene):
    one, out = lonely(scene)
    harness.wait_until(lambda: "lord 30 scroll of one" in lines(out), "the lord hook ran")
    one.process.signal(signal.SIGTERM)
    assert one.process.wait() == 0
    assert [line.split()[0] for line in lines(out)] == ["setup", "join", "lord", "unlord",
                                                        "death"]


def test_a_failing_lord_hook_makes_the_next_one_lord(scene):
    legion = Legion(scene, {"bad": (Ours, 30), "good": (Ours, 20), "arbiter": (Ours, 0)})
    legion["bad"].options = {"hooks": {"lord": ["exec: exit 1"]}, "death_on_lord_error": "60s"}
    legion.start().wait_up()
    harness.wait_until(lambda: legion["good"].lord_uuid() == legion["good"].uuid(),
                       "the good one is Lord", 25)
    stats = legion["bad"].stats()
    assert stats["suspended"] and stats["counters"]["hook_failures"] == 1


def test_a_command_that_hangs_does_not_hold_up_the_loop_or_the_end(scene):
    one, _ = lonely(scene, hooks={"lord": ["exec: sleep 600"]}, hook_timeout="1h")
    harness.wait_until(lambda: one.alive() and one.lord_uuid(), "it is Lord")
    assert one.answers()
    one.process.signal(signal.SIGTERM)
    assert one.process.wait() == 0


def test_hooks_that_do_not_end_are_left_at_the_deadline(scene):
    one, out = lonely(scene)
    harness.wait_until(one.answers, "it answers")
    one.reload(hook_timeout="500ms", hooks={
        "unlord": [f"exec: echo unlord >> {out}"] + 20 * ["exec: sleep 600"]})
    harness.wait_until(lambda: one.lord_uuid() and "reloaded" in one.process.log(), "it is Lord")
    one.process.signal(signal.SIGTERM)
    since = time.monotonic()
    assert one.process.wait() == 0
    assert time.monotonic() - since < 5 * harness.SLOW
    assert "ending without the rest" in one.process.log()
    assert lines(out)[-1] == "unlord"


def test_signals_of_other_daemons_end_nothing(scene):
    one, _ = lonely(scene)
    harness.wait_until(one.answers, "it answers")
    one.process.signal(signal.SIGUSR1)
    one.process.signal(signal.SIGUSR2)
    harness.wait_until(lambda: "takes a new binary only by a restart" in one.process.log(),
                       "it is said")
    assert one.answers()


@pytest.mark.parametrize("accept_weaker", [False, True])
def test_the_sealed_wire_elects_and_drops_the_weaker_one(scene, accept_weaker):
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20), "three": (Ours, 0)})
    for member in legion.members.values():
        member.options = {"wire": "sealed"}
        if accept_weaker:
            member.options["accept_weaker"] = True
    if not accept_weaker:
        legion.cipher = legion.iv = None
    legion.start()
    legion.wait_for("one")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
        for packet in (b"m\x10\x00\x00" + bytes(32), b"m\x05\x00\x01" + bytes(33), b"", b"m",
                       bytes(65000)):
            forger.sendto(packet, ("127.0.0.1", legion["one"].port))

    def dropped():
        return legion["one"].stats()["dropped"]
    harness.wait_until(lambda: dropped()["oversized"] == 1, "the packets were looked at")
    # Where both are accepted, members send both, and who was heard sealed is not taken twice.
    assert dropped()["weaker_wire"] > 3 if accept_weaker else dropped()["weaker_wire"] == 3
    legion["one"].kill()
    legion.wait_for("two")


def test_recorded_packets_of_a_dead_lord_do_not_delay_the_next(scene):
    """Each packet to `two` goes through a recorder, which repeats it without end."""
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20), "arbiter": (Ours, 0)})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder:
        recorder.bind(("127.0.0.1", 0))
        recorder.setblocking(False)
        tap = f"127.0.0.1:{recorder.getsockname()[1]}"
        legion.cipher = legion.iv = None
        for member in legion.members.values():
            member.options = {"wire": "sealed"}
        legion["one"].options["nodes"] = [*legion["one"].nodes(), tap]
        legion.start()
        legion.wait_for("one")
        recorded = []
        while True:
            try:
                recorded.append(recorder.recv(65536))
            except BlockingIOError:
                break
        assert recorded
        legion["one"].kill()
        died = time.monotonic()

        def repeat_until_next():
            for packet in recorded[-20:]:
                recorder.sendto(packet, ("127.0.0.1", legion["two"].port))
            return legion["two"].lord_uuid() == legion["two"].uuid()
        harness.wait_until(repeat_until_next, "two is Lord", 8)
        assert time.monotonic() - died < 5 * harness.SLOW
        assert legion["two"].stats()["dropped"]["replayed"] > 10


def test_sigstop_and_resume_unlords_before_anything_else(scene):
    out = scene.directory / "out"
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20), "arbiter": (Ours, 0)},
                    hooks={"lord": [f"exec: echo lord >> {out}"],
                           "unlord": [f"exec: echo unlord >> {out}"]})
    legion["two"].options = legion["arbiter"].options = {}
    legion.start()
    legion.wait_for("one")
    legion["one"].process.signal(signal.SIGSTOP)
    harness.wait_until(lambda: legion["two"].says_it_is_lord(), "two is Lord", 15)
    legion["one"].process.signal(signal.SIGCONT)
    legion.wait_for("one")
    assert lines(out) == ["lord", "unlord", "lord"]
    assert "quorum lost" in legion["one"].process.log()


def test_a_reload_takes_a_new_configuration_and_keeps_the_old_one_if_it_is_broken(scene):
    one, _ = lonely(scene)
    harness.wait_until(one.answers, "it answers")
    uuid = one.uuid()
    one.valor = 77
    one.reload(scroll="new")
    harness.wait_until(lambda: one.stats()["valor"] == 77, "the new valor counts")
    assert one.stats()["scroll"] == "new" and one.uuid() == uuid
    config = one.config()
    config["alarm"] = f"echo $ALARM > {scene.directory / 'alarm'}"
    config["admin"].append(f"unix:{one.admin}-2")
    config["legions"][0]["hooks"] = {"death": ["alarm: it ends"]}
    one.config_path.write_text(json.dumps(config))
    one.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: "`admin` needs a restart" in one.process.log(), "it is said")
    one.reload(frq="1s")
    harness.wait_until(lambda: "the old one stays" in one.process.log(), "it is refused")
    assert one.stats()["valor"] == 77 and one.answers()
    one.process.signal(signal.SIGTERM)
    one.process.wait()
    assert lines(scene.directory / "alarm") == ["it ends"]


def test_several_legions_live_in_one_process_and_come_and_go_by_reload(scene):
    one, _ = lonely(scene)
    harness.wait_until(one.answers, "it answers")
    config = one.config()
    second = {**config["legions"][0], "name": "second", "hooks": {},
              "address": f"127.0.0.1:{harness.free_port(socket.SOCK_DGRAM)}"}
    config["legions"].append(second)
    one.config_path.write_text(json.dumps(config))
    one.process.signal(signal.SIGHUP)

    def names():
        return [each["legion"] for each in json.loads(one.get().body)["legions"]]
    harness.wait_until(lambda: names() == ["mixed", "second"], "both are there")
    config["legions"].pop()
    one.config_path.write_text(json.dumps(config))
    one.process.signal(signal.SIGHUP)
    harness.wait_until(lambda: names() == ["mixed"], "the second has left")


def test_multicast_members_find_each_other(scene):
    port = harness.free_port(socket.SOCK_DGRAM)
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20)})
    for member in legion.members.values():
        member.options = {"address": f"239.255.77.1:{port}", "nodes": [], "interface": "lo"}
    subprocess.run(["ip", "link", "set", "lo", "multicast", "on"], check=False)
    legion.start()
    legion.wait_for("one")


def test_ipv6_members_elect(scene):
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20)})
    for member in legion.members.values():
        others = [port for port in legion.ports if port != member.port]
        member.options = {"address": f"[::1]:{member.port}",
                          "nodes": [f"[::1]:{port}" for port in others]}
    legion.start()
    legion.wait_for("one")


def test_check_dump_version_and_usage_end_as_they_should(scene):
    one, _ = lonely(scene)
    one.write_config()

    def run(*argv):
        return subprocess.run([LEGION, *argv], text=True, capture_output=True, timeout=30)
    assert run("--check-config", "-c", one.config_path).returncode == 0
    dumped = run("--dump-config", "-c", one.config_path)
    assert dumped.returncode == 0 and "secret: \"(not shown)\"" in dumped.stdout
    assert run("--version").stdout.startswith("fealty-legion ")
    assert run("--nonsense").returncode == 2
    one.write_config(qorum=3)
    broken = run("--check-config", "-c", one.config_path)
    assert broken.returncode == 78
    assert re.match(rf"{re.escape(str(one.config_path))}:\d+:\d+: .*quorum", broken.stderr)
    assert run("-c", "/nonexistent").returncode == 78
    taken = Ours(one.legion, "taken", one.port, 1)
    taken.write_config()
    harness.wait_until(one.answers, "the port is taken")
    assert run("-c", taken.config_path).returncode == 1


def test_secret_files_that_others_may_read_are_refused(scene):
    key = scene.directory / "key"
    key.write_text("secret\n")
    key.chmod(0o644)
    one, _ = lonely(scene, secret=None, secret_file=str(key))
    one.legion.secret = None
    one.write_config()
    config = one.config()
    config["legions"][0].pop("secret", None)
    one.config_path.write_text(json.dumps(config))
    refused = subprocess.run([LEGION, "-c", one.config_path], text=True, capture_output=True,
                             timeout=30)
    assert refused.returncode == 1 and "chmod o-rw" in refused.stderr


def test_admin_speaks_http_prometheus_and_silence(scene):
    one, _ = lonely(scene)
    harness.wait_until(lambda: one.alive() and one.lord_uuid(), "it is Lord")
    metrics = one.get("/metrics").text
    assert 'fealty_legion_is_lord{legion="mixed"} 1' in metrics
    assert one.get("/nothing").status == 404
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(one.admin)
        text = b""
        while part := silent.recv(65536):
            text += part
    assert json.loads(text)["legions"][0]["legion"] == "mixed"


def test_fealty_legion_status_shows_it(scene):
    one, _ = lonely(scene)
    harness.wait_until(lambda: one.alive() and one.lord_uuid(), "it is Lord")

    def status(*argv):
        return subprocess.run([harness.FEALTY, "legion", "status", "--admin",
                               f"unix:{one.admin}", *argv], text=True, capture_output=True,
                              timeout=30)
    shown = status()
    assert shown.returncode == 0 and "Lord: this member" in shown.stdout
    assert status("other").returncode == 1
    assert json.loads(status("--json").stdout)["legions"]
    one.process.signal(signal.SIGTERM)
    one.process.wait()
    assert status().returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_is_left_and_two_capabilities_are_kept(scene):
    one, _ = lonely(scene)
    harness.wait_until(one.answers, "it answers")
    one.process.signal(signal.SIGTERM)
    one.process.wait()
    config = {**one.config(), "user": "nobody",
              "admin": [f"127.0.0.1:{(port := harness.free_port())}"]}
    one.config_path.write_text(json.dumps(config))
    process = scene.spawn("dropped", [LEGION, "-c", one.config_path])
    process.ends_by_sigterm = True

    def answers():
        try:
            with clients.Client(("127.0.0.1", port)) as client:
                return client.request("GET", "/healthz", host="x").status == 200
        except (OSError, clients.Incomplete, clients.NotHttp):
            return False
    harness.wait_until(answers, "it answers")
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        status = (task / "status").read_text()
        assert re.search(r"^Uid:\s+65534\s+65534", status, re.MULTILINE)
        assert re.search(r"^CapEff:\s+0{12}3000$", status, re.MULTILINE), status
