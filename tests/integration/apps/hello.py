"""The WSGI application of the integration tests' vassals. The path says what it does.

    /            its name (environment VASSAL_NAME)
    /vars        the request's variables as JSON
    /scheme      how it thinks that it was reached: http or https
    /digest      length and SHA-256 of the body, read in pieces, as JSON
    /mirror      the body, back
    /sleep/S     its name, after S seconds
    /big/N       N bytes of a known pattern, with a Content-Length
    /until-eof/N the same without a length: the end of the connection ends it
    /chunks/N/B  N chunks of B bytes, framed as chunked by the application
    /short/N     promises 1000 bytes more than the N that it sends
    /cut/N       chunked, N chunks, and never the last one
    /status/NNN  an answer of that status
    /hop         hop-by-hop headers and two cookies
    /unread      an answer that leaves the body unread
    /die         ends the whole vassal, master and all, by SIGKILL

Each request that arrives with an X-Tag appends "NAME TAG" to the file VASSAL_BEGUN
before anything else is done: a test can tell which requests a vassal had begun.
"""
import hashlib
import json
import os
import signal
import time

NAME = os.environ.get("VASSAL_NAME", "unnamed")
BEGUN = os.open(os.environ["VASSAL_BEGUN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
PATTERN = bytes(range(256)) * 256


def pattern(size):
    while size > 0:
        piece = PATTERN[:size]
        yield piece
        size -= len(piece)


def pieces(environ):
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, 65536))
        if not piece:
            return
        left -= len(piece)
        yield piece


def answer(start, body, status="200 OK", kind="text/plain", more=()):
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *more])
    return [body]


def name(environ, start, *below):
    return answer(start, NAME.encode())


def scheme(environ, start):
    return answer(start, environ["wsgi.url_scheme"].encode())


def variables(environ, start, *below):
    shown = {key: value for key, value in environ.items()
             if isinstance(value, str) and not key.startswith(("wsgi.", "uwsgi."))}
    return answer(start, json.dumps(shown).encode(), kind="application/json")


def digest(environ, start):
    sha, size = hashlib.sha256(), 0
    for piece in pieces(environ):
        sha.update(piece)
        size += len(piece)
    seen = {"bytes": size, "sha256": sha.hexdigest(), "name": NAME,
            "content_length": environ.get("CONTENT_LENGTH")}
    return answer(start, json.dumps(seen).encode(), kind="application/json")


def mirror(environ, start):
    return answer(start, b"".join(pieces(environ)))


def sleep(environ, start, seconds):
    time.sleep(float(seconds))
    return name(environ, start)


def big(environ, start, size):
    start("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", size)])
    return pattern(int(size))


def until_eof(environ, start, size):
    start("200 OK", [("Content-Type", "application/octet-stream")])
    return pattern(int(size))


def chunk_frames(count, size):
    for at in range(count):
        yield b"%x\r\n%s\r\n" % (size, bytes([97 + at % 26]) * size)


def chunks(environ, start, count, size):
    start("200 OK", [("Transfer-Encoding", "chunked")])
    yield from chunk_frames(int(count), int(size))
    yield b"0\r\n\r\n"


def cut(environ, start, count):
    start("200 OK", [("Transfer-Encoding", "chunked")])
    return chunk_frames(int(count), 10)


def short(environ, start, size):
    start("200 OK", [("Content-Length", str(int(size) + 1000))])
    return [b"x" * int(size)]


def status(environ, start, code):
    return answer(start, code.encode(), status=f"{code} Of The Application")


def hop(environ, start):
    return answer(start, b"hop", more=[
        ("Connection", "X-Private"), ("X-Private", "between node and router"),
        ("Keep-Alive", "timeout=99"), ("X-Public", "stays"),
        ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])


def unread(environ, start):
    return answer(start, b"did not look")


def die(environ, start):
    os.killpg(os.getpgrp(), signal.SIGKILL)


ROADS = {"": name, "vars": variables, "scheme": scheme, "digest": digest, "mirror": mirror,
         "sleep": sleep, "big": big, "until-eof": until_eof, "chunks": chunks, "cut": cut, "short": short,
         "status": status, "hop": hop, "unread": unread, "die": die}


def application(environ, start):
    if "HTTP_X_TAG" in environ:
        os.write(BEGUN, f"{NAME} {environ['HTTP_X_TAG']}\n".encode())
    road, *arguments = environ["PATH_INFO"].lstrip("/").split("/")
    return ROADS.get(road, name)(environ, start, *arguments)
