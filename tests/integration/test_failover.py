"""A vassal that reloads or dies costs no request that it had not begun."""
import socket

import pytest

import clients
import nodes
import vassals
from harness import wait_until

CONNECTIONS = 64


def test_a_reload_under_load_loses_no_request(scene, router):
    names = ["one", "two", "three"]
    found = [vassals.Vassal(scene, router, name, processes=2) for name in names]
    router.wait_answering("app.test", names)
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.004") as load:
        load.wait_for_more(1000)
        found[0].reload()
        load.wait_for_more(1000)
        results = load.stop()
    assert [result for result in results if result[1] != 200] == []
    assert load.answered_by()["one"] > 0


def test_a_vassal_killed_under_load_loses_only_what_it_had_begun(scene, router):
    names = ["one", "two", "doomed"]
    one, two, doomed = (vassals.Vassal(scene, router, name, processes=1) for name in names)
    router.wait_answering("app.test", names)
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.004") as load:
        load.wait_for_more(500)
        doomed.kill_while_busy()
        load.wait_for_more(1000)
        results = load.stop()
    begun = doomed.begun()
    lost = [result for result in results if result[1] != 200]
    assert [result for result in lost if result[0] not in begun] == []
    assert load.answered_by().keys() == set(names)


def test_no_request_is_begun_twice_when_a_vassal_is_killed(scene, router):
    names = ["one", "two", "doomed"]
    found = [vassals.Vassal(scene, router, name, processes=1) for name in names]
    router.wait_answering("app.test", names)
    with clients.Load(router.port, host="app.test", connections=CONNECTIONS,
                      path="/sleep/0.004") as load:
        load.wait_for_more(300)
        found[2].kill_while_busy()
        load.wait_for_more(300)
        load.stop()
    begun = found[0].begun() + found[1].begun() + found[2].begun()
    assert [tag for tag, times in begun.items() if times > 1] == []


def test_a_killed_vassal_that_comes_back_is_used_again(scene, router):
    vassals.Vassal(scene, router, "stays")
    doomed = vassals.Vassal(scene, router, "doomed", processes=1)
    router.wait_answering("app.test", ["stays", "doomed"])
    doomed.kill_while_busy()
    router.wait_answering("app.test", ["stays"])
    vassals.Vassal(scene, router, "doomed")
    router.wait_answering("app.test", ["stays", "doomed"])


def test_a_refused_connection_goes_to_the_next_node(scene, router):
    alive, dead = nodes.Node(scene, "alive"), nodes.Node(scene, "dead")
    for node in (alive, dead):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["alive", "dead"])
    dead.close()
    answers = [router.get() for _ in range(20)]
    assert {answer.text for answer in answers} == {"alive"}


def test_a_reset_before_anything_was_read_goes_to_the_next_node(scene, router):
    alive = nodes.Node(scene, "alive")
    rude = nodes.Node(scene, "rude", tcp=True, on_accept=nodes.reset)
    alive.subscribe(router, "app.test")
    rude.subscribe(router, "app.test")
    router.wait_for_nodes("app.test", 2)
    wait_until(lambda: router.get().status == 200 and rude.accepted > 0, "the rude one was asked")
    answers = [router.get(path=f"/{at}") for at in range(20)]
    assert {answer.text for answer in answers} == {"alive"}


def ask_a_leaver_and_another(scene, router, method):
    """20 requests to two nodes, one of which reads its requests and ends without an answer.

    Returns the statuses, the paths, and what each of the nodes has read.
    """
    def read_and_leave(seen):
        if seen.variables["PATH_INFO"] == "/":
            seen.answer(b"leaver")
        else:
            seen.connection.shutdown(socket.SHUT_RDWR)
    leaver = nodes.Node(scene, "leaver", read_and_leave)
    other = nodes.Node(scene, "other")
    for node in (leaver, other):
        node.subscribe(router, "app.test")
    router.wait_answering("app.test", ["leaver", "other"])
    other.requests.clear()
    leaver.requests.clear()
    paths = [f"/once/{at}" for at in range(20)]
    statuses = [router.get(path=path, method=method).status for path in paths]
    return statuses, paths, [[request.variables["PATH_INFO"] for request in node.requests]
                             for node in (leaver, other)]


def test_a_request_that_a_node_has_read_is_not_given_to_another(scene, router):
    statuses, paths, (left, answered) = ask_a_leaver_and_another(scene, router, "POST")
    assert sorted(left + answered) == sorted(paths)
    assert statuses.count(502) == len(left) > 0


def test_an_idempotent_request_that_a_node_has_read_is_given_to_another(scene, router):
    statuses, paths, (left, answered) = ask_a_leaver_and_another(scene, router, "GET")
    assert statuses == [200] * len(paths)
    assert sorted(answered) == sorted(paths)
    assert left


def test_an_idempotent_request_that_kills_its_applications_does_not_visit_them_all(scene, router):
    def read_and_leave(seen):
        seen.connection.shutdown(socket.SHUT_RDWR)
    leavers = [nodes.Node(scene, f"leaver-{at}", read_and_leave) for at in range(6)]
    for node in leavers:
        node.subscribe(router, "app.test")
    router.wait_for_nodes("app.test", len(leavers))
    router.wait_known("app.test")
    for node in leavers:
        node.requests.clear()
    assert router.get(path="/deadly").status == 502
    assert sum(len(node.requests) for node in leavers) == 3


@pytest.mark.parametrize("kind", [nodes.Node, nodes.HttpNode], ids=["uwsgi", "http"])
@pytest.mark.parametrize("method, most", [("POST", 1), ("PATCH", 1), ("DELETE", 3), ("GET", 3)])
def test_what_a_node_read_before_its_reset_is_not_sent_to_all(scene, router, kind, method, most):
    """Over TCP a reset does not say that nothing was read: neither now nor while it is held."""
    def read_and_reset(seen):
        if kind is nodes.HttpNode:
            seen.reader.close()  # it holds the connection open, too
        nodes.reset(seen.connection)
    rude = [kind(scene, f"rude-{at}", read_and_reset, tcp=True) for at in range(5)]
    for node in rude:
        node.subscribe(router, "app.test")
    router.wait_for_nodes("app.test", len(rude))
    router.wait_known("app.test")
    for node in rude:
        node.requests.clear()
    assert router.get(path="/once", method=method).status == 502
    assert sum(len(node.requests) for node in rude) == most
