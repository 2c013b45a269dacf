#!/usr/bin/python3
"""Handshakes a CPU-second, full and resumed, and the memory of idle TLS connections: the router beside nginx and
HAProxy with a key, curve and protocol alike, interleaved in one run. README.md says how to read it.
"""

import argparse
import os
import resource
import socket
import ssl
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cases import HTTPS, HTTP_HOST  # noqa: E402
from peers import PEERS  # noqa: E402
from processes import BenchError, cpu_ns, process_tree  # noqa: E402
from setting import Setting  # noqa: E402

SUBJECT = "fealty-https"
REQUEST = f"GET /10 HTTP/1.1\r\nHost: {HTTP_HOST}\r\n\r\n".encode()


def parse_options(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--handshakes", type=int, default=200, help="of each kind, a round")
    parser.add_argument("--idle", type=int, default=10_000, help="connections that are held; 0: none")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--bar", type=float, help="exit code 1 if a figure is worse than the best one's by this factor")
    parser.add_argument("--fealty", metavar="PATH")
    parser.add_argument("--backend", metavar="PATH")
    parser.add_argument("--peer-cpu", type=int, default=0)
    parser.add_argument("--load-cpu", type=int, default=1)
    return parser.parse_args(arguments)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.set_ecdh_curve("prime256v1")
    return made


def connect(peer, tls, session=None):
    plain = socket.create_connection(("127.0.0.1", peer.port), timeout=20)
    return tls.wrap_socket(plain, server_hostname=HTTP_HOST, session=session)


def ask(connection):
    """One request, so that both ends are done with the handshake and the ticket has come."""
    connection.sendall(REQUEST)
    if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
        raise BenchError("a request was not answered")


def handshakes_a_cpu_second(peer, pid, count, resumed):
    tls = context()
    session = None
    if resumed:
        with connect(peer, tls) as first:
            ask(first)
            session = first.session
    began = cpu_ns(pid)
    for _ in range(count):
        with connect(peer, tls, session) as connection:
            ask(connection)
            if connection.session_reused != resumed:
                raise BenchError(f"{peer.name}: a session was{'' if connection.session_reused else ' not'} resumed")
            if resumed:
                session = connection.session
    return count / ((cpu_ns(pid) - began) / 1e9)


def rss_kib(pid):
    total = 0
    for process in process_tree(pid):
        with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("Rss:"))
    return total


def idle_kib(peer, pid, count):
    tls = context()
    held = []
    try:
        before = rss_kib(pid)
        for _ in range(count):
            try:
                held.append(connect(peer, tls))
                ask(held[-1])
            except OSError as error:
                raise BenchError(f"{peer.name}: connection {len(held) + 1}: {error}") from None
        return (rss_kib(pid) - before) / count
    finally:
        for connection in held:
            connection.close()


def report(title, figures, larger_is_better):
    """Prints the medians; returns how much worse the subject is than the best of the others (1: level): the
    median of what it was in each round, since the machine's own pace is another one from round to round."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    print(f"{title}: " + ", ".join(f"{name} {median:.1f}" for name, median in medians.items()), flush=True)

    def worse(other):
        ratios = (theirs / own if larger_is_better else own / theirs
                  for own, theirs in zip(figures[SUBJECT], figures[other]))
        return statistics.median(ratios)
    return max(worse(name) for name in figures if name != SUBJECT)


def main(arguments):
    options = parse_options(arguments)
    os.sched_setaffinity(0, {options.load_cpu})
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    peers = [peer(options) for peer in PEERS if HTTPS <= peer.offers]
    factors = {}
    try:
        with Setting(options, peers) as setting:
            pids = {peer.name: setting.children[peer.name].pid for peer in peers}
            if options.idle:
                memory = {peer.name: [idle_kib(peer, pids[peer.name], options.idle)] for peer in peers}
                factors["idle"] = report(f"KiB an idle connection, of {options.idle}", memory, False)
            for resumed in (False, True):
                rates = {peer.name: [] for peer in peers}
                for number in range(options.rounds):
                    turn = number % len(peers)
                    for peer in peers[turn:] + peers[:turn]:
                        rates[peer.name].append(
                            handshakes_a_cpu_second(peer, pids[peer.name], options.handshakes, resumed))
                title = "resumed" if resumed else "full"
                factors[title] = report(f"{title} handshakes, with a request each, a CPU-second", rates, True)
    except BenchError as error:
        print(f"tls.py: {error}", file=sys.stderr)
        return 1
    for what, factor in factors.items():
        print(f"{what}: {SUBJECT} needs {factor:.3f} of what the better of the others needs")
    return 1 if options.bar and max(factors.values()) > options.bar else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
