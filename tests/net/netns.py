"""Hosts in network namespaces around a switch, and faults between them.

A Net is a namespace with a bridge; each host is another one, with `eth0` at
10.9.0.N/24 (and fd09::N/64) on that bridge. Names carry the process's id, so nets of
several runs stand beside each other; close() takes everything away. Needs root.
"""
import contextlib
import itertools
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
_counter = itertools.count()


def run(*argv, check=True, **how):
    return subprocess.run([str(part) for part in argv], check=check, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **how)


def usable():
    """Whether this host lets us make namespaces with what the tests need in them."""
    if os.geteuid() != 0:
        return False
    name = f"fealty-probe-{os.getpid()}"
    if run("ip", "netns", "add", name, check=False).returncode != 0:
        return False
    try:
        return run("ip", "netns", "exec", name, "nft", "add", "table", "bridge", "probe",
                   check=False).returncode == 0
    finally:
        run("ip", "netns", "del", name, check=False)


class Net:
    def __init__(self, hosts):
        self.prefix = f"fl{os.getpid()}-{next(_counter)}"
        self.switch = f"{self.prefix}-sw"
        self.hosts, self.relays = {}, {}
        run("ip", "netns", "add", self.switch)
        try:
            self._sw("ip", "link", "set", "lo", "up")
            self._sw("ip", "link", "add", "name", "br0", "type", "bridge")
            self._sw("ip", "link", "set", "br0", "up")
            self._sw("nft", "add table bridge faults; add chain bridge faults forward "
                            "{ type filter hook forward priority 0; }")
            for number, name in enumerate(hosts, 1):
                self._add(name, number)
        except BaseException:
            self.close()
            raise

    def _sw(self, *argv, **how):
        return run("ip", "netns", "exec", self.switch, *argv, **how)

    def _add(self, name, number):
        namespace, port = f"{self.prefix}-{name}", f"p-{name}"
        run("ip", "netns", "add", namespace)
        self.hosts[name] = namespace
        self._sw("ip", "link", "add", "name", port, "type", "veth", "peer", "name", "eth0",
                 "netns", namespace)
        self._sw("ip", "link", "set", port, "master", "br0", "up")
        for argv in (("ip", "link", "set", "lo", "up"), ("ip", "link", "set", "eth0", "up"),
                     ("ip", "addr", "add", f"10.9.0.{number}/24", "dev", "eth0"),
                     ("ip", "addr", "add", f"fd09::{number}/64", "dev", "eth0", "nodad")):
            self.run(name, *argv)

    def address(self, name, family=4):
        number = list(self.hosts).index(name) + 1
        return f"10.9.0.{number}" if family == 4 else f"[fd09::{number}]"

    def port(self, name):
        """The bridge's port that the host is behind."""
        return f"r-{name}" if name in self.relays else f"p-{name}"

    def inside(self, name, *argv):
        """The argv that runs a command in that host's namespace (it execs: same pid)."""
        return ["ip", "netns", "exec", self.hosts[name], *[str(part) for part in argv]]

    def run(self, name, *argv, **how):
        return run(*self.inside(name, *argv), **how)

    def _rule(self, text):
        self._sw("nft", f"add rule bridge faults forward {text}")

    def mute(self, name):
        """Nothing of what it sends arrives."""
        self._rule(f"iifname {self.port(name)} drop")

    def deaf(self, name):
        """Nothing arrives at it."""
        self._rule(f"oifname {self.port(name)} drop")

    def cut_off(self, name):
        self.mute(name)
        self.deaf(name)

    def lose(self, percent, name=None):
        """So much of everything, or of what one host sends and gets, by chance."""
        for way in ("iifname", "oifname") if name else ("",):
            port = f"{way} {self.port(name)} " if name else ""
            self._rule(f"{port}numgen random mod 100 < {percent} drop")

    def delay(self, name, milliseconds):
        """All that the host sends and gets comes so much later. Stays until the end."""
        inner, outer = f"q-{name}", f"r-{name}"
        for each in self.hosts if not self.relays else ():
            self.run(each, sys.executable, HERE / "delay.py", "plain", "eth0", check=False)
        self._sw("ip", "link", "add", "name", outer, "type", "veth", "peer", "name", inner)
        for port in (inner, outer, f"p-{name}"):
            self._sw("ip", "link", "set", port, "addrgenmode", "none")
        relay = subprocess.Popen(
            ["ip", "netns", "exec", self.switch, sys.executable, HERE / "delay.py", "relay",
             str(milliseconds), f"p-{name}", inner],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.relays[name] = relay
        self._sw("ip", "link", "set", inner, "up")
        self._sw("ip", "link", "set", f"p-{name}", "nomaster")
        self._sw("ip", "link", "set", outer, "master", "br0", "up")
        assert relay.stdout.readline() == "ready\n"

    def heal(self):
        self._sw("nft", "flush chain bridge faults forward")

    def power_off(self, name):
        """The host is gone at once, with all that runs in it cut from the net."""
        self._sw("ip", "link", "del", f"p-{name}")

    def close(self):
        for relay in self.relays.values():
            relay.stdin.close()
            relay.wait()
            relay.stdout.close()
        for namespace in [*self.hosts.values(), self.switch]:
            with contextlib.suppress(OSError):
                run("ip", "netns", "del", namespace, check=False)
