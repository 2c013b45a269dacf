"""Who is measured. A peer is one class in PEERS; README.md says how to add one.

Every peer does the same work with the best sane settings that it has: one worker, client
keep-alive without end, no access log, TCP_NODELAY where it can be had.
"""

import os
import shutil
import subprocess

from cases import HOST, HTTP_HOST

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Peer:
    """One server under measurement.

    A subclass sets `name` and `offers`, and gives `binary`, `prepare` and `command`.
    It lives in `directory`, which is the bench's to remove, and listens on 127.0.0.1:`port`.
    """

    name = ""
    offers = frozenset()
    announced = False  # whether it learns of the node by subscription packets at `subscription_path`

    def __init__(self, options):
        self.options = options
        self.directory = ""
        self.port = 0
        self.node_path = ""   # the uwsgi node's Unix socket
        self.http_node = ""   # the HTTP node's IP:PORT

    def binary(self):
        """The program: a path, or a name to be found."""
        raise NotImplementedError

    def prepare(self):
        """Writes configuration into `directory`."""

    def command(self):
        """The command that runs it in the foreground."""
        raise NotImplementedError

    def version_command(self):
        return [self.program(), "--version"]

    def program(self):
        """The binary's full path, or None where it is not there."""
        return shutil.which(self.binary(), path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")

    def missing(self):
        """Why it cannot run, or None."""
        return None if self.program() else f"no program {self.binary()}"

    def version(self):
        """The first line that the program says of itself."""
        done = subprocess.run(self.version_command(), capture_output=True, text=True, timeout=10, check=False)
        return ((done.stdout + done.stderr).strip().splitlines() or ["unknown"])[0]

    def url(self, case):
        return f"http://127.0.0.1:{self.port}{case.path}"

    @property
    def subscription_path(self):
        return self.path("subscribe.sock")

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)


# The variables of nginx's own uwsgi_params, written out so that a machine's copy cannot differ.
NGINX_VARIABLES = {
    "QUERY_STRING": "$query_string",
    "REQUEST_METHOD": "$request_method",
    "CONTENT_TYPE": "$content_type",
    "CONTENT_LENGTH": "$content_length",
    "REQUEST_URI": "$request_uri",
    "PATH_INFO": "$document_uri",
    "DOCUMENT_ROOT": "$document_root",
    "SERVER_PROTOCOL": "$server_protocol",
    "REQUEST_SCHEME": "$scheme",
    "HTTPS": "$https if_not_empty",
    "REMOTE_ADDR": "$remote_addr",
    "REMOTE_PORT": "$remote_port",
    "SERVER_PORT": "$server_port",
    "SERVER_NAME": "$server_name",
}

NGINX_CONFIG = """\
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ use epoll; worker_connections 16384; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    server_name {host};
    location / {{
{variables}
      uwsgi_buffering off;
      uwsgi_buffer_size {buffer};
      uwsgi_buffers 8 {buffer};
      uwsgi_pass unix:{node_path};
    }}
  }}
}}
"""


class NginxUwsgi(Peer):
    """nginx with uwsgi_pass.

    Buffering is off: the answer streams through one bounded buffer, as the router does it, and
    nginx reads once less a request. A 10 KiB answer fits into that buffer. Both are its better side.
    """

    name = "nginx-uwsgi"
    offers = frozenset({"http", "uwsgi-node"})
    buffer = "16k"

    def binary(self):
        return "nginx"

    def version_command(self):
        return [self.program(), "-v"]

    def prepare(self):
        variables = "\n".join(f"      uwsgi_param {name} {value};" for name, value in NGINX_VARIABLES.items())
        self.write("nginx.conf", NGINX_CONFIG.format(
            directory=self.directory, port=self.port, host=HOST, variables=variables,
            buffer=self.buffer, node_path=self.node_path))

    def command(self):
        return [self.program(), "-p", self.directory, "-c", self.path("nginx.conf"),
                "-e", self.path("error.log"), "-g", "daemon off;"]


class UwsgiHttp(Peer):
    """uWSGI's http router with a subscription server.

    It sets no TCP_NODELAY on the client's side, and its buffer of one page splits a 10 KiB
    answer into several small writes: 40 ms stalls. A buffer that holds the answer avoids both.
    """

    name = "uwsgi-http"
    offers = frozenset({"http", "uwsgi-node"})
    announced = True

    def binary(self):
        return "uwsgi"

    def command(self):
        return [self.program(), "--plugin", "http", "--http", f"127.0.0.1:{self.port}",
                "--http-subscription-server", self.subscription_path, "--http-processes", "1",
                "--http-keepalive", "--http-buffer-size", "32768", "--listen", "1024",
                "--master", "--die-on-term", "--disable-logging"]


NGINX_HTTP_CONFIG = """\
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log error;
events {{ use epoll; worker_connections 16384; }}
http {{
  access_log off;
  keepalive_timeout 3600s;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  upstream node {{
    server {node};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
  }}
  server {{
    listen 127.0.0.1:{port};
    server_name {host};
    location / {{
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_buffering off;
      proxy_buffer_size 16k;
      proxy_buffers 8 16k;
      proxy_pass http://node;
    }}
  }}
}}
"""


class NginxHttp(NginxUwsgi):
    """nginx with proxy_pass and kept connections to the node; buffering as above."""

    name = "nginx-http"
    offers = frozenset({"http", "http-node"})

    def prepare(self):
        self.write("nginx.conf", NGINX_HTTP_CONFIG.format(
            directory=self.directory, port=self.port, host=HTTP_HOST, node=self.http_node))


HAPROXY_CONFIG = """\
global
  nbthread 1
  maxconn 16384
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout http-keep-alive 3600s
frontend front
  bind 127.0.0.1:{port}
  default_backend nodes
backend nodes
  http-reuse always
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  server node {node} pool-max-conn 256 pool-purge-delay 3600s
"""


class HaproxyHttp(Peer):
    """HAProxy with one thread and shared, kept connections to the node."""

    name = "haproxy-http"
    offers = frozenset({"http", "http-node"})

    def binary(self):
        return "haproxy"

    def version_command(self):
        return [self.program(), "-v"]

    def prepare(self):
        self.write("haproxy.cfg", HAPROXY_CONFIG.format(port=self.port, node=self.http_node))

    def command(self):
        return [self.program(), "-db", "-f", self.path("haproxy.cfg")]


FEALTY_CONFIG = """\
workers: 1
user: root
listeners:
  - {{address: "127.0.0.1:{port}", protocol: http}}
subscription:
  servers: [ {{address: "unix:{subscription_path}", mode: "0600"}} ]
  tolerance: 60s
access_log: null
"""


class Fealty(Peer):
    """The project's router."""

    name = "fealty"
    offers = frozenset({"http", "uwsgi-node", "http-node"})
    announced = True

    def binary(self):
        return self.options.fealty or os.path.join(REPOSITORY, "build", "bin", "fealty-router")

    def missing(self):
        return None if self.program() else f"no program {self.binary()}: build it, or name it with --fealty PATH"

    def prepare(self):
        self.write("router.yaml", FEALTY_CONFIG.format(port=self.port, subscription_path=self.subscription_path))

    def command(self):
        return [self.program(), "-c", self.path("router.yaml")]


class Https:
    """Mixed into a peer: the same by TLS 1.3 with one ECDSA P-256 certificate, of a key of its own."""

    offers = frozenset({"https", "http-node"})

    def url(self, case):
        return f"https://127.0.0.1:{self.port}{case.path}"

    def prepare(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.path("key.pem"), "-out", self.path("crt.pem"), "-days", "30",
                        "-subj", f"/CN={HTTP_HOST}"], check=True, capture_output=True)
        super().prepare()

    def change(self, name, old, new):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        if text.count(old) != 1:
            raise ValueError(f"{name} does not have {old!r} once")
        self.write(name, text.replace(old, new))


class NginxHttps(Https, NginxHttp):
    """nginx as above, by TLS."""

    name = "nginx-https"

    def prepare(self):
        super().prepare()
        self.change("nginx.conf", f"listen 127.0.0.1:{self.port};",
                    f"listen 127.0.0.1:{self.port} ssl; ssl_certificate {self.path('crt.pem')};"
                    f" ssl_certificate_key {self.path('key.pem')}; ssl_protocols TLSv1.3;")


class HaproxyHttps(Https, HaproxyHttp):
    """HAProxy as above, by TLS."""

    name = "haproxy-https"

    def prepare(self):
        super().prepare()
        with open(self.path("both.pem"), "w", encoding="utf-8") as both:
            for name in ("crt.pem", "key.pem"):
                with open(self.path(name), encoding="utf-8") as file:
                    both.write(file.read())
        self.change("haproxy.cfg", f"bind 127.0.0.1:{self.port}",
                    f"bind 127.0.0.1:{self.port} ssl crt {self.path('both.pem')} ssl-min-ver TLSv1.3")
        self.change("haproxy.cfg", "X-Forwarded-Proto http\n", "X-Forwarded-Proto https\n")


class FealtyHttps(Https, Fealty):
    """The project's router, by TLS."""

    name = "fealty-https"

    def prepare(self):
        super().prepare()
        self.change("router.yaml", "protocol: http}",
                    f"protocol: https, certificate: {self.path('crt.pem')}, key: {self.path('key.pem')}}}")
        self.write("router.yaml", self.text("router.yaml") + 'tls: {min_version: "1.3"}\n')

    def text(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()


PEERS = [NginxUwsgi, UwsgiHttp, NginxHttp, HaproxyHttp, NginxHttps, HaproxyHttps, FealtyHttps, Fealty]
