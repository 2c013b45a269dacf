"""The access log: what it says, and that nobody waits for it."""
import json
import os
import re
import signal
import socket
import subprocess

import clients
import harness
import nodes

COMBINED = re.compile(
    r'^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] '
    r'"([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"$')


def logged(scene, format="json", **more):
    path = scene.directory / "access.log"
    return harness.Router(scene, access_log={"path": str(path), "format": format}, **more), path


def lines_of(path, count):
    def enough():
        lines = path.read_text().splitlines() if path.exists() else []
        return lines if len(lines) >= count else None
    return harness.wait_until(enough, f"{path.name} has {count} lines")


def serve(scene, router, behave=None):
    node = nodes.Node(scene, "logged", behave)
    node.subscribe(router, "app.test")
    router.wait_known("app.test")
    return node


def entries_for(path, uri, count=1):
    def found():
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        entries = [entry for entry in entries if entry["uri"] == uri]
        return entries if len(entries) >= count else None
    return harness.wait_until(found, f"{count} line(s) for {uri}")


def test_a_request_is_a_line_of_json(scene):
    router, path = logged(scene)
    node = serve(scene, router)
    with router.client() as client:
        client.request("GET", "/hello?a=b", host="App.test:81",
                       headers=[("Referer", "http://x/"), ("User-Agent", "tests")])
        port = client.local_port
    entry = entries_for(path, "/hello?a=b")[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    assert entry["duration_ms"] < 5000 * harness.SLOW
    assert re.fullmatch("[0-9a-f]{16}", entry["request_id"])
    wanted = {"remote_addr": "127.0.0.1", "remote_port": str(port), "method": "GET",
              "protocol": "HTTP/1.1", "host": "App.test:81", "status": 200,
              "body_bytes_sent": len("logged"), "https": False, "key": "app.test",
              "node": node.address, "referer": "http://x/", "user_agent": "tests"}
    assert {name: entry[name] for name in wanted} == wanted
    assert entry["bytes_sent"] > entry["body_bytes_sent"]


def test_combined_is_what_nginx_and_apache_write(scene):
    router, path = logged(scene, "combined")
    serve(scene, router)
    router.get("/x?y", headers=[("User-Agent", 'a "quoted" one\\')])
    harness.wait_until(lambda: "GET /x?y" in path.read_text(), "the line is there")
    found = [COMBINED.match(line) for line in path.read_text().splitlines()]
    assert all(found)
    mine = [match.groups() for match in found if match[1].startswith("GET /x?y")]
    assert mine == [("GET /x?y HTTP/1.1", "200", "6", "-", "a \\x22quoted\\x22 one\\x5c")]


def test_own_answers_and_what_is_no_request_are_lines_too(scene):
    router, path = logged(scene)
    router.get("/nobody", "unknown.test")
    with router.client() as client:
        client.send(b"GET  / HTTP/1.1\r\n\r\n")
        client.read_answer()
    assert entries_for(path, "/nobody")[0]["status"] == 404
    bad = entries_for(path, "")[0]
    assert (bad["status"], bad["method"], bad["key"], bad["node"]) == (400, "", "", "")


def test_a_client_that_goes_is_499(scene):
    router, path = logged(scene)
    node = serve(scene, router, lambda seen: seen.connection.recv(1))
    with router.client() as client:
        client.send(clients.request_bytes("GET", "/gone", host="app.test"))
        harness.wait_until(lambda: any(seen.variables["REQUEST_URI"] == "/gone"
                                       for seen in node.requests), "the node has it")
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert entries_for(path, "/gone")[0]["status"] == 499


def test_heads_are_no_part_of_the_body(scene):
    router, path = logged(scene)
    router.reload(listeners=[{"address": f"127.0.0.1:{router.port}", "redirect_to_https": True}])
    body = router.get("/moved").body
    assert entries_for(path, "/moved")[0]["body_bytes_sent"] == len(body)


def test_nothing_that_is_sent_can_forge_a_line(scene):
    for format in ("json", "combined"):
        stage = harness.Scene()
        try:
            router, path = logged(stage, format)
            evil = 'x"\\\x01\x7f\xff {"status":200}'
            with router.client() as client:
                client.send(b"GET /%0aevil HTTP/1.1\r\nHost: unknown.test\r\n"
                            b"User-Agent: x\"\\\t\xff\xfe {}\r\n\r\n")
                client.read_answer()
            lines = lines_of(path, 1)
            assert all(line.isascii() and line.isprintable() for line in lines), evil
            if format == "json":
                assert any(json.loads(line)["user_agent"].startswith('x"\\') for line in lines)
            else:
                assert all(COMBINED.match(line) for line in lines)
        finally:
            stage.close()


def test_sigusr1_reopens_the_file_and_no_line_is_lost(scene):
    router, path = logged(scene)
    serve(scene, router)
    asked = 0
    for turn in range(5):
        for _ in range(20):
            router.get(f"/turn{turn}")
            asked += 1
        moved = path.with_suffix(f".{turn}")
        path.rename(moved)
        router.process.signal(signal.SIGUSR1)
        harness.wait_until(path.exists, "the file is there again")
    router.get("/last")
    entries_for(path, "/last")

    def lines():
        return [json.loads(line) for part in scene.directory.glob("access.*")
                for line in part.read_text().splitlines()]
    harness.wait_until(lambda: sum(entry["uri"].startswith("/turn") for entry in lines()) == asked,
                       "every request has its line")


def test_a_pipe_that_nobody_reads_makes_nobody_wait(scene):
    path = scene.directory / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    router = harness.Router(scene, access_log={"path": str(path)})
    serve(scene, router)
    long = "/" + "x" * 2000
    with router.client() as client:
        for _ in range(1500):
            assert client.request("GET", long, host="app.test").status == 200
    assert router.metric("fealty_access_log_dropped_total") > 0
    os.close(reader)


def test_a_file_that_takes_nothing_is_said_and_not_for_each_line(scene):
    router = harness.Router(scene, access_log={"path": "/dev/full"})
    serve(scene, router)
    for _ in range(20):
        assert router.get().status == 200
    harness.wait_until(lambda: router.metric("fealty_access_log_dropped_total") >= 20, "all fail")
    assert router.process.log().count("access_log: lines are lost: No space left") == 1


def test_a_reload_turns_it_on_and_off(scene, router, node):
    path = scene.directory / "late.log"
    router.get("/before")
    router.reload(access_log={"path": str(path), "format": "json"})
    router.get("/while")
    entries_for(path, "/while")
    router.reload(access_log=None)
    router.get("/after")
    router.reload(access_log={"path": str(path), "format": "combined"})
    router.get("/again")
    harness.wait_until(lambda: '"GET /again HTTP/1.1"' in path.read_text(), "it is on again")
    assert "/before" not in path.read_text() and "/after" not in path.read_text()


def test_what_is_there_at_the_end_is_written(scene):
    router, path = logged(scene)
    serve(scene, router)
    for number in range(50):
        router.get(f"/{number}")
    router.terminate()
    assert router.process.wait() == 0
    uris = [json.loads(line)["uri"] for line in path.read_text().splitlines()]
    assert set(f"/{number}" for number in range(50)) <= set(uris)


def test_stdout_is_a_dash(scene):
    router = harness.Router(scene, access_log={"path": "-"})
    router.get("/to-stdout", "unknown.test")
    harness.wait_until(lambda: '"uri":"/to-stdout"' in router.process.log(), "it is on stdout")


def test_a_file_that_cannot_be_opened_is_said_at_the_start(scene, router):
    path = scene.directory / "no" / "such" / "folder.log"
    router.reload("the configuration was not reloaded", access_log={"path": str(path)})
    assert f"access_log: {path} cannot be opened" in router.process.log()
    done = subprocess.run([harness.ROUTER, "--config", router.config_path], capture_output=True,
                          text=True, check=False, timeout=20 * harness.SLOW)
    assert done.returncode == 1
