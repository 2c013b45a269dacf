#!/usr/bin/python3
"""Measures failover in network namespaces: three hosts, a client on a fourth.

    bench/legion/failover_bench.py [--wire sealed|uwsgi|keepalived] [--runs N] [--json FILE] [FAULT...]

For each fault of the Lord: seconds without an answer at the client (a probe each 10 ms) and
seconds in which two hosts had the address. freq 1 s, tolerance 3 s. Needs root, nft and
iproute2; leaves nothing behind. FEALTY_BIN_DIR: where fealty-legion is.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "net"))

import failover  # noqa: E402
import netns  # noqa: E402


def measure(wire, fault):
    with tempfile.TemporaryDirectory(prefix="fealty-bench-") as directory:
        stage = failover.Stage(directory, wire=wire)
        try:
            stage.wait_for("a")
            time.sleep(1.5 + time.monotonic() % 1)   # another phase of the rounds each time
            since = time.monotonic()
            failover.FAULTS[fault](stage, "a")
            # (After kill -9 of keepalived the killed one's host goes on to answer.)
            try:
                failover.wait_until(lambda: "b" in stage.holder_names(), "b takes it", 15)
            except AssertionError:
                return float("inf"), 0.0             # nobody takes over
            time.sleep(3.5)                          # what a tolerance still brings
            return stage.outage(since), stage.overlap(since)
        finally:
            stage.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wire", choices=("sealed", "uwsgi", "keepalived"), default="sealed",
                        help="keepalived: that one instead, VRRP advertisements each second")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("faults", nargs="*", default=[])
    asked = parser.parse_args()
    if not netns.usable():
        parser.exit(1, "needs root, network namespaces and nft\n")
    results = {}
    print(f"{asked.wire}, freq 1 s, tolerance 3 s, {asked.runs} runs each")
    print(f"{'fault':12} {'without an answer, s':>30} {'two holders, s':>24}")
    for fault in asked.faults or failover.FAULTS:
        found = [measure(asked.wire, fault) for _ in range(asked.runs)]
        results[fault] = [{"outage_s": None if outage == float("inf") else round(outage, 3),
                           "overlap_s": round(overlap, 3)}
                          for outage, overlap in found]
        print(f"{fault:12} {' '.join(f'{outage:6.2f}' for outage, _ in found):>30} "
              f"{' '.join(f'{overlap:6.2f}' for _, overlap in found):>24}", flush=True)
    if asked.json:
        asked.json.write_text(json.dumps({"wire": asked.wire, "faults": results}, indent=2))


if __name__ == "__main__":
    main()
