"""A Legion on three hosts in namespaces, a client on a fourth, and what a fault costs.

A Stage measures: seconds without an answer, and seconds with two holders. Whoever uses it
judges; times are CLOCK_MONOTONIC's.
"""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

import netns

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BIN_DIR = pathlib.Path(os.environ.get("FEALTY_BIN_DIR") or TOP / "build" / "bin").resolve()
FLOATING = "10.9.0.100"
FLOATING6 = "fd09::100"
PORT = 7777
MEMBERS = ("a", "b", "c")


def wait_until(condition, what, seconds=20.0, every=0.02):
    slow = float(os.environ.get("FEALTY_SLOW") or 1)
    deadline = time.monotonic() + seconds * slow
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * slow:g} s: {what}")
        time.sleep(every)


class Child:
    """A process in a host's namespace whose lines go to a file."""

    def __init__(self, stage, name, host, argv):
        self.pid_files = []     # of further processes that are signalled with it
        self.path = stage.directory / f"{name}-{len(stage.children)}.log"
        with open(self.path, "ab") as log:
            self.popen = subprocess.Popen(
                stage.net.inside(host, *argv), stdin=subprocess.PIPE, stdout=log,
                stderr=log, start_new_session=True)
        stage.children.append(self)

    def lines(self):
        text = self.path.read_text(errors="replace")
        return text[:text.rfind("\n") + 1].splitlines()

    def signal(self, number):
        for path in self.pid_files:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), number)
        self.popen.send_signal(number)

    def end(self):
        if self.popen.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGKILL)
        self.popen.stdin.close()
        self.popen.wait()


class Observed:
    """What is seen of a floating address: `holders` (a Child of watch.py's for each host) and
    `probe` (one of the client's), whose lines are read here."""

    def holder_names(self):
        """Who holds the address at this moment."""
        return [name for name, watch in self.holders.items()
                if (lines := watch.lines()) and lines[-1].endswith(" 1")]

    def answers(self):
        """(time, name or None) of each probe so far."""
        out = []
        for line in self.probe.lines():
            at, _, name = line.partition(" ")
            out.append((float(at), None if name == "-" else name))
        return out

    def last_answer(self):
        answers = self.answers()
        return answers[-1][1] if answers else None

    def wait_for(self, name, seconds=30.0):
        """Until the client is answered by this host, and it alone has the address."""
        wait_until(lambda: self.last_answer() == name and self.holder_names() == [name],
                   f"{name} answers and alone holds {self.address}", seconds)

    def outage(self, since):
        """The longest time without an answer that began after `since`, or lay over it."""
        times = sorted(at for at, name in self.answers() if name is not None)
        before = max((at for at in times if at <= since), default=since)
        times = [before] + [at for at in times if at > since]
        return max((b - a for a, b in zip(times, times[1:])), default=float("inf"))

    def failed(self, since):
        """How many probes after `since` had no answer."""
        return sum(name is None for at, name in self.answers() if at > since)

    def overlap(self, since):
        """Seconds after `since` during which more than one host had the address."""
        changes = []
        for watch in self.holders.values():
            for line in watch.lines():
                at, _, has = line.partition(" ")
                changes.append((float(at), 1 if has == "1" else -1))
        firsts = len(self.holders)
        held, total, last = 0, 0.0, None
        # A first line of 0 says that it did not have it to begin with.
        initial = {watch.lines()[0] for watch in self.holders.values() if watch.lines()}
        for at, step in sorted(changes):
            if step < 0 and firsts and any(line.startswith(f"{at:.4f} 0") for line in initial):
                firsts -= 1
                continue
            if held > 1 and last is not None and at > since:
                total += at - max(last, since)
            held += step
            last = at
        if held > 1:
            total += time.monotonic() - max(last, since)
        return total

    def _watch(self, host, *argv):
        return Child(self, f"{argv[0]}-{host}", host,
                     [sys.executable, "-B", HERE / "watch.py", *argv])


class Stage(Observed):
    def __init__(self, directory, *, wire="sealed", freq="1s", tolerance="3s", members=None,
                 address=FLOATING, start=True, **legion):
        self.directory = pathlib.Path(directory)
        self.address = address
        self.wire, self.freq, self.tolerance = wire, freq, tolerance
        self.legion = legion          # further keys of the configuration
        self.children, self.daemons = [], {}
        self.valors = members or {"a": 30, "b": 20, "c": 10}
        self.net = netns.Net([*self.valors, "client"])
        try:
            self.holders, self.echoes = {}, {}
            for name in self.valors:
                self.holders[name] = self._watch(name, "holder", address)
                self.echoes[name] = self._watch(name, "echo", PORT, name)
            for echo in self.echoes.values():
                wait_until(lambda echo=echo: echo.lines() == ["ready"], "the echo listens")
            if start:
                for name in self.valors:
                    self.start(name)
            self.probe = self._watch("client", "probe", address, PORT)
        except BaseException:
            self.close()
            raise

    def config(self, name):
        prefix = "64" if ":" in self.address else "24"
        nodes = [f"{self.net.address(other)}:2000" for other in self.valors if other != name]
        return {
            "user": "root",
            "legions": [{
                "name": "net", "address": f"{self.net.address(name)}:2000",
                "valor": self.valors[name], "secret": "a secret of this test",
                **({"cipher": "aes-128-cbc"} if self.wire == "uwsgi" else {}),
                "wire": self.wire, "nodes": nodes, "quorum": len(self.valors) // 2 + 1,
                "freq": self.freq, "tolerance": self.tolerance,
                **self.legion,
                "hooks": {"lord": [f"ip_add: {self.address}/{prefix} dev eth0"],
                          "unlord": [f"ip_del: {self.address}/{prefix} dev eth0"],
                          **self.legion.get("hooks", {})}}],
            "admin": [f"unix:{self.directory}/admin-{name}"]}

    def keepalived_config(self, name):
        return f"""
            global_defs {{ router_id {name} }}
            vrrp_instance net {{
                state BACKUP
                interface eth0
                virtual_router_id 51
                priority {100 + self.valors[name]}
                advert_int 1
                virtual_ipaddress {{ {self.address}/24 dev eth0 }}
            }}"""

    def start_keepalived(self, name):
        path = self.directory / f"{name}.keepalived"
        path.write_text(self.keepalived_config(name))
        self.daemons[name] = Child(
            self, f"keepalived-{name}", name,
            ["keepalived", "--dont-fork", "--log-console", "--vrrp", "-f", path,
             "-p", self.directory / f"{name}.pid", "-r", self.directory / f"{name}.vrrp.pid"])
        self.daemons[name].pid_files.append(self.directory / f"{name}.vrrp.pid")

    def write_config(self, name):
        path = self.directory / f"{name}.yaml"
        path.write_text(json.dumps(self.config(name)))    # JSON is YAML
        return path

    def reload(self, name):
        self.write_config(name)
        self.daemons[name].signal(signal.SIGHUP)

    def has(self, name, address, device="eth0"):
        """Whether `ip addr` of that host shows it there."""
        return f" {address}/" in self.net.run(name, "ip", "addr", "show", "dev", device,
                                              check=False).stdout

    def start(self, name):
        if self.wire == "keepalived":
            return self.start_keepalived(name)
        path = self.write_config(name)
        self.daemons[name] = Child(self, f"legion-{name}", name,
                                   [BIN_DIR / "fealty-legion", "-c", path])

    def logs(self):
        return [(child.path.name, child.path.read_text(errors="replace")[-4000:])
                for child in self.daemons.values()]

    def close(self):
        for child in reversed(self.children):
            child.end()
        self.net.close()


def fault_weak(stage, name):
    """30 % lost and 200 ms late, both ways."""
    stage.net.delay(name, 200)
    stage.net.lose(30, name)


def fault_kill(stage, name):
    stage.daemons[name].signal(signal.SIGKILL)


def fault_power_off(stage, name):
    stage.net.power_off(name)
    stage.daemons[name].signal(signal.SIGKILL)


def fault_terminate(stage, name):
    stage.daemons[name].signal(signal.SIGTERM)


def fault_stop(stage, name):
    stage.daemons[name].signal(signal.SIGSTOP)


def fault_cut_off(stage, name):
    stage.net.cut_off(name)


def fault_mute(stage, name):
    stage.net.mute(name)


def fault_deaf(stage, name):
    stage.net.deaf(name)


FAULTS = {"kill -9": fault_kill, "power off": fault_power_off, "SIGTERM": fault_terminate,
          "SIGSTOP": fault_stop, "cut off": fault_cut_off, "mute": fault_mute,
          "deaf": fault_deaf}
# What a Lord may survive.
WEAKNESSES = {"30% loss, 200 ms": fault_weak}
