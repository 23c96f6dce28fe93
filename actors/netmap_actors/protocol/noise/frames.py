"""The frame between the 101 and the first record: Response or Error.

Not here: the cryptography of the response (`handshake`) and the records after it (`record`).
"""

from __future__ import annotations

import struct

from netmap_actors.errors import RemoteProtocolError, escape
from netmap_actors.protocol.noise.messages import (
    ERROR_TEXT_LIMIT,
    HEADER_LENGTH,
    RESPONSE_BODY_LENGTH,
    RESPONSE_LENGTH,
    FrameType,
)

__all__ = ["HandshakeError", "HandshakeRefused", "NoiseFrames"]

_unpack_header = struct.Struct(">BH").unpack_from


class HandshakeRefused(RemoteProtocolError):
    """The server closed after 101 and before its Response.

    It could not decrypt the initiation (its key is not the one we know) or refused our version; not a network problem
    (headscale: hscontrol/noise.go).
    """


class HandshakeError(RemoteProtocolError):
    """The server answered the initiation with an Error frame; `text` is escaped and unauthenticated."""

    def __init__(self, text: str) -> None:
        super().__init__(f"cannot finish the Noise handshake: the server says {text!r}")
        self.text = text


class NoiseFrames:
    """Reads exactly one frame of the handshake; what follows it is `trailing` and belongs to the records."""

    def __init__(self) -> None:
        self._buffer = b""
        self._response: bytes | None = None

    @property
    def trailing(self) -> bytes:
        """Bytes received after the Response frame; empty before it."""
        return self._buffer if self._response is not None else b""

    def receive(self, data: bytes) -> bytes | None:
        """The 51-byte Response frame once it is complete, else None. Not to be called after that.

        Raises HandshakeError for an Error frame, RemoteProtocolError for anything else.
        """
        self._buffer += data
        if self._response is not None or not self._buffer:
            return self._response
        kind = self._buffer[0]
        if kind not in (FrameType.RESPONSE, FrameType.ERROR):
            raise RemoteProtocolError(f"cannot read the server's handshake: frame type {kind}")
        if len(self._buffer) < HEADER_LENGTH:
            return None
        _, length = _unpack_header(self._buffer)
        if kind == FrameType.ERROR:
            self._receive_error(length)
            return None
        if length != RESPONSE_BODY_LENGTH:
            raise RemoteProtocolError(f"cannot read the server's handshake: response of {length} bytes")
        if len(self._buffer) < RESPONSE_LENGTH:
            return None
        self._response = self._buffer[:RESPONSE_LENGTH]
        self._buffer = self._buffer[RESPONSE_LENGTH:]
        return self._response

    def eof(self) -> None:
        """The server closed. Raises HandshakeRefused, or HandshakeError for an incomplete Error frame."""
        if self._buffer[:1] == bytes([FrameType.ERROR]) and len(self._buffer) > HEADER_LENGTH:
            raise HandshakeError(escape(self._buffer[HEADER_LENGTH:]))
        raise HandshakeRefused(
            "cannot finish the Noise handshake: the server closed right after 101; its key has changed, "
            "or it does not accept our protocol version"
        )

    def _receive_error(self, length: int) -> None:
        if length > ERROR_TEXT_LIMIT:
            raise RemoteProtocolError(f"cannot read the server's handshake: error text of {length} bytes")
        if len(self._buffer) < HEADER_LENGTH + length:
            return
        raise HandshakeError(escape(self._buffer[HEADER_LENGTH : HEADER_LENGTH + length]))
