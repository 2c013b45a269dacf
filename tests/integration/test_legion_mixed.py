"""Legions of our members and real uWSGI's: the same Lord everywhere, whatever happens."""
import signal

import pytest

import harness
from legions import FREQ, Legion, Ours, Theirs, TOLERANCE

CIPHERS = ["aes-128-cbc", "bf-cbc"]


@pytest.mark.parametrize("cipher", CIPHERS)
def test_two_of_ours_and_one_uwsgi_agree_through_deaths_and_returns(scene, cipher):
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20), "uwsgi": (Theirs, 10)},
                    cipher=cipher).start()
    legion.wait_for("one")
    legion["one"].kill()
    legion.wait_for("two")
    legion["one"].start()
    legion.wait_for("one")
    legion["uwsgi"].restart(valor=90)
    legion.wait_for("uwsgi", 40)
    legion["uwsgi"].kill()
    legion.wait_for("one")


@pytest.mark.parametrize("cipher", CIPHERS)
def test_one_of_ours_and_two_uwsgis_agree(scene, cipher):
    legion = Legion(scene, {"ours": (Ours, 20), "best": (Theirs, 30), "last": (Theirs, 10)},
                    cipher=cipher).start()
    legion.wait_for("best")
    legion["best"].kill()
    legion.wait_for("ours")
    legion["best"].start()
    legion.wait_for("best", 40)


def test_an_arbiter_of_either_kind_makes_the_quorum_and_never_is_lord(scene):
    legion = Legion(scene, {"ours": (Ours, 20), "theirs": (Theirs, 10),
                            "arbiter": (Theirs, 0)}).start()
    legion.wait_for("ours")
    legion["ours"].kill()
    legion.wait_for("theirs")
    legion["arbiter"].kill()
    legion.members["arbiter"] = arbiter = Ours(legion, "arbiter-2", legion["arbiter"].port, 0)
    arbiter.start()
    legion.wait_for("theirs", 40)
    legion["ours"].start()
    legion.wait_for("ours", 40)
    assert not arbiter.says_it_is_lord()


def test_a_valor_that_changes_at_a_reload_changes_the_lord(scene):
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20),
                            "uwsgi": (Theirs, 10)}).start()
    legion.wait_for("one")
    legion["two"].valor = 40
    legion["two"].reload()
    legion.wait_for("two")


def test_who_leaves_is_replaced_without_waiting_for_the_tolerance(scene):
    legion = Legion(scene, {"ours": (Ours, 30), "next": (Theirs, 20),
                            "other": (Ours, 0)}).start()
    legion.wait_for("ours")
    legion["ours"].process.signal(signal.SIGTERM)
    assert legion["ours"].process.wait() == 0
    # uWSGI takes over at its next turn: well before a tolerance and its slow clock.
    legion.wait_for("next", TOLERANCE + FREQ)


def test_an_iv_and_a_long_secret_are_used_as_uwsgi_uses_them(scene):
    legion = Legion(scene, {"ours": (Ours, 30), "theirs": (Theirs, 20)},
                    secret="a-secret-of-more-than-sixteen-bytes", iv="12345").start()
    legion.wait_for("ours")


def test_scrolls_of_either_kind_are_kept(scene):
    legion = Legion(scene, {"ours": (Ours, 30), "theirs": (Theirs, 20)}).start()
    legion.wait_for("ours")
    members = legion["ours"].stats()["members"]
    assert [each["scroll"] for each in members] == ["scroll of theirs"]


def test_a_wrong_secret_is_dropped_counted_and_does_not_disturb(scene):
    legion = Legion(scene, {"one": (Ours, 30), "two": (Ours, 20),
                            "stranger": (Theirs, 90)}).start()
    legion["stranger"].kill()
    legion.secret, kept = "another", legion.secret
    legion["stranger"].start()
    legion.secret = kept
    legion.wait_up()
    living = {name: legion[name] for name in ("one", "two")}
    harness.wait_until(
        lambda: all(member.lord_uuid() == legion["one"].uuid() for member in living.values()),
        "ours agree", 25)

    def dropped():
        return sum(legion["one"].stats()["dropped"][why]
                   for why in ("undecryptable", "malformed"))
    harness.wait_until(lambda: dropped() > 2, "the stranger's packets are counted")
    assert legion["one"].says_it_is_lord()
