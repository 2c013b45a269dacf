"""What a request costs once everything is warm: system calls and allocations.

Not for sanitizer builds, whose runtimes make calls and allocations of their own; CMake
leaves this file out there. FEALTY_MALLOC_COUNTER is malloc_counter.c, built.
"""
import contextlib
import os
import re
import signal
import subprocess

import pytest

import clients
import harness
import nodes

REQUESTS = 400
WARM_UP = 50
COUNT_SIGNAL = signal.SIGRTMIN + 5
WAITS = {"epoll_wait", "epoll_pwait", "restart_syscall"}


class CountedRouter(harness.Router):
    """A router that counts its allocations."""

    def start(self):
        self.process = self.scene.spawn(
            "router", [harness.ROUTER, "--config", self.config_path],
            env={"LD_PRELOAD": os.environ["FEALTY_MALLOC_COUNTER"]})
        self.process.ends_by_sigterm = True

    def allocations(self):
        def counts():
            return re.findall(r"allocations (\d+)", self.process.log())
        before = len(counts())
        self.process.signal(COUNT_SIGNAL)
        harness.wait_until(lambda: len(counts()) > before, "the router prints its count")
        return int(counts()[-1])


def ask(client, times):
    for _ in range(times):
        assert client.request("GET", "/", host="app.test").status == 200


def serve(scene, router):
    node = nodes.Node(scene, "steady")
    node.subscribe(router, "app.test")
    router.wait_known("app.test")


def ask_all(connections, times):
    """Each connection asks before any answer is read, so that all are at it at once."""
    data = clients.request_bytes("GET", "/", host="app.test")
    for _ in range(times):
        for client in connections:
            client.send(data)
        for client in connections:
            assert client.read_answer().status == 200


def serve_http(scene, router):
    node = nodes.HttpNode(scene, "kept")
    node.subscribe(router, "app.test")
    router.wait_known("app.test")


def test_a_request_allocates_nothing(scene):
    router = CountedRouter(scene, workers=1)
    serve(scene, router)
    with router.client() as client:
        ask(client, WARM_UP)
        before = router.allocations()
        ask(client, REQUESTS)
        # What the control thread's timers do by the way is not a request's.
        assert router.allocations() - before < REQUESTS / 100


@pytest.mark.parametrize("format", ["json", "combined"])
def test_a_request_that_is_logged_allocates_nothing(scene, format):
    router = CountedRouter(scene, workers=1, access_log={
        "path": str(scene.directory / "log"), "format": format})
    serve(scene, router)
    with router.client() as client:
        ask(client, WARM_UP)
        before = router.allocations()
        ask(client, REQUESTS)
        assert router.allocations() - before < REQUESTS / 100


def test_a_request_over_a_kept_connection_allocates_nothing(scene):
    router = CountedRouter(scene, workers=1)
    serve_http(scene, router)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(router.client()) for _ in range(64)]
        ask_all(connections, WARM_UP)
        before = router.allocations()
        ask_all(connections, 20)
        # What the control thread's timers do by the way is not a request's.
        assert router.allocations() - before < 64 * 20 / 100


def system_calls(summary):
    """Calls by name, from what `strace -c` prints."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", summary, re.M)
    return {name: int(count) for count, name in rows if name != "total"}


def trace(scene, router, work):
    """What system calls `work()` makes the router do, by name."""
    summary = scene.directory / "strace.txt"
    tracer = subprocess.Popen(
        ["strace", "-f", "-c", "-qq", "-o", summary, "-p", str(router.pid)])
    try:
        def traced():
            status = open(f"/proc/{router.pid}/status", encoding="ascii").read()
            return f"TracerPid:\t{tracer.pid}" in status
        harness.wait_until(traced, "strace has attached")
        work()
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=20)
    return system_calls(summary.read_text())


def check_calls(calls, requests, wanted):
    a_request = {name: count / requests for name, count in calls.items()}
    # strace may have attached to the worker a request or two late.
    for name, most in wanted.items():
        assert 0.97 * most <= a_request.pop(name, 0) <= 1.02 * most, (name, calls)
    assert sum(count for name, count in a_request.items() if name not in WAITS) < 0.1, calls


def test_a_request_costs_seven_system_calls_and_one_new_descriptor(scene):
    router = harness.Router(scene, workers=1)
    serve(scene, router)
    with router.client() as client:
        ask(client, WARM_UP)
        calls = trace(scene, router, lambda: ask(client, REQUESTS))
    check_calls(calls, REQUESTS, {
        "recvfrom": 2, "socket": 1, "connect": 1, "sendto": 1, "sendmsg": 1, "close": 1,
        "epoll_ctl": 1})


def test_a_line_of_the_access_log_costs_its_request_no_system_call(scene):
    router = harness.Router(scene, workers=1,
                            access_log={"path": str(scene.directory / "log")})
    serve(scene, router)
    with router.client() as client:
        ask(client, WARM_UP)
        calls = trace(scene, router, lambda: ask(client, REQUESTS))
    # The writer's own: it gathers for 20 ms, and wakes up once for many lines.
    for name in ("write", "fstat", "newfstatat", "futex", "clock_nanosleep"):
        calls.pop(name, None)
    check_calls(calls, REQUESTS, {
        "recvfrom": 2, "socket": 1, "connect": 1, "sendto": 1, "sendmsg": 1, "close": 1,
        "epoll_ctl": 1})


def test_a_request_over_a_kept_connection_costs_four_system_calls(scene):
    """A read and a write on each side; nobody is told anything about descriptors."""
    router = harness.Router(scene, workers=1)
    serve_http(scene, router)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(router.client()) for _ in range(64)]
        ask_all(connections, WARM_UP)
        calls = trace(scene, router, lambda: ask_all(connections, 20))
    check_calls(calls, 64 * 20, {"recvfrom": 2, "sendto": 1, "sendmsg": 1})
