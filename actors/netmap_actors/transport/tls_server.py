"""TLS of the server's side between the bytes of a socket and those of its connection, without the socket.

Not here: sockets, times, certificates and their files (`dev_control.http`, `http_endpoint`).
"""

from __future__ import annotations

import contextlib
import ssl

from netmap_actors.errors import escape

__all__ = ["TlsLayer", "server_context"]

_READ = 256 << 10
_WRITE = 64 << 10
_PLAIN_HTTP = "it speaks plain HTTP on the port for TLS"
_PLAIN_ANSWER = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    b"This port is for TLS: use https://, or the port for plain HTTP.\n"
)
"""As Go's servers answer (net/http: server.go)."""
_UNKNOWN_CA = "it does not trust the certificate; make it trust the CA's"
_OLD = "it speaks no TLS 1.2 or later"
_REASONS = {
    "HTTP_REQUEST": _PLAIN_HTTP,
    "HTTPS_PROXY_REQUEST": _PLAIN_HTTP,
    "TLSV1_ALERT_UNKNOWN_CA": _UNKNOWN_CA,
    "SSLV3_ALERT_BAD_CERTIFICATE": _UNKNOWN_CA,  # Go's clients, whatever they dislike of a certificate
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _UNKNOWN_CA,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it takes the certificate for expired; look at its clock",
    "WRONG_VERSION_NUMBER": "what it sends is not TLS",
    "UNSUPPORTED_PROTOCOL": _OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _OLD,
    "NO_SHARED_CIPHER": "it has no cipher in common with this server",
}


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """For this certificate chain and its key, both paths of PEM files. Raises OSError, of which ssl.SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could make the server work without end (CVE-2011-1473).
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Chosen only if the client offers it: the upgrade is one of HTTP/1.1.
    context.set_alpn_protocols(["http/1.1"])
    # Without a password callback OpenSSL would ask on the terminal.
    context.load_cert_chain(certificate, key, password=lambda: b"")
    return context


class TlsLayer:
    """One connection's TLS. It ends with the client's close_notify, or with a `failure`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._answer = b""
        self.established = False
        """The handshake is done."""
        self.ended = False
        """Nothing more comes from the client."""
        self.failure = ""
        """Why it ended; empty after a close_notify."""
        self._closed = False

    @property
    def version(self) -> str:
        """Such as TLSv1.3."""
        return self._tls.version() or ""

    def receive(self, data: bytes) -> bytes:
        """Bytes of the socket; what they hold for the connection."""
        plain = bytearray()
        if self.ended:
            return b""
        self._incoming.write(data)
        try:
            if not self.established:
                self._tls.do_handshake()
                self.established = True
            while piece := self._tls.read(_READ):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.ended = True
        except ssl.SSLError as error:
            self._fail(error)
        return bytes(plain)

    def send(self, data: bytes) -> bytes:
        """Bytes for the socket that hold these of the connection, which has none before the handshake is done."""
        rest, sealed = memoryview(data), [self._outgoing.read()]
        try:
            while rest and not self.failure:
                rest = rest[self._tls.write(rest[:_WRITE]) :]
                # The BIO keeps the memory of the most it ever held.
                sealed.append(self._outgoing.read())
        except ssl.SSLError as error:
            self._fail(error)
            sealed.append(self._outgoing.read())
        answer, self._answer = self._answer, b""
        return answer or b"".join(sealed)

    def close(self) -> None:
        """Nothing more is sent but a close_notify, if there is somebody to read it."""
        if self._closed or self.failure or not self.established:
            return
        self._closed = True
        # The client's own close_notify is not waited for.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()

    def _fail(self, error: ssl.SSLError) -> None:
        reason = error.reason or str(error)
        self.ended = True
        self.failure = _REASONS.get(reason) or escape(reason.replace("_", " ").lower(), 80)
        if self.failure is _PLAIN_HTTP:
            self._outgoing.read()  # an alert, which would be noise to it
            self._answer = _PLAIN_ANSWER
