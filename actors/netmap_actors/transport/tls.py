"""TLS over another stream, verified always, by memory buffers so that it never waits.

Not here: trust in the control server; that is Noise's, and its key is pinned.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError, RemoteProtocolError, escape
from netmap_actors.transport.byte_stream import READ_SIZE

if TYPE_CHECKING:
    from netmap_actors.transport.byte_stream import ByteStream

__all__ = ["TlsStream", "make_context"]


def make_context(ca_file: str = "") -> ssl.SSLContext:
    """The system's roots, and those of `ca_file` (PEM) besides. Raises ConfigurationError."""
    context = ssl.create_default_context()
    # A connection that takes the ts2021 upgrade must not become HTTP/2 by itself.
    context.set_alpn_protocols(["http/1.1"])
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            why = (
                error.strerror
                if isinstance(error, OSError) and error.strerror
                else "it holds no PEM certificate"
            )
            raise ConfigurationError(
                f"cannot use the CA file {ca_file}: {why}; name a readable PEM file, or none"
            ) from None
    return context


class TlsStream:
    """A TLS client over a TcpStream, or over another one of these.

    The handshake happens by itself; what is sent before its end waits for it.
    """

    def __init__(self, below: ByteStream, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
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
                # All that was there has been decrypted: only now may the socket be asked for more.
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
        """Decrypted bytes; None when more must arrive first, b"" at the end."""
        if not self._established:
            return b"" if self._incoming.eof else None
        try:
            return self._tls.read(READ_SIZE)
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            # Without a close_notify, too: whether something is missing shows in what lies above.
            return b""
        except ssl.SSLError as error:
            raise self._failure(error) from None

    def _advance(self) -> None:
        """Go on with the handshake, then with what waits to be sent."""
        try:
            if not self._established:
                self._tls.do_handshake()
                self._established = True
            while self._unsent:
                self._unsent = self._unsent[self._tls.write(self._unsent) :]
        except ssl.SSLWantReadError:
            pass  # the other side has the word
        except ssl.SSLError as error:
            self._push_out()
            raise self._failure(error) from None
        self._push_out()

    def _push_out(self) -> None:
        self._below.send(self._outgoing.read())

    def _failure(self, error: ssl.SSLError) -> RemoteProtocolError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return RemoteProtocolError(
                f"cannot trust {self._host}: its certificate is refused: {escape(error.verify_message)}; "
                "check the control URL and this machine's clock, or name the issuer with --ca-file"
            )
        if isinstance(error, ssl.SSLEOFError):
            return RemoteProtocolError(f"cannot speak TLS with {self._host}: it closed inside the handshake")
        reason = escape(error.reason or str(error))
        return RemoteProtocolError(f"cannot speak TLS with {self._host}: {reason}; is it an http:// server?")


if TYPE_CHECKING:

    def _is_a_byte_stream(stream: TlsStream) -> ByteStream:
        return stream
