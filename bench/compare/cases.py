"""What is measured. A case is one entry of CASES; README.md says how to add one."""

from dataclasses import dataclass, field

from load import Wrk

HOST = "bench.example.com"  # whose node speaks uwsgi
HTTP_HOST = "http.bench.example.com"  # whose node speaks HTTP/1.1, over TCP with keep-alive

HTTP_NODE = frozenset({"http", "http-node"})
HTTPS = frozenset({"https", "http-node"})


@dataclass(frozen=True)
class Case:
    """One kind of request, asked of every peer that offers what it needs.

    path        answered by the node: "/N" is N bytes (backend.cc)
    body_bytes  what each answer must bring
    host        whom is asked: HOST or HTTP_HOST
    needs       words that a peer's `offers` must all hold: how the client speaks, what the node speaks
    load        the load generator
    stall_ms    a p99 at or above this is called out: a 40 ms delayed ACK shows there
    """

    name: str
    about: str
    path: str
    body_bytes: int
    host: str = HOST
    needs: frozenset = frozenset({"http", "uwsgi-node"})
    load: Wrk = field(default_factory=Wrk)
    stall_ms: float = 20.0


CASES = [
    Case("get-small", "keep-alive GET of 10 bytes from a uwsgi node", "/10", 10),
    Case("get-10k", "keep-alive GET of 10 KiB from a uwsgi node", "/10240", 10240),
    Case("http-small", "keep-alive GET of 10 bytes from an HTTP node, kept connections", "/10", 10,
         HTTP_HOST, HTTP_NODE),
    Case("http-10k", "keep-alive GET of 10 KiB from an HTTP node, kept connections", "/10240", 10240,
         HTTP_HOST, HTTP_NODE),
    Case("https-small", "the same of 10 bytes by TLS 1.3", "/10", 10, HTTP_HOST, HTTPS),
    Case("https-10k", "the same of 10 KiB by TLS 1.3", "/10240", 10240, HTTP_HOST, HTTPS),
]
