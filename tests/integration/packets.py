"""uwsgi packets as a vassal would send them: encode, decode, sign.

Written from the format alone, with nothing of the project's own codec in it, so that
the two check each other. A packet is
    modifier1:u8  size:u16le  modifier2:u8  (length:u16le bytes){key, value}*
"""
import pathlib
import socket
import struct
import subprocess
import time

SUBSCRIBE = 0
UNSUBSCRIBE = 1
MODIFIER_SUBSCRIPTION = 224


def _bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def encode_pairs(pairs):
    out = bytearray()
    for pair in pairs:
        for text in map(_bytes, pair):
            out += struct.pack("<H", len(text)) + text
    return bytes(out)


def frame(body, modifier1=0, modifier2=0):
    return struct.pack("<BHB", modifier1, len(body), modifier2) + body


def request_packet(path, *, method="GET", host="direct.test", headers=()):
    """A request as a router would send it to a node, for talking to a vassal directly."""
    pairs = [("REQUEST_METHOD", method), ("REQUEST_URI", path), ("PATH_INFO", path),
             ("QUERY_STRING", ""), ("SERVER_PROTOCOL", "HTTP/1.1"), ("SCRIPT_NAME", ""),
             ("SERVER_NAME", host), ("SERVER_PORT", "80"), ("HTTP_HOST", host), *headers]
    return frame(encode_pairs(pairs))


def decode_pairs(body):
    """The pairs in their order, repeats and all: [(key, value)] in latin-1."""
    pairs, at = [], 0
    while at < len(body):
        texts = []
        for _ in range(2):
            (length,) = struct.unpack_from("<H", body, at)
            texts.append(body[at + 2:at + 2 + length].decode("latin-1"))
            at += 2 + length
        pairs.append(tuple(texts))
    if at != len(body):
        raise ValueError("the pairs do not add up to the packet's size")
    return pairs


def sign(body, key_file, digest="sha1"):
    """RSA PKCS#1 v1.5 over `body`, by the openssl command."""
    done = subprocess.run(["openssl", "dgst", f"-{digest}", "-sign", str(key_file)],
                          input=body, capture_output=True, check=True)
    return done.stdout


def subscription(key, address, *, unsubscribe=False, sign_with=None, unix=None, **fields):
    """An announcement; `fields` are further pairs (weight=3, notify=PATH …).

    With `sign_with`, a stamp and the signature end it; `unix` overrides the stamp.
    """
    pairs = {"key": key, "address": address, "modifier1": 0, "modifier2": 0,
             "cores": 1, "load": 0, "weight": 1, **fields}
    body = encode_pairs(pairs.items())
    if sign_with is not None:
        now = int(time.time()) + (1 if unsubscribe else 0)
        body += encode_pairs([("unix", now if unix is None else unix)])
        body += encode_pairs([("sign", sign(body, sign_with))])
    return frame(body, MODIFIER_SUBSCRIPTION, UNSUBSCRIBE if unsubscribe else SUBSCRIBE)


def send(packet, to):
    """One datagram to a Unix socket's path, or to a (host, port)."""
    family = socket.AF_INET if isinstance(to, tuple) else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.sendto(packet, to if isinstance(to, tuple) else str(to))


KEY_TYPES = {"rsa": ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
             "ec": ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
             "ed25519": ["ED25519"]}


class KeyPair:
    """A customer's key pair (RSA by default), as the platform makes it."""

    def __init__(self, directory, name="customer", kind="rsa"):
        self.private = pathlib.Path(directory) / f"{name}.key"
        self.public = pathlib.Path(directory) / f"{name}.pub"
        quiet = {"check": True, "capture_output": True}
        subprocess.run(["openssl", "genpkey", "-algorithm", *KEY_TYPES[kind],
                        "-out", self.private], **quiet)
        subprocess.run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public],
                       **quiet)

    def install(self, key_directory, domain):
        """Makes this the key of `domain` in a sign_check directory."""
        target = pathlib.Path(key_directory) / f"{domain}.pem"
        target.write_bytes(self.public.read_bytes())
        return target
