#!/usr/bin/python3
"""Measures failover in network namespaces: several hosts, a client on a further one.

    bench/legion/failover_bench.py [--wire sealed|uwsgi|keepalived] [--runs N] [--json FILE] [FAULT...]
    bench/legion/failover_bench.py --cluster HOSTS [--runs N] [--json FILE] [FAULT...]

For each fault of the Lord, or of a host that is not: seconds without an answer at the client
and seconds in which two hosts had the address. freq 1 s, tolerance 3 s. Without --cluster three
hosts, and a probe each 10 ms. With it each host has a router, a fastrouter, a Legion member with
its forwarder and real uWSGI vassals, and the client sends an HTTP request each 20 ms: also how
many had no answer within three seconds. Needs root, nft and iproute2; leaves nothing behind.
FEALTY_BIN_DIR: where the programs are.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "net"))

import cluster as clusters  # noqa: E402
import failover  # noqa: E402
import netns  # noqa: E402


BYSTANDER = "c, "       # a fault of c's, which is not Lord
OF_THE_LORD = {**failover.FAULTS, **failover.WEAKNESSES}
FAULTS = [*OF_THE_LORD, BYSTANDER + "kill -9", BYSTANDER + "power off"]


def inflict(stage, fault):
    """From another phase of the rounds each time: (outage, overlap, probes that failed)."""
    time.sleep(1.5 + time.monotonic() % 1)
    since = time.monotonic()
    bystander = fault.startswith(BYSTANDER)
    OF_THE_LORD[fault.removeprefix(BYSTANDER)](stage, "c" if bystander else "a")
    stays = bystander or fault in failover.WEAKNESSES
    if stays:
        time.sleep(10)
    else:
        # (After kill -9 of keepalived the killed one's host goes on to answer.)
        try:
            failover.wait_until(lambda: "b" in stage.holder_names(), "b takes it", 15)
        except AssertionError:
            return float("inf"), 0.0, 0                   # nobody takes over
        time.sleep(3.5)                                   # what a tolerance still brings
    return stage.outage(since), stage.overlap(since), stage.failed(since)


def measure(wire, fault):
    with tempfile.TemporaryDirectory(prefix="fealty-bench-") as directory:
        stage = failover.Stage(directory, wire=wire)
        try:
            stage.wait_for("a")
            return inflict(stage, fault)
        finally:
            stage.close()


def measure_cluster(hosts, fault):
    with tempfile.TemporaryDirectory(prefix="fealty-bench-") as directory:
        made = clusters.Cluster(directory, "abcdefghi"[:hosts])
        try:
            made.serve_everywhere()
            made.start_probe()
            failover.wait_until(lambda: made.holder_names() == ["a"] and made.last_answer(),
                                "a answers")
            return inflict(made, fault)
        finally:
            made.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wire", choices=("sealed", "uwsgi", "keepalived"), default="sealed",
                        help="keepalived: that one instead, VRRP advertisements each second")
    parser.add_argument("--cluster", type=int, metavar="HOSTS", choices=range(3, 10))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("faults", nargs="*", default=[])
    asked = parser.parse_args()
    if not netns.usable():
        parser.exit(1, "needs root, network namespaces and nft\n")
    what = f"cluster of {asked.cluster}" if asked.cluster else asked.wire
    results = {}
    print(f"{what}, freq 1 s, tolerance 3 s, {asked.runs} runs each")
    print(f"{'fault':16} {'without an answer, s':>30} {'two holders, s':>24} {'failed probes':>20}")
    for fault in asked.faults or FAULTS:
        found = [measure_cluster(asked.cluster, fault) if asked.cluster
                 else measure(asked.wire, fault) for _ in range(asked.runs)]
        results[fault] = [{"outage_s": None if outage == float("inf") else round(outage, 3),
                           "overlap_s": round(overlap, 3), "failed": failed}
                          for outage, overlap, failed in found]
        print(f"{fault:16} {' '.join(f'{outage:6.2f}' for outage, _, _ in found):>30} "
              f"{' '.join(f'{overlap:6.2f}' for _, overlap, _ in found):>24} "
              f"{' '.join(f'{failed:5}' for _, _, failed in found):>20}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"what": what, "faults": results}, indent=2))


if __name__ == "__main__":
    main()
