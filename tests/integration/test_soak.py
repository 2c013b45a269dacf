"""Long and large: memory stays, checksums hold.

Short by default. FEALTY_SOAK=1 makes it the whole thing: 1 GiB each way, and wrk for a
minute. Memory is judged only at full speed (FEALTY_SLOW unset): sanitizers keep what was
freed.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import time

import pytest

import clients
import harness
import nodes
import vassals
from clients import request_bytes

WHOLE = os.environ.get("FEALTY_SOAK") == "1"
TRANSFER_BYTES = (1 << 30) if WHOLE else (64 << 20)
WRK_SECONDS = 60 if WHOLE else 5
GROWTH_KIB_MAX = 4096
JUDGE_MEMORY = harness.SLOW == 1
BLOCK = hashlib.sha512(b"fealty").digest() * 1024  # 64 KiB that do not compress away


def blocks(total):
    for _ in range(total // len(BLOCK)):
        yield BLOCK


def checksum(total):
    sha = hashlib.sha256()
    for block in blocks(total):
        sha.update(block)
    return sha.hexdigest()


class Growth:
    """The router's memory at its largest, over what it was at the start."""

    def __init__(self, router):
        self.router, self.start = router, router.rss_kib()
        self.most = self.start

    def look(self):
        self.most = max(self.most, self.router.rss_kib())

    def check(self):
        self.look()
        if JUDGE_MEMORY:
            assert self.most - self.start < GROWTH_KIB_MAX


def serve_blocks(seen):
    total = int(seen.variables["PATH_INFO"].strip("/"))
    seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
    for block in blocks(total):
        seen.send(block)


def receive_sum(router, total, pause=None):
    """The SHA-256 of a download, taken piece by piece; `pause()` now and then."""
    sha, left, looks = hashlib.sha256(), total, 0
    with router.client(seconds=60) as client:
        client.send(request_bytes("GET", f"/{total}", host="app.test"))
        client._read_head()
        while left:
            piece = client.buffer or client.socket.recv(1 << 20)
            client.buffer = b""
            assert piece, f"{left} bytes missing"
            sha.update(piece)
            left -= len(piece)
            looks += 1
            if pause and looks % 64 == 0:
                pause()
    return sha.hexdigest()


def test_a_large_download_is_right_and_takes_no_memory(scene, router):
    nodes.Node(scene, "node", serve_blocks).subscribe(router, "app.test")
    router.wait_known("app.test", path="/65536")
    receive_sum(router, 8 << 20)
    growth = Growth(router)
    assert receive_sum(router, TRANSFER_BYTES, growth.look) == checksum(TRANSFER_BYTES)
    growth.check()


def test_a_client_that_does_not_read_takes_no_memory(scene, router):
    nodes.Node(scene, "node", serve_blocks).subscribe(router, "app.test")
    router.wait_known("app.test", path="/65536")
    receive_sum(router, 8 << 20)
    growth = Growth(router)
    with router.client(receive_buffer=4096) as client:
        client.send(request_bytes("GET", f"/{256 << 20}", host="app.test"))
        client.socket.recv(1000)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            growth.look()
            time.sleep(0.05)
    growth.check()


def upload(router, total, framing, look=None):
    header = ("Content-Length", str(total)) if framing == "length" else (
        "Transfer-Encoding", "chunked")
    with router.client(seconds=120) as client:
        client.send(request_bytes("POST", "/digest", host="app.test", headers=[header]))
        for at, block in enumerate(blocks(total)):
            if framing == "chunked":
                block = b"%x\r\n%s\r\n" % (len(block), block)
            client.send(block)
            if look and at % 256 == 0:
                look()
        if framing == "chunked":
            client.send(b"0\r\n\r\n")
        answer = client.read_answer()
    assert answer.status == 200
    return json.loads(answer.body)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_is_right_and_takes_no_memory(scene, router, vassal, framing):
    upload(router, 8 << 20, framing)
    growth = Growth(router)
    seen = upload(router, TRANSFER_BYTES, framing, growth.look)
    assert (seen["bytes"], seen["sha256"]) == (TRANSFER_BYTES, checksum(TRANSFER_BYTES))
    growth.check()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_with_256_connections_sees_no_error_and_leaves_no_memory(scene, router):
    names = ["one", "two"]
    for name in names:
        vassals.Vassal(scene, router, name, options=["--listen", 1024])
    router.wait_answering("app.test", names)
    load = subprocess.Popen(
        ["wrk", "--connections", "256", "--threads", "1", "--duration", f"{WRK_SECONDS}s",
         "--header", "Host: app.test", f"http://127.0.0.1:{router.port}/"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    scene.on_close(lambda: load.poll() is None and load.kill())
    # Both looks are taken under the load: its end touches code that was not in memory yet.
    first = min(10, WRK_SECONDS / 2)
    time.sleep(first)
    early = router.rss_kib()
    time.sleep(WRK_SECONDS - first - 1)
    late = router.rss_kib()
    said, _ = load.communicate(timeout=30 * harness.SLOW)
    assert "Socket errors" not in said and "Non-2xx" not in said, said
    assert int(re.search(r"(\d+) requests in", said)[1]) > 0, said
    if JUDGE_MEMORY and WHOLE:
        assert abs(late - early) <= early * 0.02, (early, late)


def test_thousands_of_connections_come_and_go_without_a_trace(scene, router):
    nodes.Node(scene, "node").subscribe(router, "app.test")
    router.wait_answering("app.test", ["node"])

    def descriptors():
        return len(os.listdir(f"/proc/{router.pid}/fd"))

    def some(count):
        load = clients.Load(router.port, host="app.test", connections=8, requests=count,
                            keep_alive=False)
        load.join()
        assert load.failures() == []
    some(200)
    before = descriptors()
    some(2000)
    harness.wait_until(lambda: descriptors() <= before + 2, "no descriptor is left behind")
