"""TLS for the tests: certificates by the openssl command, a router that serves HTTPS, a
client whose SNI and Host may differ."""
import contextlib
import pathlib
import socket
import ssl
import subprocess

import clients
import harness
import packets


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True)


class Files:
    """Keys and certificates in one folder; every maker returns the paths (key, crt)."""

    def __init__(self, directory):
        self.directory = directory

    def self_signed(self, name, common_name, *, ecdsa=True, serial=None, days=365):
        key, crt = self.directory / f"{name}.key", self.directory / f"{name}.crt"
        kind = (["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if ecdsa else ["rsa:2048"])
        more = ["-set_serial", serial] if serial else []
        openssl("req", "-x509", "-newkey", *kind, "-nodes", "-keyout", key, "-out", crt,
                "-days", days, "-subj", f"/CN={common_name}", *more, cwd=self.directory)
        return key, crt

    def client(self, name, ca, subject="/C=IT/O=Foo/CN=bar"):
        """A client's certificate of the CA (key, crt)."""
        key, csr, crt = (self.directory / f"{name}.{end}" for end in ("key", "csr", "crt"))
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", key, "-out", csr, "-subj", subject, cwd=self.directory)
        openssl("x509", "-req", "-days", 365, "-in", csr, "-CA", ca[1], "-CAkey", ca[0],
                "-set_serial", "01", "-out", crt, cwd=self.directory)
        return key, crt


class Router(harness.Router):
    """A router with an HTTPS listener beside the plain one; `files` made its default."""

    def __init__(self, scene, files, *, https=None, listeners=(), default_days=365, **changes):
        self.files, self._https, self._listeners = files, https or {}, listeners
        key, crt = files.self_signed("default", "default.test", days=default_days)
        self.default_path = str(crt)
        self._identity = {"certificate": str(crt), "key": str(key)}
        changes.setdefault("subscription", {})
        changes["subscription"].setdefault("allow_sni_paths", [str(scene.directory)])
        super().__init__(scene, **changes)

    def _write(self, changes):
        self.tls_port = harness.free_port()
        self.redirect_port = harness.free_port()
        super()._write(changes)
        self.change(listeners=[
            {"address": f"127.0.0.1:{self.port}", "protocol": "http"},
            {"address": f"127.0.0.1:{self.tls_port}", "protocol": "https", **self._identity,
             **self._https},
            {"address": f"127.0.0.1:{self.redirect_port}", "redirect_to_https": True},
            *self._listeners])

    def announce(self, node, key, identity=None, ca=None, good=True, **fields):
        """Announces `node` (or an address), with paths or with PEM text (bytes), and waits
        until it is served; where it is not `good`, only until it was judged."""
        address = getattr(node, "address", node)
        if identity:
            fields["sni_key"], fields["sni_crt"] = identity
        if ca:
            fields["sni_ca"] = ca
        self.deliver(packets.subscription(key, address, **fields))
        name = ("any" if key.startswith(".") else "") + key.partition("/")[0]
        path = "/" + key.partition("/")[2]
        if good:
            self.wait_known(name, path)
        if identity and good:
            self._wait_identity(name, identity[1])

    def wait_adopted(self, after=0):
        """The version of the routes that every worker goes by: above `after`, and the last
        that was published."""
        def version():
            published = self.metric("fealty_routes_version")
            adopted = self.metric("fealty_routes_adopted_version")
            return adopted > after and adopted == published and adopted
        return harness.wait_until(version, "every worker has adopted the routes", every=0.002)

    def _wait_identity(self, name, chain):
        text = chain.decode() if isinstance(chain, bytes) else chain.read_text()
        expected = ssl.PEM_cert_to_DER_cert(text)

        def shows():
            with self.tls(name) as client:
                return client.socket.getpeercert(binary_form=True) == expected
        harness.wait_until(shows, f"{name} has its certificate")

    def tls(self, name, **how):
        return TlsClient(("127.0.0.1", self.tls_port), name, **how)


class TlsClient(clients.Client):
    """A client of a TLS port, ready to send. `name` is the SNI, None sends none.

    `session` resumes; `certificate` is (key, crt); `version` "1.2" or "1.3" fixes it.
    """

    def __init__(self, address, name, *, session=None, certificate=None, version=None,
                 context=None, ciphers=None, **how):
        super().__init__(address, **how)
        self.context = context or context_for(certificate, version, ciphers)
        plain = self.socket
        try:
            self.socket = self.context.wrap_socket(plain, server_hostname=name, session=session)
        except BaseException:
            plain.close()
            raise

    @property
    def subject(self):
        """The common name that the server's certificate has."""
        der = self.socket.getpeercert(binary_form=True)
        shown = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-serial",
                                "-nameopt", "multiline"], input=der, capture_output=True,
                               check=True).stdout.decode()
        return shown.partition("commonName")[2].partition("=")[2].partition("\n")[0].strip()

    def status(self, host, path="/", method="GET"):
        return self.request(method, path, host=host).status


def context_for(certificate=None, version=None, ciphers=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        exact = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = exact
    if ciphers:
        context.set_ciphers(ciphers)
    if certificate:
        context.load_cert_chain(certificate[1], certificate[0])
    return context


def refused(router, name, *, host=None, **how):
    """Whether the handshake, or the first request after it (TLS 1.3), is refused."""
    try:
        with router.tls(name, **how) as client:
            client.status(host or name)
            return False
    except (ssl.SSLError, ConnectionResetError, clients.Incomplete, BrokenPipeError):
        return True


def curl(router, url, *arguments, certificate=None):
    """(status, body) of curl for https://NAME/... or http://NAME/..., led to the router."""
    name = url.partition("//")[2].partition("/")[0]
    tls = url.startswith("https:")
    port = router.tls_port if tls else router.port
    more = ["--cert", certificate[1], "--key", certificate[0]] if certificate else []
    done = subprocess.run(
        ["curl", "--silent", "--insecure", "--max-time", str(20 * harness.SLOW), "--connect-to",
         f"{name}:{443 if tls else 80}:127.0.0.1:{port}", "--write-out", "\n%{http_code}",
         *map(str, more), *arguments, url], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, f"curl: {done.returncode}"
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def text_of(path):
    return pathlib.Path(path).read_bytes()


def plain_request(port, data):
    """What comes back where `data` is sent without TLS."""
    with clients.Client(("127.0.0.1", port)) as client:
        with contextlib.suppress(OSError):
            client.send(data)
            client.socket.shutdown(socket.SHUT_WR)
        try:
            return client.read_to_end()
        except ConnectionResetError:
            return client.buffer
