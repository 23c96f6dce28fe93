"""TLS over another stream, always verified, non-blocking through memory buffers.

Not here: the control server's identity, which is its pinned Noise key.
"""

from __future__ import annotations

import datetime
import ssl
from typing import TYPE_CHECKING

from netmap_actors.clock import SystemClock
from netmap_actors.errors import ConfigurationError, RemoteProtocolError, escape
from netmap_actors.protocol.certificate.refusal import why_refused
from netmap_actors.transport.byte_stream import READ_SIZE, why_broken

if TYPE_CHECKING:
    from netmap_actors.transport.byte_stream import ByteStream

__all__ = ["TlsStream", "make_context"]

_RULES = ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN
"""The same on every Python: 3.13 adds VERIFY_X509_STRICT, which refuses most private CAs (cpython issue 107361). An
intermediate in `--ca-file` is enough, as with Go."""


def make_context(ca_file: str = "") -> ssl.SSLContext:
    """The system's roots and those of `ca_file` (PEM). Raises ConfigurationError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags = _RULES
    # Only subjectAltName counts (RFC 9525), as with Go and hence tailscaled.
    context.hostname_checks_common_name = False
    # A connection for the ts2021 upgrade must not negotiate HTTP/2.
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            # An SSLError is an OSError with OpenSSL's text.
            broken = isinstance(error, ssl.SSLError)
            why = "it holds no PEM certificate, or a broken one" if broken else why_broken(error)
            raise ConfigurationError(
                f"cannot use the CA file {ca_file}: {why}; name a readable PEM file, or none"
            ) from None
    return context


class TlsStream:
    """A TLS client over a TcpStream or another TlsStream. What is sent before the handshake's end is queued."""

    def __init__(self, below: ByteStream, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        # SNI has no final dot (RFC 6066, section 3).
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host.rstrip("."))
        self._established = False
        self._unsent = b""
        self._advance()

    def fileno(self) -> int:
        return self._below.fileno()

    @property
    def wants_write(self) -> bool:
        return self._below.wants_write

    def receive(self) -> bytes | None:
        pieces: list[bytes] = []
        size = 0
        while size < READ_SIZE:
            piece = self._read()
            if piece is None:
                # All received bytes are decrypted: read more.
                raw = None if pieces else self._below.receive()
                if raw is None:
                    break
                self._take(raw)
                continue
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces) or None

    def send(self, data: bytes) -> None:
        self._unsent += data
        self._advance()

    def flush(self) -> None:
        self._advance()

    def close(self) -> None:
        self._below.close()

    def _take(self, raw: bytes) -> None:
        if raw:
            self._incoming.write(raw)
        else:
            self._incoming.write_eof()
        self._advance()

    def _read(self) -> bytes | None:
        """Decrypted bytes; None when more are needed, b"" at the end."""
        if not self._established:
            return b"" if self._incoming.eof else None
        try:
            return self._tls.read(READ_SIZE)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Also without a close_notify: the protocol above detects truncation.
            return b""
        except ssl.SSLError as error:
            raise self._failure(error) from None

    def _advance(self) -> None:
        """Continue the handshake, then write the queue."""
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
            while self._unsent:
                self._unsent = self._unsent[self._tls.write(self._unsent) :]
        except ssl.SSLWantReadError:
            pass  # more must arrive first
        except ssl.SSLError as error:
            self._push_out()
            raise self._failure(error) from None
        self._push_out()

    def _push_out(self) -> None:
        self._below.send(self._outgoing.read())

    def _failure(self, error: ssl.SSLError) -> RemoteProtocolError:
        if isinstance(error, ssl.SSLCertVerificationError):
            now = datetime.datetime.fromtimestamp(SystemClock().wall(), datetime.UTC)
            why = why_refused(error.verify_code, error.verify_message, self._certificate(), now)
            return RemoteProtocolError(f"cannot trust {self._host}: {why}")
        if isinstance(error, ssl.SSLEOFError):
            return RemoteProtocolError(f"cannot speak TLS with {self._host}: it closed inside the handshake")
        reason = escape(error.reason or str(error))
        return RemoteProtocolError(f"cannot speak TLS with {self._host}: {reason}; is it an http:// server?")

    def _certificate(self) -> bytes | None:
        """The server's certificate in DER, verified or not; None where this Python does not offer it."""
        # Public since Python 3.13; before, only of the inner object.
        chain = getattr(self._tls, "get_unverified_chain", None) or getattr(
            getattr(self._tls, "_sslobj", None), "get_unverified_chain", None
        )
        first = next(iter(chain() or ()), None) if chain is not None else None
        return first if first is None or isinstance(first, bytes) else _der(first)


def _der(certificate: object) -> bytes | None:
    """DER of a certificate object of the ssl module, which offers PEM."""
    write = getattr(certificate, "public_bytes", None)
    pem = write() if write is not None else None
    return ssl.PEM_cert_to_DER_cert(pem) if isinstance(pem, str) else None
