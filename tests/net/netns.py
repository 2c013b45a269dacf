"""Hosts in network namespaces around a switch, and faults between them.

A Net is a namespace with a bridge; each host is another one, with `eth0` at
10.9.0.N/24 (and fd09::N/64) on that bridge. Names carry the process's id, so nets of
several runs stand beside each other; close() takes everything away. Needs root.
"""
import contextlib
import itertools
import os
import subprocess

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
        self.hosts = {}
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

    def address(self, name):
        return f"10.9.0.{list(self.hosts).index(name) + 1}"

    def inside(self, name, *argv):
        """The argv that runs a command in that host's namespace (it execs: same pid)."""
        return ["ip", "netns", "exec", self.hosts[name], *[str(part) for part in argv]]

    def run(self, name, *argv, **how):
        return run(*self.inside(name, *argv), **how)

    def _rule(self, text):
        self._sw("nft", f"add rule bridge faults forward {text}")

    def mute(self, name):
        """Nothing of what it sends arrives."""
        self._rule(f"iifname p-{name} drop")

    def deaf(self, name):
        """Nothing arrives at it."""
        self._rule(f"oifname p-{name} drop")

    def cut_off(self, name):
        self.mute(name)
        self.deaf(name)

    def lose(self, percent):
        """So much of everything, by chance."""
        self._rule(f"numgen random mod 100 < {percent} drop")

    def heal(self):
        self._sw("nft", "flush chain bridge faults forward")

    def power_off(self, name):
        """The host is gone at once, with all that runs in it cut from the net."""
        self._sw("ip", "link", "del", f"p-{name}")

    def close(self):
        for namespace in [*self.hosts.values(), self.switch]:
            with contextlib.suppress(OSError):
                run("ip", "netns", "del", namespace, check=False)
