"""Passes frames between pairs of interfaces, later: run in the switch's namespace by netns.py,
for kernels without netem.

    delay.py relay MILLISECONDS ONE OTHER [ONE OTHER ...]   each way; says "ready"
    delay.py plain INTERFACE       so that whoever reads its frames finds checksums in them,
                                   and none longer than its MTU

Ends with its standard input.
"""
import array
import collections
import fcntl
import select
import socket
import struct
import sys
import time

ETH_P_ALL, PACKET_OUTGOING = 3, 4
SIOCETHTOOL = 0x8946
# ETHTOOL_STXCSUM, _SSG, _STSO, _SGSO, _SGRO
OFFLOADS = (0x17, 0x19, 0x1f, 0x24, 0x2c)


def plain(interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in OFFLOADS:
            value = array.array("I", [command, 0])
            request = struct.pack("16sP16x", interface.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(any_socket, SIOCETHTOOL, request)
            except OSError:
                pass        # it has no such thing


def opened(interface):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.bind((interface, 0))
    tap.setblocking(False)
    return tap


def relay(milliseconds, names):
    taps = [opened(name) for name in names]
    peer = {tap: taps[i ^ 1] for i, tap in enumerate(taps)}
    waiting = collections.deque()
    print("ready", flush=True)
    while True:
        left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        ready = select.select([*taps, sys.stdin], [], [], left)[0]
        if sys.stdin in ready:
            return
        for tap in ready:
            frame, address = tap.recvfrom(65536)
            if address[2] != PACKET_OUTGOING:
                waiting.append((time.monotonic() + milliseconds / 1000, peer[tap], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, to, frame = waiting.popleft()
            try:
                to.send(frame)
            except OSError:
                pass        # as a full queue loses it


if __name__ == "__main__":
    if sys.argv[1] == "plain":
        plain(sys.argv[2])
    else:
        relay(float(sys.argv[2]), sys.argv[3:])
