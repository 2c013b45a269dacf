#!/usr/bin/python3
"""Sends HTTP/1 cases to a router and compares what it does with what the case expects.

    replay_corpus.py --corpus FILE --port N [--host H] [--subscribe SOCKET]
                     [--vhost NAME] [--connections N]

FILE holds a JSON object a line: id, src, b64 (the bytes to send), expect and note.
Each case gets a connection of its own; its bytes are sent as they are, and the sending
side is closed, so that a request that never ends is seen to end.

    accept   the first answer is not one that a router gives to a request that it cannot
             read (400, 431, 501, 505): the request was routed, if only to a 404
    reject   one of those statuses as the last answer, or no answer at all: whatever came
             before the broken part may have been routed
    any      whatever it does, it answers or closes in time

With --subscribe, a node of the script's own is announced at the router's subscription
socket for every Host that the cases name. Without it they end in a 404, which a router
says as soon as it has read a head: faults in bodies are only seen with it.

Prints each mismatch, then a summary; ends with 0 if there was none, else 1. --vhost
is the Host of one more request after them all, to see that the router still serves.
The faults that only a judge can weigh (data after the last request of a connection is
ignored, not refused) are printed like the others.
"""
import sys

sys.dont_write_bytecode = True

import argparse
import base64
import collections
import concurrent.futures
import json
import os
import re
import socket

import harness
import nodes
import packets

REFUSALS = {400, 431, 501, 505}
SECONDS = 5 * float(os.environ.get("FEALTY_SLOW") or 1)
ANSWER_BYTES_MAX = 1 << 20


def exchange(address, data):
    """All that comes back; None where nothing came and the connection stayed open."""
    received = bytearray()
    try:
        with socket.create_connection(address, timeout=SECONDS) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it may have answered and closed before it had all
            while piece := connection.recv(65536):
                received += piece
                if len(received) > ANSWER_BYTES_MAX:
                    break
    except TimeoutError:
        return bytes(received) or None
    except OSError:
        pass
    return bytes(received)


def statuses(answers):
    """The statuses of the final answers in a stream; -1 ends it where it is no HTTP.

    A chunked answer's body is skipped only as far as the next status line.
    """
    found = []
    while answers:
        line = answers.partition(b"\r\n")[0].split(b" ")
        if not line[0].startswith(b"HTTP/1.") or len(line) < 2 or not line[1].isdigit():
            return found + [-1]
        head, _, rest = answers.partition(b"\r\n\r\n")
        if not line[1].startswith(b"1"):
            found.append(int(line[1]))
        length = re.search(rb"\r\nContent-Length: *(\d+)", head, re.IGNORECASE)
        if length:
            answers = rest[int(length[1]):]
        else:
            at = rest.find(b"HTTP/1.")
            answers = rest[at:] if at >= 0 else b""
    return found


def verdict(expect, answer):
    """None if the answer is as expected, else what it was instead."""
    if answer is None:
        return "neither an answer nor the end of the connection"
    found = statuses(answer)
    if -1 in found:
        return f"no HTTP answer: {answer[:60]!r}"
    if expect == "accept" and not found:
        return "closed without an answer"
    if expect == "accept" and found[0] in REFUSALS:
        return f"refused with {found[0]}"
    if expect == "reject" and found and found[-1] not in REFUSALS:
        return f"routed: {found}"
    return None


def read_cases(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                case = json.loads(line)
                yield case, base64.b64decode(case["b64"])


def replay(cases, address, connections):
    """[(case, data, what is wrong or None)] in the order of the cases."""
    with concurrent.futures.ThreadPoolExecutor(connections) as pool:
        answers = pool.map(lambda case: exchange(address, case[1]), cases)
        return [(case, data, verdict(case["expect"], answer))
                for (case, data), answer in zip(cases, answers)]


def hosts(cases):
    """The names in the cases' Host headers and absolute targets, as a router finds them."""
    found = set()
    for _, data in cases:
        for host in re.findall(rb"(?im)^host:[ \t]*([A-Za-z0-9.-]+)|https?://([A-Za-z0-9.-]+)",
                               data):
            found.add((host[0] or host[1]).decode().lower().rstrip("."))
    return found - {""}


def announce_node(scene, names, subscription_socket):
    """A node that answers any request after its body; announced under all the names."""
    node = nodes.Node(scene, "corpus")
    for name in names:
        packets.send(packets.subscription(name, node.address), subscription_socket)
    return node


def still_serves(address, host):
    asked = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    return bool(statuses(exchange(address, asked) or b""))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="where the router is")
    parser.add_argument("--vhost", default="example.com", help="a Host to ask for at the end")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--subscribe", help="the router's subscription socket, a path")
    options = parser.parse_args()
    address, cases = (options.host, options.port), list(read_cases(options.corpus))
    scene = harness.Scene()
    try:
        if options.subscribe:
            names = sorted(hosts(cases))
            announce_node(scene, names, options.subscribe)
            harness.wait_until(lambda: answered(address, names), "every host is answered")
        results = replay(cases, address, options.connections)
    finally:
        scene.close()
    return report(results, still_serves(address, options.vhost))


def answered(address, names):
    """Whether no name gets a 404 any more, from several connections' workers."""
    asked = "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n"
    return all(statuses(exchange(address, asked.format(name).encode())) == [200]
               for name in names for _ in range(4))


def report(results, alive):
    """Prints the mismatches and the counts; the exit code."""
    counts = collections.Counter()
    for case, data, wrong in results:
        counts[case["expect"], wrong is None] += 1
        if wrong:
            print(f"{case['id']}: expected {case['expect']}, {wrong}\n"
                  f"    note: {case.get('note', '')}\n    sent: {data[:200]!r}")
    for expect in sorted({expect for expect, _ in counts}):
        print(f"{expect}: {counts[expect, True]} as expected, {counts[expect, False]} not")
    if not alive:
        print("the router does not answer any more")
    return 0 if alive and all(wrong is None for _, _, wrong in results) else 1


if __name__ == "__main__":
    sys.exit(main())
