"""One measurement: a warm-up that also watches keep-alive, then a timed run with the CPU clocks around it."""

import resource
import subprocess
import time
from dataclasses import asdict, dataclass, fields

from node_link import requests_served
from processes import BenchError, busy_ns, client_ports, cpu_ns, end, pinned

OPENING_SECONDS = 2.0
POLL_SECONDS = 0.01
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Sample:
    """What one peer did in one round of one case."""

    case: str
    peer: str
    round: int
    requests: int
    seconds: float
    cpu_us_per_request: float        # the peer's whole process tree, user and system
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    peer_cpu_percent: float          # of its one CPU
    load_cpu_percent: float          # how busy the CPU of load and node was: near 100, they were the limit
    foreign_cpu_percent: float       # of the busier of the two CPUs, used by neither peer, node nor load
    node_us_per_request: float
    connections_kept: int            # of the warm-up's, open from its start to its end
    errors: dict
    problems: list                   # each makes the run invalid
    notes: list

    def as_dict(self):
        return asdict(self)


class LoadProcess:
    """A load generator under way; ended if it is left early."""

    def __init__(self, case, peer, seconds, options):
        self.load = case.load
        self.seconds = seconds
        command = self.load.command(peer.url(case), case.host, seconds, options.connections)
        self.process = subprocess.Popen(
            pinned(command, options.load_cpu), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)

    def result(self):
        try:
            output, _ = self.process.communicate(timeout=self.seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired as late:
            raise BenchError(f"{self.load.program} does not end") from late
        if self.process.returncode != 0:
            raise BenchError(f"{self.load.program} ended with {self.process.returncode}:\n{output}")
        return self.load.parse(output)


def warm_up(case, peer, options):
    """Returns how many of the connections opened first are still there at the end."""
    started = time.monotonic()
    with LoadProcess(case, peer, options.warmup_seconds, options) as load:
        first = set()
        while len(first) < options.connections and time.monotonic() < started + OPENING_SECONDS:
            first = client_ports(peer.port)
            time.sleep(POLL_SECONDS)
        time.sleep(max(0.0, started + options.warmup_seconds * 0.8 - time.monotonic()))
        last = client_ports(peer.port)
        load.result()
    return len(first & last)


def measure(case, peer, setting, round_number):
    options = setting.options
    kept = warm_up(case, peer, options)
    served_before = requests_served(peer.node_path)
    before = read_clocks(peer, setting)
    with LoadProcess(case, peer, options.seconds, options) as load:
        seen = load.result()
    used = read_clocks(peer, setting) - before
    setting.check_alive()
    served = requests_served(peer.node_path) - served_before
    requests = max(seen.requests, 1)
    return Sample(
        case=case.name, peer=peer.name, round=round_number, requests=seen.requests, seconds=seen.seconds,
        cpu_us_per_request=used.peer / 1000 / requests,
        requests_per_second=seen.requests / seen.seconds,
        p50_ms=seen.p50_ms, p99_ms=seen.p99_ms,
        peer_cpu_percent=100 * used.peer / used.wall,
        load_cpu_percent=100 * used.load_cpu / used.wall,
        foreign_cpu_percent=100 * used.foreign() / used.wall,
        node_us_per_request=used.node / 1000 / requests,
        connections_kept=kept, errors=seen.errors,
        problems=problems_of(case, seen, kept, served, options),
        notes=notes_of(case, seen, 100 * used.foreign() / used.wall))


@dataclass(frozen=True)
class Clocks:
    """Nanoseconds: used by a process, or not idle of a CPU."""

    peer: int
    node: int
    load: int  # the load generators that have ended, and this script
    peer_cpu: int
    load_cpu: int
    wall: int

    def __sub__(self, earlier):
        return Clocks(*(getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)))

    def foreign(self):
        return max(0, self.peer_cpu - self.peer, self.load_cpu - self.node - self.load)


def read_clocks(peer, setting):
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Clocks(
        peer=cpu_ns(setting.children[peer.name].pid),
        node=cpu_ns(setting.node.pid),
        load=int((ended.ru_utime + ended.ru_stime) * 1e9) + time.process_time_ns(),
        peer_cpu=busy_ns(setting.options.peer_cpu),
        load_cpu=busy_ns(setting.options.load_cpu),
        wall=time.monotonic_ns())


def problems_of(case, seen, kept, served, options):
    problems = [f"{count} {kind} errors" for kind, count in seen.errors.items()]
    if seen.requests == 0:
        problems.append("no request was answered")
    if seen.bytes < seen.requests * case.body_bytes:
        problems.append(f"answers too short: {seen.bytes} bytes for {seen.requests} requests")
    if served < seen.requests:
        problems.append(f"not the node's answers: it took {served} requests of {seen.requests}")
    if kept < options.connections:
        problems.append(f"keep-alive is broken: {kept} of {options.connections} connections were kept")
    return problems


def notes_of(case, seen, foreign_percent):
    if seen.p99_ms < case.stall_ms:
        return []
    return [f"p99 of {seen.p99_ms:.1f} ms is not below {case.stall_ms:g} ms: is it a 40 ms delayed ACK? "
            f"(others used {foreign_percent:.0f} % of a CPU)"]
