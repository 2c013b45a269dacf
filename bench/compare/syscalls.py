"""System calls a request, counted in the kernel by perf, which disturbs a peer less than strace does."""

import os
import tempfile
from dataclasses import replace

from measure import LoadProcess
from processes import process_tree

RATE_MIN = 0.001  # calls a request below which a call is left out


class PerfAround:
    """A load generator with `perf stat` around it that counts in other processes."""

    program = "perf"

    def __init__(self, load, pids, output_path):
        self.load = load
        self.pids = pids
        self.output_path = output_path

    def command(self, *arguments):
        return ["perf", "stat", "-x", ",", "-o", self.output_path, "-e", "syscalls:sys_enter_*",
                "-p", ",".join(map(str, self.pids)), "--", *self.load.command(*arguments)]

    def parse(self, output):
        return self.load.parse(output)


def count_syscalls(case, peer, setting):
    """{system call: calls a request}, the most frequent first."""
    handle, path = tempfile.mkstemp(dir=setting.directory)
    os.close(handle)
    load = PerfAround(case.load, process_tree(setting.children[peer.name].pid), path)
    with LoadProcess(replace(case, load=load), peer, setting.options.seconds, setting.options) as running:
        seen = running.result()
    with open(path, encoding="ascii") as file:
        counts = parse_counts(file)
    rates = {name: count / max(seen.requests, 1) for name, count in counts.items()}
    return {name: rate for name, rate in sorted(rates.items(), key=lambda item: -item[1]) if rate >= RATE_MIN}


def parse_counts(lines):
    counts = {}
    for line in lines:
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            counts[fields[2].removeprefix("syscalls:sys_enter_").removesuffix(":u")] = int(fields[0])
    return counts
