"""A TLS client that does what Python's ssl cannot: records that carry no data. OpenSSL's own
library by ctypes; only what the tests need of it."""
import ctypes
import ctypes.util

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _library, _names in ((_ssl, ("TLS_client_method", "SSL_CTX_new", "SSL_new")),
                         (_crypto, ("BIO_s_mem", "BIO_new"))):
    for _name in _names:
        getattr(_library, _name).restype = ctypes.c_void_p

_CTRL_INFO, _CTRL_MIN, _CTRL_MAX = 3, 123, 124
VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}


class BareClient:
    """`stream` is a connected, blocking socket; the handshake is done at once."""

    def __init__(self, stream, version="1.3"):
        self.stream = stream
        stream.settimeout(None)
        self._context = ctypes.c_void_p(
            _ssl.SSL_CTX_new(ctypes.c_void_p(_ssl.TLS_client_method())))
        for control in (_CTRL_MIN, _CTRL_MAX):
            _ssl.SSL_CTX_ctrl(self._context, control, ctypes.c_long(VERSIONS[version]), None)
        self._ssl = ctypes.c_void_p(_ssl.SSL_new(self._context))
        _ssl.SSL_set_fd(self._ssl, stream.fileno())
        if _ssl.SSL_connect(self._ssl) != 1:
            raise ConnectionError("no handshake")

    def close(self):
        _ssl.SSL_free(self._ssl)
        _ssl.SSL_CTX_free(self._context)

    def key_updates(self, count):
        """The bytes of so many KeyUpdate messages, made but not sent."""
        def make(_):
            _ssl.SSL_key_update(self._ssl, 0)
            _ssl.SSL_do_handshake(self._ssl)
        return self._collected(make, count)

    def data(self, text, pieces=1):
        """The same of records with `text` in so many pieces."""
        size = -(-len(text) // pieces)

        def make(i):
            part = text[i * size:(i + 1) * size]
            _ssl.SSL_write(self._ssl, part, len(part))
        return self._collected(make, pieces)

    def _collected(self, make, count):
        memory = ctypes.c_void_p(_crypto.BIO_new(ctypes.c_void_p(_crypto.BIO_s_mem())))
        _ssl.SSL_set0_wbio(self._ssl, memory)
        for i in range(count):
            make(i)
        at = ctypes.c_char_p()
        _crypto.BIO_ctrl.restype = ctypes.c_long
        size = _crypto.BIO_ctrl(memory, _CTRL_INFO, 0, ctypes.byref(at))
        return ctypes.string_at(at, size)
