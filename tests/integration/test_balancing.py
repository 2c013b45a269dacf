"""Which node a request goes to: sticky cookies, client addresses, backups, mountpoints."""
import collections

import pytest

import harness
import nodes
import vassals
from harness import wait_until

NAMES = ["one", "two", "three"]


def make_three(scene, **subscription):
    router = harness.Router(scene, subscription=subscription)
    found = {name: vassals.Vassal(scene, router, name) for name in NAMES}
    router.wait_for_nodes("app.test", len(NAMES))
    return router, found


def ask(router, cookie=None):
    return router.get(headers=[("Cookie", cookie)] if cookie else [])


def cookie_of(answer):
    """What a browser would send back."""
    return answer.header("set-cookie").partition(";")[0]


@pytest.fixture
def sticky(scene):
    router, found = make_three(scene, algorithm="sticky")
    router.wait_answering("app.test", NAMES)
    return router, found


def test_a_client_with_a_cookie_stays_while_others_die_and_moves_with_its_own(sticky):
    router, found = sticky
    first = ask(router)
    cookie = cookie_of(first)
    assert {ask(router, cookie).text for _ in range(12)} == {first.text}
    others = [name for name in NAMES if name != first.text]
    found[others[0]].kill()
    answers = [ask(router, cookie) for _ in range(12)]
    assert {answer.text for answer in answers} == {first.text}
    assert [answer.header("set-cookie") for answer in answers] == [None] * 12
    found[first.text].kill()
    moved = ask(router, cookie)
    assert moved.status == 200 and moved.text == others[1]
    cookie = cookie_of(moved)
    assert {ask(router, cookie).text for _ in range(12)} == {others[1]}


def test_clients_without_a_cookie_are_spread(sticky):
    router, _ = sticky
    assert collections.Counter(ask(router).text for _ in range(9)) == dict.fromkeys(NAMES, 3)


def test_cookies_outlive_the_router_with_a_secret_file(scene):
    secret = scene.directory / "sticky.key"
    router, _ = make_three(scene, algorithm="sticky", sticky_secret_file=str(secret))
    router.wait_answering("app.test", NAMES)
    first = ask(router)
    router.terminate()
    router.process.wait()
    assert secret.stat().st_mode & 0o777 == 0o600
    router.start()
    wait_until(router.healthy, "the router is back")
    router.wait_for_nodes("app.test", len(NAMES))
    router.wait_answering("app.test", NAMES)
    answers = [ask(router, cookie_of(first)) for _ in range(6)]
    assert {answer.text for answer in answers} == {first.text}


def ask_from(router, source):
    with router.client(source=source) as client:
        return client.request("GET", "/", host="app.test").text


def test_a_clients_address_decides_with_iphash(scene):
    router, found = make_three(scene, algorithm="iphash")
    sources = [f"127.0.0.{last}" for last in range(2, 42)]
    wait_until(lambda: {ask_from(router, source) for source in sources} == set(NAMES),
               "every vassal has clients")
    before = {source: ask_from(router, source) for source in sources}
    for _ in range(3):
        assert {source: ask_from(router, source) for source in sources} == before
    found["one"].kill()
    after = {source: ask_from(router, source) for source in sources}
    assert set(after.values()) == {"two", "three"}
    assert all(after[source] == name for source, name in before.items() if name != "one")


def test_a_backup_answers_only_while_the_lower_level_is_dead(scene, router):
    main, spare, backup = (nodes.Node(scene, name) for name in ("main", "spare", "backup"))
    main.subscribe(router, "app.test")
    spare.subscribe(router, "app.test")
    backup.subscribe(router, "app.test", backup=1)
    router.wait_for_nodes("app.test", 3)
    router.wait_answering("app.test", ["main", "spare"])
    main.close()
    assert {router.get().text for _ in range(8)} == {"spare"}
    spare.close()
    assert {router.get().text for _ in range(8)} == {"backup"}
    nodes.Node(scene, "again").subscribe(router, "app.test")
    wait_until(lambda: router.get().text == "again", "the lower level is used again")
    assert {router.get().text for _ in range(8)} == {"again"}


def test_each_pool_may_have_its_own_algorithm(scene, router):
    one, two = nodes.Node(scene, "one"), nodes.Node(scene, "two")
    for node in (one, two):
        node.subscribe(router, "app.test", algo="sticky")
        node.subscribe(router, "plain.test")
    router.wait_answering("app.test", ["one", "two"])
    router.wait_answering("plain.test", ["one", "two"])
    assert router.get().header("set-cookie")
    assert router.get(host="plain.test").header("set-cookie") is None


def test_mountpoints_have_applications_of_their_own(scene):
    router = harness.Router(scene, subscription={"mountpoints": 2})
    vassals.Vassal(scene, router, "root")
    vassals.Vassal(scene, router, "blog", key="app.test/blog")
    vassals.Vassal(scene, router, "feed", key="app.test/blog/feed")
    router.wait_answering("app.test", ["root"])
    router.wait_answering("app.test", ["blog"], "/blog")
    router.wait_answering("app.test", ["feed"], "/blog/feed")
    for path, name in [("/", "root"), ("/blogs", "root"), ("/blog/", "blog"),
                       ("/blog/other", "blog"), ("/blog/feed/rss", "feed"),
                       ("/x/../blog", "blog"), ("/%62log/x", "blog"), ("/blog%2Ffeed", "feed"),
                       ("/blog/..", "root"), ("/blog%3F/x", "root"), ("/blog?x=/feed", "blog")]:
        assert router.get(path).text == name, path
    assert router.get("/blog%zz").status == 400
    assert "app.test/blog" in router.explain("app.test", "/blog/x").text


def test_sticky_mountpoints_keep_their_cookies_apart(scene):
    router = harness.Router(scene, subscription={"mountpoints": 1, "algorithm": "sticky"})
    for name in ("root", "blog"):
        node = nodes.Node(scene, name)
        node.subscribe(router, "app.test" if name == "root" else "app.test/blog")
    router.wait_answering("app.test", ["root"])
    router.wait_answering("app.test", ["blog"], "/blog")
    root, blog = router.get("/"), router.get("/blog")
    assert "; Path=/;" in root.header("set-cookie")
    assert "; Path=/blog;" in blog.header("set-cookie")
    # As a browser orders them, the longer path first.
    both = f"{cookie_of(blog)}; {cookie_of(root)}"
    for path in ("/", "/blog"):
        assert router.get(path, headers=[("Cookie", both)]).header("set-cookie") is None


def test_keys_with_a_port_are_all_there_is_where_one_is_expected(scene):
    router = harness.Router(scene, subscription={"expect_port_in_key": True})
    with_port, without = nodes.Node(scene, "with"), nodes.Node(scene, "without")
    without.subscribe(router, "app.test")
    with_port.subscribe(router, "app.test:80")
    router.wait_answering("app.test", ["with"])
    assert router.get(host="app.test:80").text == "with"
    assert router.get(host="app.test:81").status == 404
    assert router.nodes("app.test") == []
