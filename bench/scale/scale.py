#!/usr/bin/python3
"""Requests while a whole platform announces itself: quiet and busy turns of one router, interleaved.

The router holds --keys keys with a node each. A quiet turn is wrk alone; a busy one has the announcer
beside it. Prints the median ratio busy / quiet of p99 and of requests/s, the bytes a key costs (RSS), and
the CPU time of a refresh through the socket. README.md says how to read it.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "compare"))

from load import Wrk  # noqa: E402
from node_link import Announcer, subscribe_packet  # noqa: E402
from processes import BenchError, Child, cpu_ns, free_port, pinned  # noqa: E402

REPOSITORY = os.path.dirname(os.path.dirname(HERE))
HOST = "load.example.com"
CONFIG = """\
workers: 1
user: root
listeners:
  - {{address: "127.0.0.1:{port}", protocol: http}}
subscription:
  servers: [ {{address: "unix:{directory}/subscribe", mode: "0600"}}, {{address: "127.0.0.1:{udp}"}} ]
  tolerance: 24h
admin: [ "127.0.0.1:{admin}" ]
access_log: null
"""


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--refreshes", type=float, default=20_000, help="a second, in busy turns")
    parser.add_argument("--changes", type=float, default=500, help="a second, in busy turns")
    parser.add_argument("--junk", type=float, default=0, help="packets a second, in busy turns, by UDP")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--bin", default=os.path.join(REPOSITORY, "build"), help="the build folder")
    parser.add_argument("--router-cpu", default="0")
    parser.add_argument("--load-cpu", default="1")
    parser.add_argument("--bar", type=float, help="exit code 1 if the median ratio of p99 is above this")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args(arguments)


class Stage:
    """The router, filled, with a node behind it; all of it ended on the way out."""

    def __init__(self, options):
        self.options = options
        self.children = []
        self.announcer = None
        self.directory = tempfile.mkdtemp(prefix="fealty-scale-")

    def __enter__(self):
        self.node = self._start(["bench/bench_backend", "--listen", f"unix:{self.directory}/node"],
                                self.options.load_cpu)
        self.port, self.admin, self.udp = free_port(), free_port(), free_port()
        with open(os.path.join(self.directory, "router.yaml"), "w", encoding="utf-8") as file:
            file.write(CONFIG.format(port=self.port, admin=self.admin, udp=self.udp, directory=self.directory))
        self.router = self._start(["bin/fealty-router", "-c", f"{self.directory}/router.yaml"],
                                  self.options.router_cpu)
        self._wait(self.healthy, "the router to be ready")
        return self

    def __exit__(self, *_):
        if self.announcer:
            self.announcer.stop()
        for child in reversed(self.children):
            child.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, command, cpu):
        command = [os.path.join(self.options.bin, command[0]), *command[1:]]
        child = Child(command, cpu, os.path.join(self.directory, f"{len(self.children)}.log"))
        self.children.append(child)
        return child

    def _wait(self, condition, what):
        deadline = time.monotonic() + 120
        while not condition():
            if time.monotonic() > deadline or any(child.ended() for child in self.children):
                raise BenchError(f"waited in vain for {what}:\n{self.router.log_tail()}")
            time.sleep(0.05)

    def healthy(self):
        try:
            return self.get("/healthz") == b"ok\n"
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=60) as answer:
            return answer.read()

    def metric(self, name):
        lines = self.get("/metrics").decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines
                   if line.startswith(name) and not line.startswith("#"))

    def rss(self):
        with open(f"/proc/{self.router.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def announce(self, *arguments):
        """By UDP, whose queue takes a burst; --fill waits for the reader, so it goes by the Unix socket."""
        server = f"{self.directory}/subscribe" if "--fill" in arguments else f"127.0.0.1:{self.udp}"
        command = [os.path.join(self.options.bin, "bench/bench_announce"), "--server", server,
                   "--keys", str(self.options.keys), *map(str, arguments)]
        return subprocess.Popen(pinned(command, self.options.load_cpu), stdout=subprocess.PIPE, text=True)

    def fill(self):
        """Returns bytes a key, and the CPU time of a packet that brings a new one."""
        empty, began = self.rss(), cpu_ns(self.router.pid)
        finished(self.announce("--fill"))
        self._wait(lambda: self.metric("fealty_nodes") >= self.options.keys, "the keys")
        time.sleep(0.5)  # the last snapshot
        used = cpu_ns(self.router.pid) - began
        self.announcer = Announcer([subscribe_packet(HOST, f"{self.directory}/node", "uwsgi")])
        self.announcer.add(f"{self.directory}/subscribe")
        return (self.rss() - empty) / self.options.keys, used / 1000 / self.options.keys

    def refresh_us(self, count=200_000):
        """The CPU time of an unsigned refresh through the socket, without requests."""
        began, packets = cpu_ns(self.router.pid), self.metric("fealty_subscription_packets_total")
        seconds = count / 100_000
        sent = finished(self.announce("--refreshes", 100_000, "--seconds", seconds))
        taken = self.metric("fealty_subscription_packets_total") - packets
        return (cpu_ns(self.router.pid) - began) / 1000 / max(taken, 1), taken, sent

    def turn(self, busy):
        options = self.options
        load = Wrk()
        announcer = None
        if busy:
            announcer = self.announce("--refreshes", options.refreshes, "--changes", options.changes,
                                      "--junk", options.junk, "--seconds", options.seconds + 1)
        command = load.command(f"http://127.0.0.1:{self.port}/10", HOST, int(options.seconds), options.connections)
        done = subprocess.run(pinned(command, options.load_cpu), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"wrk: {done.stdout}{done.stderr}")
        seen = load.parse(done.stdout)
        sent = finished(announcer) if announcer else {}
        if seen.errors:
            raise BenchError(f"errors: {seen.errors}")
        return {"p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms, "requests_per_second": seen.requests / seen.seconds,
                "sent": sent}


def finished(process):
    output, _ = process.communicate(timeout=300)
    if process.returncode != 0:
        raise BenchError(f"the announcer ended with {process.returncode}")
    return json.loads(output)


def run(options):
    results = {"keys": options.keys, "rounds": []}
    with Stage(options) as stage:
        results["bytes_a_key"], results["us_a_new_key"] = stage.fill()
        print(f"{options.keys} keys: {results['bytes_a_key']:.0f} bytes and {results['us_a_new_key']:.2f} us CPU each",
              flush=True)
        results["us_a_refresh"], results["refreshes_taken"], _ = stage.refresh_us()
        print(f"a refresh through the socket: {results['us_a_refresh']:.2f} us CPU", flush=True)
        stage.turn(False)  # warm
        for number in range(options.rounds):
            order = (False, True) if number % 2 == 0 else (True, False)
            turns = {busy: stage.turn(busy) for busy in order}
            results["rounds"].append({"quiet": turns[False], "busy": turns[True]})
            print(f"round {number + 1}: p99 quiet {turns[False]['p99_ms']:.2f} ms, busy {turns[True]['p99_ms']:.2f} ms; "
                  f"requests/s {turns[False]['requests_per_second']:.0f}, {turns[True]['requests_per_second']:.0f}; "
                  f"{turns[True]['sent']}", flush=True)
        for figure in ("p99_ms", "p50_ms", "requests_per_second"):
            ratios = [turn["busy"][figure] / turn["quiet"][figure] for turn in results["rounds"]]
            results[f"ratio_{figure}"] = statistics.median(ratios)
            print(f"busy / quiet, {figure}: {statistics.median(ratios):.3f} "
                  f"({min(ratios):.3f}-{max(ratios):.3f})", flush=True)
    return results


def main(arguments):
    options = parse_options(arguments)
    os.sched_setaffinity(0, {int(options.load_cpu)})
    try:
        results = run(options)
    except BenchError as error:
        print(f"scale.py: {error}", file=sys.stderr)
        return 1
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    return 1 if options.bar and results["ratio_p99_ms"] > options.bar else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
