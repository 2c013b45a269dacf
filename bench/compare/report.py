"""From samples to medians, ratios, bars, a table, and JSON."""

import json
import os
import platform
import statistics

FORMAT = 1
MEASURES = ("cpu_us_per_request", "requests_per_second", "p50_ms", "p99_ms",
            "peer_cpu_percent", "load_cpu_percent", "foreign_cpu_percent", "node_us_per_request")
RATIOS = ("cpu_us_per_request", "requests_per_second", "p99_ms")
FOREIGN_PERCENT_NOTED = 10.0


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def names_in_order(samples, attribute):
    return list(dict.fromkeys(getattr(sample, attribute) for sample in samples))


def summarize(samples):
    """{case: {peer: {measure: {median, min, max}}}}"""
    return {case: {peer: {measure: spread([getattr(s, measure) for s in samples if (s.case, s.peer) == (case, peer)])
                          for measure in MEASURES}
                   for peer in names_in_order([s for s in samples if s.case == case], "peer")}
            for case in names_in_order(samples, "case")}


def ratios(samples, subject):
    """{case: {peer: {measure: {median, min, max}}}} of subject / peer, taken round by round."""
    by_key = {(s.case, s.peer, s.round): s for s in samples}
    found = {}
    for case, peer in dict.fromkeys((s.case, s.peer) for s in samples):
        pairs = [(by_key.get((case, subject, s.round)), s) for s in samples if (s.case, s.peer) == (case, peer)]
        pairs = [(own, other) for own, other in pairs if own]
        if peer != subject and pairs:
            found.setdefault(case, {})[peer] = {
                measure: spread([divide(getattr(own, measure), getattr(other, measure)) for own, other in pairs])
                for measure in RATIOS}
    return found


def divide(own, other):
    return own / other if other else float("inf")


def judge(found, bars):
    """One entry a case and bar: is the median CPU ratio at most the limit? A bar that no case judges is missed."""
    judged = []
    for peer, limit in bars.items():
        of_peer = {case: peers[peer]["cpu_us_per_request"]["median"] for case, peers in found.items() if peer in peers}
        for case, ratio in (of_peer or {"no case": None}).items():
            judged.append({"case": case, "peer": peer, "limit": limit, "ratio": ratio,
                           "met": ratio is not None and ratio <= limit})
    return judged


def gather(options, peers, samples, syscalls, started):
    """All that a run found, in the shape of the JSON file."""
    found = ratios(samples, options.subject)
    return {
        "format": FORMAT,
        "started": started,
        "machine": machine(),
        "settings": {"rounds": options.rounds, "seconds": options.seconds, "connections": options.connections,
                     "warmup_seconds": options.warmup_seconds, "peer_cpu": options.peer_cpu,
                     "load_cpu": options.load_cpu, "subject": options.subject},
        "peers": {peer.name: {"version": peer.version()} for peer in peers},
        "summary": summarize(samples),
        "ratios": found,
        "bars": judge(found, options.bars),
        "syscalls_per_request": syscalls,
        "problems": [f"{s.case}, {s.peer}, round {s.round}: {what}" for s in samples for what in s.problems],
        "notes": [f"{s.case}, {s.peer}, round {s.round}: {what}" for s in samples for what in s.notes],
        "samples": [sample.as_dict() for sample in samples],
    }


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    return {"cpu": model, "cpus": os.cpu_count(), "kernel": platform.release(), "load_average": os.getloadavg()}


def write_json(path, results):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
        file.write("\n")


def print_results(results):
    for case, peers in results["summary"].items():
        print(f"\n{case}")
        print(f"  {'peer':<14}{'CPU us/request (min-max)':>30}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}"
              f"{'CPU %':>7}{'load CPU %':>12}")
        for peer, measures in peers.items():
            print_peer(peer, {name: measures[name]["median"] for name in MEASURES}, measures["cpu_us_per_request"])
        print_ratios(results["settings"]["subject"], results["ratios"].get(case, {}))
        for peer, rates in results["syscalls_per_request"].get(case, {}).items():
            calls = ", ".join(f"{name} {rate:.2f}" for name, rate in rates.items())
            print(f"  {peer}: {sum(rates.values()):.2f} system calls a request: {calls}")
    print_verdict(results)


def print_peer(peer, medians, cpu):
    cpu_text = f"{cpu['median']:.2f} ({cpu['min']:.2f}-{cpu['max']:.2f})"
    print(f"  {peer:<14}{cpu_text:>30}{medians['requests_per_second']:>12.0f}{medians['p50_ms']:>9.2f}"
          f"{medians['p99_ms']:>9.2f}{medians['peer_cpu_percent']:>7.0f}{medians['load_cpu_percent']:>12.0f}")
    if medians["foreign_cpu_percent"] >= FOREIGN_PERCENT_NOTED:
        print(f"    note: others used {medians['foreign_cpu_percent']:.0f} % of a CPU; expect noise")


def print_ratios(subject, found):
    for peer, measures in found.items():
        cpu = measures["cpu_us_per_request"]
        print(f"  {subject} / {peer}: CPU per request {cpu['median']:.3f} ({cpu['min']:.3f}-{cpu['max']:.3f}), "
              f"requests/s {measures['requests_per_second']['median']:.3f}, p99 {measures['p99_ms']['median']:.3f}")


def print_verdict(results):
    print()
    for bar in results["bars"]:
        ratio = "none" if bar["ratio"] is None else f"{bar['ratio']:.3f}"
        print(f"bar {'met' if bar['met'] else 'MISSED'}: {bar['case']} against {bar['peer']}: "
              f"ratio {ratio}, at most {bar['limit']:g}")
    for note in results["notes"]:
        print(f"note: {note}")
    for problem in results["problems"]:
        print(f"INVALID: {problem}")


def passed(results):
    return not results["problems"] and all(bar["met"] for bar in results["bars"])
