#!/usr/bin/python3
"""Compares the router with its peers, side by side in one run. README.md says how to read the figures."""

import argparse
import datetime
import os
import shutil
import signal
import sys

sys.dont_write_bytecode = True  # leaves nothing beside the sources

from cases import CASES  # noqa: E402
from measure import measure  # noqa: E402
from peers import PEERS  # noqa: E402
from processes import BenchError  # noqa: E402
from report import FOREIGN_PERCENT_NOTED, gather, passed, print_results, write_json  # noqa: E402
from setting import Setting, problem_of_answers  # noqa: E402
from syscalls import count_syscalls  # noqa: E402

FAILED, USAGE, INTERRUPTED = 1, 2, 130
TOOLS = ("wrk", "taskset", "setpriv")


def fail(message, code=FAILED):
    print(f"compare.py: {message}", file=sys.stderr)
    sys.exit(code)


def bar(text):
    peer, _, limit = text.partition("=")
    return peer, float(limit)


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parse_options(arguments):
    parser = argparse.ArgumentParser(
        description="Interleaves peers on one node that answers from memory; reports CPU per request, ratios, JSON.",
        epilog="Exit codes: 0 fine; 1 a bar missed, an invalid run, or a peer that cannot run; 2 usage; 130 Ctrl-C.")
    cases, peers = [case.name for case in CASES], [peer.name for peer in PEERS]
    parser.add_argument("--case", action="append", choices=cases, help="only this case (may be repeated)")
    parser.add_argument("--peer", action="append", choices=peers, help="only this peer (may be repeated)")
    parser.add_argument("--subject", choices=peers, default="fealty", help="whom the ratios are of (default fealty)")
    parser.add_argument("--bar", action="append", type=bar, default=[], metavar="PEER=RATIO",
                        help="exit code 1 if the median ratio of CPU per request, subject / PEER, is above RATIO")
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--seconds", type=positive, default=3, help="length of one timed run")
    parser.add_argument("--warmup-seconds", type=positive, default=1)
    parser.add_argument("--connections", type=positive, default=64)
    parser.add_argument("--json", metavar="FILE", help="write everything found to FILE")
    parser.add_argument("--syscalls", action="store_true", help="also count system calls a request (needs perf)")
    parser.add_argument("--fealty", metavar="PATH", help="the router (default build/bin/fealty-router)")
    parser.add_argument("--backend", metavar="PATH", help="the node (default: the one built, else compiled anew)")
    parser.add_argument("--peer-cpu", type=int, default=0, help="the peers' CPU (default 0)")
    parser.add_argument("--load-cpu", type=int, default=1, help="the CPU of wrk and the node (default 1)")
    parser.add_argument("--list", action="store_true", help="list cases and peers, and end")
    options = parser.parse_args(arguments)
    options.bars = dict(options.bar)
    for name in options.bars:
        if name not in peers or name == options.subject:
            parser.error(f"--bar: {name} is not a peer to compare with; there are: {', '.join(peers)}")
    return options


def print_list(peers):
    for case in CASES:
        print(f"case  {case.name:<14} {case.about}")
    for peer in peers:
        print(f"peer  {peer.name:<14} {peer.missing() or peer.version()}")


def choose_peers(peers, options):
    """Those asked for, or all that are there. One that was asked for, or that a bar needs, must be there."""
    chosen = [peer for peer in peers if not options.peer or peer.name in options.peer]
    needed = set(options.peer or []) | ({options.subject, *options.bars} if options.bars else set())
    for name in needed - {peer.name for peer in chosen}:
        fail(f"--bar needs {name}, but --peer leaves it out", USAGE)
    for peer in chosen:
        if peer.missing() and peer.name in needed:
            fail(f"{peer.name} was asked for and cannot run: {peer.missing()}")
        if peer.missing():
            print(f"skipped {peer.name}: {peer.missing()}", file=sys.stderr)
    return [peer for peer in chosen if not peer.missing()]


def choose_cases(options):
    return [case for case in CASES if not options.case or case.name in options.case]


def check_machine(options):
    for tool in TOOLS + (("perf",) if options.syscalls else ()):
        if not shutil.which(tool):
            fail(f"no program {tool}")
    missing = {options.peer_cpu, options.load_cpu} - os.sched_getaffinity(0)
    if missing or options.peer_cpu == options.load_cpu:
        fail(f"CPUs {options.peer_cpu} and {options.load_cpu} must be two different ones that it may use: "
             "see --peer-cpu and --load-cpu")
    os.sched_setaffinity(0, {options.load_cpu})  # this script must not disturb the peers either


def run_case(case, setting):
    """All rounds of a case; the peers take turns, and another one begins each round."""
    peers = [peer for peer in setting.peers if case.needs <= peer.offers]
    for peer in peers:
        problem = problem_of_answers(peer, case.host, case.path, case.body_bytes)
        if problem:
            raise BenchError(f"{peer.name}: {problem}")
    samples = []
    for number in range(setting.options.rounds):
        turn = number % max(len(peers), 1)
        for peer in peers[turn:] + peers[:turn]:
            samples.append(measure(case, peer, setting, number + 1))
            print_progress(samples[-1], setting.options.rounds)
    order = {peer.name: index for index, peer in enumerate(peers)}
    return sorted(samples, key=lambda sample: order[sample.peer])


def print_progress(sample, rounds):
    trouble = f"  INVALID: {'; '.join(sample.problems)}" if sample.problems else ""
    if sample.foreign_cpu_percent >= FOREIGN_PERCENT_NOTED:
        trouble += f"  (others: {sample.foreign_cpu_percent:.0f} % of a CPU)"
    print(f"{sample.case} {sample.round}/{rounds} {sample.peer:<14} {sample.cpu_us_per_request:7.2f} us/request "
          f"{sample.requests_per_second:8.0f} requests/s{trouble}", file=sys.stderr, flush=True)


def run(options, peers):
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    cases = choose_cases(options)
    samples, syscalls = [], {}
    with Setting(options, peers) as setting:
        for case in cases:
            samples += run_case(case, setting)
            if options.syscalls:
                syscalls[case.name] = {peer.name: count_syscalls(case, peer, setting)
                                       for peer in peers if case.needs <= peer.offers}
    return gather(options, peers, samples, syscalls, started)


def main(arguments):
    options = parse_options(arguments)
    peers = [peer(options) for peer in PEERS]
    if options.list:
        print_list(peers)
        return 0
    peers = choose_peers(peers, options)
    if not peers:
        fail("no peer can run")
    check_machine(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(128 + signal.SIGHUP))
    try:
        results = run(options, peers)
    except (BenchError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    print_results(results)
    if options.json:
        write_json(options.json, results)
    return 0 if passed(results) else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
