"""Load generators. Each runs once against one URL and says what it saw."""

import json
import os
from dataclasses import dataclass

DONE_SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wrk_done.lua")
ERROR_KINDS = ("connect", "read", "write", "status", "timeout")


@dataclass(frozen=True)
class LoadResult:
    requests: int
    bytes: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: dict  # by kind, only those above 0; "status" is an answer of 400 or more


class Wrk:
    """wrk with one thread and keep-alive connections, as many requests as it gets through."""

    program = "wrk"

    def command(self, url, host, seconds, connections):
        return [self.program, "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s", "--latency",
                "-H", f"Host: {host}", "-s", DONE_SCRIPT, url]

    def parse(self, output):
        seen = json.loads(output.strip().splitlines()[-1])
        return LoadResult(
            requests=seen["requests"],
            bytes=seen["bytes"],
            seconds=seen["duration_us"] / 1e6,
            p50_ms=seen["p50_us"] / 1000,
            p99_ms=seen["p99_us"] / 1000,
            errors={kind: seen[kind] for kind in ERROR_KINDS if seen[kind] > 0})
