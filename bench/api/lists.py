#!/usr/bin/python3
"""Measures an account of 10,000 containers, domains and alarms.

    bench/api/lists.py [--database sqlite|postgresql] [--objects N] [--requests N] [--json FILE]

Starts a fealty-api of its own, fills its store, and prints the median and the 95th percentile
of each kind of request in milliseconds, the bytes of the answer, and the process's memory. One
client, one request at a time, a connection each, as the router has it. No figure decides
anything. FEALTY_BIN_DIR: where the programs are.
"""
import argparse
import json
import pathlib
import sqlite3
import statistics
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "integration"))

import api_stage  # noqa: E402
import harness  # noqa: E402

NUMBERS = {"sqlite": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                     "WHERE i < {0}) SELECT i FROM n) AS n",
           "postgresql": "generate_series(1, {0}) AS n(i)"}
CONTAINERS = """INSERT INTO containers (name, customer_id, server_id, memory, storage, uuid,
    secret_uuid, alarm_key, custom_distros_storage, nofollow, note, quota_threshold, alarm_freq,
    jid, jid_secret, jid_destinations, pushover_user, pushover_token, pushover_sound,
    pushbullet_token, slack_webhook, ssh_keys, ssh_keys_mtime, mtime, distro_id)
    SELECT 'container ' || i, {customer}, {server}, 1, 1, {uuid}, {uuid}, {uuid}, 0, 0, '', 90,
    60, '', '', '', '', '', '', '', '', '[]', 0, 0, {distro} FROM {numbers}"""
DOMAINS = """INSERT INTO domains (name, customer_id, uuid, note, mtime)
    SELECT 'd' || i || '.example.com', {customer}, {uuid}, '', 0 FROM {numbers}"""
ALARMS = """INSERT INTO alarms (container_id, customer_id, unix, level, color, class, vassal, line, filename,
    func, msg) SELECT (SELECT min(id) FROM containers WHERE customer_id = {customer}) + i % 100,
    {customer}, 1000000 + i, 1, '#ffffff', 'class', 'vassal.ini', i, 'app.py', 'f',
    'something went wrong in request number ' || i FROM {numbers}"""
UUID = {"sqlite": "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || "
                  "substr(hex(randomblob(2)), 2) || '-a' || substr(hex(randomblob(2)), 2) || "
                  "'-' || hex(randomblob(6)))",
        "postgresql": "gen_random_uuid()::text"}


def fill(api, cluster, database, customer, count):
    server = api.server(customer, memory=10**6, storage=10**6)
    distro = api.made("distros", name="Debian 12", path="/distros/bookworm")
    parts = {"customer": customer.id, "server": server["id"], "distro": distro["id"],
             "uuid": UUID[database], "numbers": NUMBERS[database].format(count)}
    statements = [each.format(**parts) for each in (CONTAINERS, DOMAINS, ALARMS)] + ["ANALYZE"]
    # What lies in clear is sealed at the next start.
    statements.append("DELETE FROM settings WHERE name = 'sealed_alarm_keys'")
    api.end()
    if database == "sqlite":
        with sqlite3.connect(api.directory / "api.db", timeout=30) as store:
            for statement in statements:
                store.execute(statement)
    else:
        name = api.config["database"].rpartition("/")[2]
        for statement in statements:
            assert cluster.try_psql(statement, name)
    api.start()


def measure(customer, path, requests):
    def get():
        return api_stage.request(customer.api.port, "GET", "/api" + path, None, customer.basic)
    reply = get()
    assert reply.status == 200, reply
    times = []
    for _ in range(requests):
        begun = time.perf_counter()
        get()
        times.append(1000 * (time.perf_counter() - begun))
    times.sort()
    return {"median_ms": round(statistics.median(times), 2),
            "p95_ms": round(times[int(0.95 * (len(times) - 1))], 2), "bytes": len(reply.data)}


def run(api, cluster, options):
    customer = api_stage.Customer(api)
    fill(api, cluster, options.database, customer, options.objects)
    uid = customer.get("/containers", limit=1).json[0]["uid"]
    domain = customer.get("/domains", limit=1).json[0]["id"]
    alarm = customer.get("/alarms", limit=1).json[0]["id"]
    figures = {path: measure(customer, path, options.requests) for path in [
        "/containers", "/domains", "/alarms", "/containers?limit=100", f"/containers/{uid}",
        f"/domains/{domain}", f"/alarms/{alarm}", "/distros"]}
    status = pathlib.Path(f"/proc/{api.process.pid}/status").read_text()
    memory = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return figures, int(memory[0].split()[1]) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=api_stage.DATABASES, default="sqlite")
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--json")
    options = parser.parse_args()
    scene = harness.Scene()
    cluster = api_stage.Postgresql() if options.database == "postgresql" else None
    try:
        figures, memory = run(api_stage.Api(scene, options.database, cluster), cluster, options)
    finally:
        scene.close()
        if cluster:
            cluster.stop()
    for path, found in figures.items():
        print(f"{path:24} {found['median_ms']:8.2f} ms   95 % {found['p95_ms']:8.2f} ms "
              f"{found['bytes']:10} bytes")
    print(f"memory at most {memory} MiB ({options.database}, {options.objects} objects)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {"database": options.database, "objects": options.objects, "memory_mib": memory,
             "requests": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
