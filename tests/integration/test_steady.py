"""What a request costs once everything is warm: system calls and allocations.

Not for sanitizer builds, whose runtimes make calls and allocations of their own; CMake
leaves this file out there. FEALTY_MALLOC_COUNTER is malloc_counter.c, built.
"""
import os
import re
import signal
import subprocess

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


def test_a_request_allocates_nothing(scene):
    router = CountedRouter(scene, workers=1)
    serve(scene, router)
    with router.client() as client:
        ask(client, WARM_UP)
        before = router.allocations()
        ask(client, REQUESTS)
        # What the control thread's timers do by the way is not a request's.
        assert router.allocations() - before < REQUESTS / 100


def system_calls(summary):
    """Calls by name, from what `strace -c` prints."""
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", summary, re.M)
    return {name: int(count) for count, name in rows if name != "total"}


def test_a_request_costs_seven_system_calls_and_one_new_descriptor(scene):
    router = harness.Router(scene, workers=1)
    serve(scene, router)
    summary = scene.directory / "strace.txt"
    with router.client() as client:
        ask(client, WARM_UP)
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-qq", "-o", summary, "-p", str(router.pid)])
        try:
            def traced():
                status = open(f"/proc/{router.pid}/status", encoding="ascii").read()
                return f"TracerPid:\t{tracer.pid}" in status
            harness.wait_until(traced, "strace has attached")
            ask(client, REQUESTS)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.wait(timeout=20)
    calls = system_calls(summary.read_text())
    a_request = {name: count / REQUESTS for name, count in calls.items()}
    # strace may have attached to the worker a request or two late.
    for name, most in {"recvfrom": 2, "socket": 1, "connect": 1, "sendto": 1, "sendmsg": 1,
                       "close": 1, "epoll_ctl": 1}.items():
        assert 0.97 * most <= a_request.pop(name, 0) <= 1.02 * most, (name, calls)
    assert sum(count for name, count in a_request.items() if name not in WAITS) < 0.1, calls
