"""The command line and the configuration file."""
import re
import socket
import subprocess

import pytest

import harness
from harness import ROUTER

CONFIG = """\
workers: 1
listeners:
  - {address: "127.0.0.1:PORT1", protocol: http}
subscription:
  servers:
    - {address: "unix:SOCKET", mode: "0666"}
  tolerance: 30s
timeouts: {head: 10s, node: 500s}
admin: [ "127.0.0.1:PORT2" ]
"""


def run(*words):
    return subprocess.run([ROUTER, *map(str, words)], capture_output=True, text=True,
                          timeout=20 * harness.SLOW)


@pytest.fixture
def config(scene):
    path = scene.directory / "router.yaml"
    text = CONFIG.replace("SOCKET", str(scene.directory / "subscribe"))
    for name in ("PORT1", "PORT2"):
        text = text.replace(name, str(harness.free_port()))
    path.write_text(text)
    return path


def broken(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_check_config_accepts_a_good_file(config):
    done = run("--config", config, "--check-config")
    assert done.returncode == 0, done.stderr


def test_the_sample_configuration_is_good():
    done = run("--config", harness.TOP / "conf" / "router.yaml", "--check-config")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("old, new, line, nearest", [
    ("listeners:", "listner:", 2, "listeners"),
    ("tolerance: 30s", "tolerence: 30s", 7, "tolerance"),
    ("{head: 10s", "{haed: 10s", 8, "head"),
    ("protocol: http", "protocoll: http", 3, "protocol"),
    ("workers:", "worker:", 1, "workers"),
])
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest(
        config, old, new, line, nearest):
    done = run("--config", broken(config, old, new), "--check-config")
    said = done.stdout + done.stderr
    assert done.returncode == 78
    wrong = new.strip("{").partition(":")[0]
    column = config.read_text().splitlines()[line - 1].index(wrong) + 1
    place = f"{config}:{line}:{column}: "
    (complaint,) = [text for text in said.splitlines() if text.strip().startswith(place)]
    assert f"{wrong}'" in complaint and f"'{nearest}'" in complaint


@pytest.mark.parametrize("old, new, line", [
    ("tolerance: 30s", "tolerance: 30 parsecs", 7),
    ("tolerance: 30s", "tolerance: -1s", 7),
    ("workers: 1", "workers: many", 1),
    ("protocol: http", "protocol: gopher", 3),
    ("workers: 1", "workers: [1", 2),
])
def test_a_bad_value_is_refused_with_its_place(config, old, new, line):
    done = run("--config", broken(config, old, new), "--check-config")
    assert done.returncode == 78
    said = done.stdout + done.stderr
    place = re.search(rf"{re.escape(str(config))}:(\d+):(\d+): .+", said)
    assert place, said
    # A syntax error is only noticed where the text stops making sense.
    assert abs(int(place[1]) - line) <= (1 if "[" in new else 0), said


def test_a_user_that_is_not_there_is_refused_with_its_place(config):
    config.write_text(config.read_text() + "user: nosuchuser\n")
    line = len(config.read_text().splitlines())
    done = run("--config", config, "--check-config")
    assert done.returncode == 78
    assert f"{config}:{line}:7: " in done.stderr and "nosuchuser" in done.stderr
    config.write_text(config.read_text().replace("nosuchuser", "54321"))
    assert run("--config", config, "--check-config").returncode == 0


def test_a_broken_configuration_does_not_start(config):
    done = run("--config", broken(config, "workers:", "worker:"))
    assert done.returncode == 78


def test_dump_config_shows_each_value_and_where_it_came_from(config):
    done = run("--config", config, "--dump-config")
    assert done.returncode == 0, done.stderr
    lines = {key: next((line for line in done.stdout.splitlines() if key in line), "")
             for key in ("tolerance", "keepalive")}
    assert "30" in lines["tolerance"] and "router.yaml" in lines["tolerance"]
    assert "5" in lines["keepalive"] and "default" in lines["keepalive"]


@pytest.mark.parametrize("words", [["--no-such-option"], ["--config"], ["stray"]])
def test_wrong_usage_exits_with_2(words):
    assert run(*words).returncode == 2


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_exit_with_0(word):
    done = run(word)
    assert done.returncode == 0
    assert "fealty-router" in done.stdout


def test_help_names_the_options():
    said = run("--help").stdout
    for option in ("--config", "--check-config", "--dump-config", "--version"):
        assert option in said


def test_a_port_that_is_taken_is_an_error_at_run_time(config):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        taken = re.sub(r":\d+\", protocol", f':{port}", protocol', config.read_text())
        config.write_text(taken)
        done = run("--config", config)
    assert done.returncode == 1
    assert str(port) in done.stderr
