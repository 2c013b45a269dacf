"""Vassals of one domain share its requests in turn."""
import subprocess

import pytest

import clients
import vassals
from harness import wait_until

NAMES = ["one", "two", "three"]


@pytest.fixture
def three(scene, router):
    found = [vassals.Vassal(scene, router, name) for name in NAMES]
    router.wait_for_nodes("app.test", 3)
    router.wait_answering("app.test", NAMES)
    return found


@pytest.mark.parametrize("keep_alive", [True, False], ids=["keep_alive", "connection_each"])
def test_three_vassals_share_9000_requests_3000_each(router, three, keep_alive):
    load = clients.Load(router.port, host="app.test", connections=12, requests=9000,
                        keep_alive=keep_alive)
    load.join()
    assert load.failures() == []
    assert load.answered_by() == {name: 3000 for name in NAMES}


def test_weights_divide_the_requests(scene, router):
    vassals.Vassal(scene, router, "light", weight=1)
    vassals.Vassal(scene, router, "heavy", weight=3)
    # uWSGI's first announcement carries weight 0; the real one follows within a second.
    router.wait_for_nodes("app.test", 2)
    wait_until(lambda: sorted(node["weight"] for node in router.nodes("app.test")) == [1, 3],
               "both weights are announced")
    load = clients.Load(router.port, host="app.test", connections=4, requests=2000)
    load.join()
    assert load.failures() == []
    heavy = load.answered_by()["heavy"]
    assert abs(heavy - 1500) <= 8, load.answered_by()


def curl(*words):
    done = subprocess.run(["curl", "--silent", "--show-error", *words], capture_output=True,
                          text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("round_number", range(4))
def test_three_requests_of_one_curl_hit_all_three(router, three, round_number):
    url = f"http://127.0.0.1:{router.port}/"
    answers = curl("--header", "Host: app.test", "--write-out", "\\n", url, url, url)
    assert sorted(answers) == sorted(NAMES)


def test_three_curls_one_after_the_other_hit_all_three(router, three):
    url = f"http://127.0.0.1:{router.port}/"
    for _ in range(4):
        answers = [curl("--header", "Host: app.test", url)[0] for _ in NAMES]
        assert sorted(answers) == sorted(NAMES)


def test_a_vassal_on_tcp_answers_too(scene, router):
    vassals.Vassal(scene, router, "tcp", tcp=True)
    vassals.Vassal(scene, router, "unix")
    router.wait_answering("app.test", ["tcp", "unix"])


def test_subscriptions_over_udp_count(scene, router):
    host, port = router.subscribe_udp
    vassals.Vassal(scene, router, "udp", server=f"{host}:{port}")
    router.wait_answering("app.test", ["udp"])
