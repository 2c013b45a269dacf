"""Instances that come and go, one after the other, while clients keep asking: nobody notices.

Short by default; FEALTY_SOAK=1 keeps it up for a minute.
"""
import itertools
import os
import time

import pytest

import clients
import harness
import vassals

CONNECTIONS = 128
SECONDS = 60 if os.environ.get("FEALTY_SOAK") == "1" else 5
NAMES = ["one", "two", "three"]


@pytest.fixture
def three(scene, router):
    found = [vassals.Vassal(scene, router, name, options=["--listen", 256]) for name in NAMES]
    router.wait_answering("app.test", NAMES)
    return found


def under_load(router, disturb, seconds=SECONDS):
    """Calls disturb() again and again under load, then returns every result."""
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.002", seconds=20) as load:
        load.wait_for_more(500)
        end = time.monotonic() + seconds * harness.SLOW
        rounds = 0
        while time.monotonic() < end or rounds < 3:
            disturb()
            load.wait_for_more(200)
            rounds += 1
        return load.stop()


def failed(results):
    return [result for result in results if result[1] != 200]


def test_a_rolling_reload_of_all_three_loses_no_request(router, three):
    turns = itertools.cycle(three)
    results = under_load(router, lambda: next(turns).reload())
    assert failed(results) == []
    assert {text for _, _, text in results} == set(NAMES)


def test_two_of_three_killed_cost_no_idempotent_request(router, three):
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.002", seconds=20) as load:
        load.wait_for_more(1000)
        for vassal in three[:2]:
            vassal.kill()
        load.wait_for_more(1000)
        results = load.stop()
    assert failed(results) == []
