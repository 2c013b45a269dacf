"""Which domain's vassals get a request."""
import pytest

import nodes
import vassals


@pytest.fixture
def wild(scene, router):
    """The wildcard .example.com, and x.example.com by its own name, by real vassals."""
    vassals.Vassal(scene, router, "wildcard", key=".example.com")
    vassals.Vassal(scene, router, "exact", key="x.example.com")
    router.wait_answering("any.example.com", ["wildcard"])
    router.wait_answering("x.example.com", ["exact"])
    return router


@pytest.mark.parametrize("host, name", [
    ("any.example.com", "wildcard"),
    ("a.b.example.com", "wildcard"),
    ("a.b.c.example.com", "wildcard"),
    ("below.x.example.com", "wildcard"),
    ("x.example.com", "exact"),
    ("X.Example.COM", "exact"),
    ("x.example.com.", "exact"),
    ("x.example.com:8080", "exact"),
    ("ANY.example.com.:80", "wildcard"),
])
def test_the_wildcard_catches_and_the_exact_name_wins(wild, host, name):
    assert wild.get(host=host).text == name


@pytest.mark.parametrize("host", ["example.com", "notexample.com", "example.com.evil.test",
                                  "unknown.test", "com", "localhost", "127.0.0.1", "[::1]"])
def test_an_unknown_host_gets_404(wild, host):
    assert wild.get(host=host).status == 404


def test_the_most_specific_wildcard_wins(scene, router):
    for key in (".test", ".shop.test", ".eu.shop.test"):
        nodes.Node(scene, key.strip(".")).subscribe(router, key)
    router.wait_answering("a.eu.shop.test", ["eu.shop.test"])
    router.wait_answering("a.shop.test", ["shop.test"])
    router.wait_answering("shop.test", ["test"])


def test_at_most_five_steps_are_tried(scene, router):
    nodes.Node(scene, "deep").subscribe(router, ".deep.test")
    router.wait_answering("4.3.2.1.deep.test", ["deep"])
    assert router.get(host="6.5.4.3.2.1.deep.test").status == 404


def test_keys_are_independent(scene, router):
    for name in ("first", "second"):
        nodes.Node(scene, name).subscribe(router, f"{name}.test")
    router.wait_answering("first.test", ["first"])
    router.wait_answering("second.test", ["second"])


def test_the_nodes_modifiers_go_into_its_requests(scene, router):
    node = nodes.Node(scene, "node")
    node.subscribe(router, "app.test", modifier1=5, modifier2=9)
    router.wait_answering("app.test", ["node"])
    assert {(seen.modifier1, seen.modifier2) for seen in node.requests} == {(5, 9)}
