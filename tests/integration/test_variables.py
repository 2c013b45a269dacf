"""The variables that a node gets: every row of the table of request variables."""
import json

import pytest

from clients import request_bytes


def variables(router, node, data, requests=1):
    """The (pairs, dict) of the request in `data`, as the node saw it."""
    with router.client() as client:
        client.send(data)
        assert client.read_answer().status == 200
        seen = node.requests[-1]
        return seen.pairs, seen.variables, client.local_port


def test_the_request_line_and_the_ends_of_the_connection(router, node):
    _, seen, port = variables(router, node, request_bytes(
        "GET", "/a%20b%2525/c%2Fd?q=%20x&r=%2525", host="app.test:8080"))
    assert {key: seen[key] for key in seen if not key.startswith("HTTP_")} == {
        "REQUEST_METHOD": "GET", "REQUEST_URI": "/a%20b%2525/c%2Fd?q=%20x&r=%2525",
        "PATH_INFO": "/a b%25/c/d", "QUERY_STRING": "q=%20x&r=%2525",
        "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "", "SERVER_NAME": "app.test",
        "SERVER_PORT": str(router.port), "UWSGI_ROUTER": "http", "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": str(port)}
    assert seen["HTTP_HOST"] == "app.test:8080"


def test_dot_segments_go_before_escapes_are_undone_as_in_uwsgis_own_router(router, node):
    path = "/a/../b/./c%2e%2e/%2e%2e/x//y"
    _, seen, _ = variables(router, node, request_bytes("GET", path, host="app.test"))
    assert seen["PATH_INFO"] == "/b/c../../x//y"
    assert seen["REQUEST_URI"] == path


def test_a_request_without_a_query_has_an_empty_one(router, node):
    _, seen, _ = variables(router, node, request_bytes("GET", "/plain", host="app.test"))
    assert seen["QUERY_STRING"] == ""
    assert seen["REQUEST_URI"] == seen["PATH_INFO"] == "/plain"


def test_the_body_headers_lose_their_prefix(router, node):
    _, seen, _ = variables(router, node, request_bytes(
        "POST", "/", host="app.test", headers=[("Content-Type", "text/x; y=z")], body=b"abc"))
    assert seen["CONTENT_TYPE"] == "text/x; y=z"
    assert seen["CONTENT_LENGTH"] == "3"
    assert "HTTP_CONTENT_TYPE" not in seen and "HTTP_CONTENT_LENGTH" not in seen
    assert node.requests[-1].body == b"abc"


def test_headers_become_variables_and_repeats_are_joined(router, node):
    pairs, seen, _ = variables(router, node, request_bytes("GET", "/", host="app.test", headers=[
        ("X-One", "1"), ("Cookie", "a=1"), ("x-ONE", "2"), ("Cookie", "b=2"),
        ("X-Empty", ""), ("X-Latin", "caf\u00e9"), ("Accept-Language", "it")]))
    assert seen["HTTP_X_ONE"] == "1, 2"
    assert seen["HTTP_COOKIE"] == "a=1; b=2"
    assert seen["HTTP_X_EMPTY"] == ""
    assert seen["HTTP_X_LATIN"] == "caf\u00e9"
    assert seen["HTTP_ACCEPT_LANGUAGE"] == "it"
    assert len(pairs) == len(dict(pairs)), "no variable comes twice"


def test_white_space_around_a_value_is_not_part_of_it(router, node):
    _, seen, _ = variables(router, node, b"GET / HTTP/1.1\r\nHost:  app.test \r\n"
                                         b"X-Padded: \t two words\t \r\n\r\n")
    assert seen["HTTP_X_PADDED"] == "two words"
    assert seen["HTTP_HOST"] == "app.test"


@pytest.mark.parametrize("name, variable", [
    ("X_Under", "HTTP_X_UNDER"), ("Proxy", "HTTP_PROXY"), ("proxy", "HTTP_PROXY"),
    ("Content_Length", "HTTP_CONTENT_LENGTH"), ("HTTPS_DN", "HTTP_HTTPS_DN"),
    ("Remote_Addr", "HTTP_REMOTE_ADDR")])
def test_a_header_that_would_alias_another_variable_is_dropped(router, node, name, variable):
    _, seen, _ = variables(router, node, request_bytes(
        "GET", "/", host="app.test", headers=[(name, "forged")]))
    assert variable not in seen
    assert "forged" not in seen.values()


def test_nothing_a_client_says_makes_the_request_look_like_tls(router, node):
    _, seen, _ = variables(router, node, request_bytes("GET", "/", host="app.test", headers=[
        ("HTTPS", "on"), ("HTTPS-DN", "/CN=forged"), ("HTTPS-CC", "forged"),
        ("X-Forwarded-Proto", "https")]))
    assert not seen.keys() & {"HTTPS", "HTTPS_DN", "HTTPS_CC", "HTTPS_CLIENT_CERTIFICATE"}


def test_a_real_application_sees_the_same(router, vassal):
    with router.client() as client:
        answer = client.request("GET", "/vars/%C3%A8?a=b", host="app.test:81", headers=[
            ("X-One", "1"), ("X-One", "2"), ("Cookie", "a=1"), ("Cookie", "b=2"),
            ("X_Under", "u"), ("Proxy", "p")])
        port = client.local_port
    assert answer.status == 200
    seen = json.loads(answer.body)
    expected = {
        "REQUEST_METHOD": "GET", "REQUEST_URI": "/vars/%C3%A8?a=b", "QUERY_STRING": "a=b",
        "PATH_INFO": "/vars/\u00c3\u00a8", "SERVER_PROTOCOL": "HTTP/1.1", "SCRIPT_NAME": "",
        "SERVER_NAME": "app.test", "SERVER_PORT": str(router.port), "UWSGI_ROUTER": "http",
        "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": str(port), "HTTP_X_ONE": "1, 2",
        "HTTP_COOKIE": "a=1; b=2", "HTTP_HOST": "app.test:81"}
    assert {key: seen.get(key) for key in expected} == expected
    assert not seen.keys() & {"HTTPS", "HTTP_PROXY", "HTTP_X_UNDER"}
