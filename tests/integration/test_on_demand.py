"""Scale to zero: the Emperor is asked for a sleeping vassal when a request comes for it."""
import signal
import socket
import struct
import threading

import clients
import harness
import nodes
import packets
import vassals
from harness import wait_until

MODIFIER_EMPEROR = 121


class FakeEmperor:
    """The datagram socket of one: `asked` are the packets' pairs, as dicts.

    Each calls `start(pairs)` if that is given.
    """

    def __init__(self, scene, start=None):
        self.path = str(scene.directory / "emperor")
        self.asked = []
        self._start = start
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        scene.on_close(self.close)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", self.path)
        self._thread.join()
        self._socket.close()

    def _run(self):
        while packet := self._socket.recv(4096):
            modifier1, size, modifier2 = struct.unpack("<BHB", packet[:4])
            assert (modifier1, modifier2, size) == (MODIFIER_EMPEROR, 0, len(packet) - 4)
            pairs = dict(packets.decode_pairs(packet[4:]))
            self.asked.append(pairs)
            if self._start:
                self._start(pairs)


def asleep(router, key, vassal, **fields):
    """Announces a vassal that is not up, as whoever manages it would."""
    pairs = {"key": key, "vassal": vassal, "inactive": 1, **fields}
    packets.send(packets.frame(packets.encode_pairs(pairs.items()),
                               packets.MODIFIER_SUBSCRIPTION), router.subscribe)


def on_demand_router(scene, emperor, **timeouts):
    return harness.Router(scene, subscription={"emperor": f"unix:{emperor}", "tolerance": "60s"},
                          timeouts={"spawn": "60s", **timeouts})


def wait_asleep(router, key):
    wait_until(lambda: [node["sleeping"] for node in router.nodes(key)] == [True],
               f"{key} sleeps")


def test_a_request_starts_the_vassal_that_it_is_for_again_and_again(scene):
    running = []

    def start(pairs):
        if not running:
            running.append(vassals.Vassal(scene, router, "vassal"))
    emperor = FakeEmperor(scene, start)
    router = on_demand_router(scene, emperor.path)
    asleep(router, "app.test", "app.ini")
    wait_asleep(router, "app.test")
    router.wait_known("app.test")
    for _ in range(2):
        with clients.Load(router.port, host="app.test", connections=8, requests=8,
                          seconds=90) as load:
            results = load.join()
        assert [result[1:] for result in results] == [(200, "vassal")] * 8
        assert emperor.asked[-1] == {"cmd": "spawn", "vassal": "app.ini", "key": "app.test"}
        # It goes, as an idle vassal would, and sleeps again.
        vassal = running[0]
        vassal.process.signal(signal.SIGTERM)
        vassal.process.wait()
        wait_asleep(router, "app.test")
        emperor.asked.clear()
        running.clear()


def test_a_vassal_that_is_up_is_not_asked_for(scene):
    emperor = FakeEmperor(scene)
    router = on_demand_router(scene, emperor.path)
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test", vassal="app.ini")
    asleep(router, "app.test", "app.ini")
    router.wait_answering("app.test", ["node"])
    assert emperor.asked == []


def test_a_vassal_that_does_not_start_gets_503_in_time(scene):
    emperor = FakeEmperor(scene)
    router = on_demand_router(scene, emperor.path, spawn="1500ms")
    asleep(router, "app.test", "app.ini", address="/run/nobody.sock")
    wait_asleep(router, "app.test")
    router.wait_known("app.test")
    asked = len(emperor.asked)
    answer = router.get(seconds=30)
    assert answer.status == 503
    assert "timeouts.spawn" in answer.text and answer.header("retry-after")
    # Asked for again while it waited, but not all the time.
    assert 1 <= len(emperor.asked) - asked <= 4
    assert emperor.asked[-1]["socket"] == "/run/nobody.sock"


def test_an_emperor_that_is_not_there_is_counted_and_costs_nobody_else(scene):
    router = on_demand_router(scene, scene.directory / "nobody", spawn="60s")
    other = nodes.Node(scene, "other")
    other.subscribe(router, "other.test")
    asleep(router, "app.test", "app.ini")
    router.wait_known("app.test")
    router.wait_answering("other.test", ["other"])
    with router.client(seconds=60) as client:
        client.send(clients.request_bytes("GET", "/", host="app.test"))
        wait_until(lambda: router.metric("fealty_spawns_dropped_total") > 0, "a drop is counted")
        assert router.get(host="other.test").text == "other"
        node = nodes.Node(scene, "node")
        node.subscribe(router, "app.test", vassal="app.ini")
        assert client.read_answer().text == "node"
