"""Looks at a floating address from inside: run in a host's namespace by failover.py.

    watch.py holder ADDRESS            a line per change: TIME 1|0 (this host has it)
    watch.py echo PORT NAME            answers each datagram with NAME
    watch.py probe ADDRESS PORT        a line per probe: TIME NAME|- (who answered)
    watch.py http ADDRESS HOST         the same of requests; TIME is the answer's, or, where
                                       there is none within three seconds, the request's

TIME is the monotonic clock in seconds, the same in all namespaces. Ends with its
standard input.
"""
import select
import socket
import sys
import threading
import time


def ended(seconds):
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def holder(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    had = None
    while not ended(0.003):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((address, 0))
                has = 1
            except OSError:
                has = 0
        if has != had:
            print(f"{time.monotonic():.4f} {has}", flush=True)
            had = has


def echo(port, name):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Answers must leave from the address that was asked.
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        server.bind(("::", int(port)))
        print("ready", flush=True)
        while True:
            ready = select.select([server, sys.stdin], [], [])[0]
            if sys.stdin in ready:
                return
            data, control, _, peer = server.recvmsg(64, 256)
            try:
                server.sendmsg([data + b" " + name.encode()], control, 0, peer)
            except OSError:
                pass


def probe(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    answered = {}
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)

        def listen():
            while True:
                try:
                    number, _, name = client.recv(64).decode().partition(" ")
                    answered[int(number)] = name
                except TimeoutError:
                    continue
                except OSError:
                    return
        threading.Thread(target=listen, daemon=True).start()
        number, sent = 0, {}
        while not ended(0.01):
            number += 1
            sent[number] = time.monotonic()
            try:
                client.sendto(str(number).encode(), (address, int(port)))
            except OSError:
                pass
            late = number - 30
            if late in sent:
                print(f"{sent.pop(late):.4f} {answered.pop(late, '-')}", flush=True)


def http(address, host):
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    slots = threading.Semaphore(200)

    def ask():
        began = at = time.monotonic()
        name = "-"
        try:
            with socket.create_connection((address, 80), timeout=3) as client:
                client.sendall(request)
                answer = b""
                while part := client.recv(65536):
                    answer += part
            if time.monotonic() - began < 3 and answer.startswith(b"HTTP/1.1 200 "):
                name, at = answer.rpartition(b"\r\n\r\n")[2].decode().strip(), time.monotonic()
        except OSError:
            pass
        finally:
            slots.release()
        sys.stdout.write(f"{at:.4f} {name}\n")
        sys.stdout.flush()

    while not ended(0.02):
        slots.acquire()
        threading.Thread(target=ask, daemon=True).start()


if __name__ == "__main__":
    {"holder": holder, "echo": echo, "probe": probe, "http": http}[sys.argv[1]](*sys.argv[2:])
