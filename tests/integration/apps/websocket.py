"""A WebSocket echo on uWSGI's own API: what the client sends is sent back as text."""
import uwsgi


def application(environ, start_response):
    if "HTTP_SEC_WEBSOCKET_KEY" not in environ:
        start_response("200 OK", [("Content-Length", "5")])
        return [b"plain"]
    uwsgi.websocket_handshake(environ["HTTP_SEC_WEBSOCKET_KEY"],
                              environ.get("HTTP_ORIGIN", ""))
    try:
        while True:
            uwsgi.websocket_send(uwsgi.websocket_recv())
    except OSError:
        return []  # the client has closed
