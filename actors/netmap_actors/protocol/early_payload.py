"""The optional EarlyNoise block between the Noise handshake and the server's first HTTP/2 frame.

Not here: an answer to its challenge, for which there is no protocol. Layout from tailscale: control/ts2021/conn.go:
five bytes `FF FF FF T S`, u32 big-endian length, JSON. It begins where an HTTP/2 frame header would, nine bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError

if TYPE_CHECKING:
    from netmap_actors.protocol.keys import ChallengePublic

__all__ = ["MAX_EARLY_PAYLOAD", "EarlyPayloadReader", "challenge_json", "encode_early_payload"]

MAX_EARLY_PAYLOAD = 64 << 10
"""Bytes of JSON accepted; servers send about a hundred."""

_MAGIC = b"\xff\xff\xffTS"
_HEADER_LENGTH = 9


class EarlyPayloadReader:
    """Parses the first plaintext of a connection, in any fragmentation."""

    def __init__(self) -> None:
        self._buffer = b""
        self._wanted: int | None = None
        self.done = False
        """Whether all further bytes are HTTP/2 and may bypass this reader."""

    def receive(self, data: bytes) -> tuple[bytes | None, bytes]:
        """(JSON, rest): the payload, unparsed, once, in the call that completes it; `rest` is HTTP/2.

        Without a payload everything is rest, as soon as it cannot begin one. Raises RemoteProtocolError for a length
        above MAX_EARLY_PAYLOAD.
        """
        if self.done:
            return None, data
        self._buffer += data
        head = self._buffer[: len(_MAGIC)]
        if head != _MAGIC[: len(head)]:
            return None, self._finish(0)
        if len(self._buffer) < _HEADER_LENGTH:
            return None, b""
        if self._wanted is None:
            length = int.from_bytes(self._buffer[len(_MAGIC) : _HEADER_LENGTH], "big")
            if length > MAX_EARLY_PAYLOAD:
                raise RemoteProtocolError(
                    f"cannot read the early payload: {length} bytes announced, limit is {MAX_EARLY_PAYLOAD}"
                )
            self._wanted = _HEADER_LENGTH + length
        if len(self._buffer) < self._wanted:
            return None, b""
        payload = self._buffer[_HEADER_LENGTH : self._wanted]
        return payload, self._finish(self._wanted)

    def _finish(self, offset: int) -> bytes:
        rest = self._buffer[offset:]
        self._buffer = b""
        self.done = True
        return rest


def encode_early_payload(json: bytes) -> bytes:
    """The block around its JSON. Raises LocalProtocolError above MAX_EARLY_PAYLOAD."""
    if len(json) > MAX_EARLY_PAYLOAD:
        raise LocalProtocolError(
            f"cannot send an early payload of {len(json)} bytes: {MAX_EARLY_PAYLOAD} allowed"
        )
    return _MAGIC + struct.pack(">I", len(json)) + json


def challenge_json(challenge: ChallengePublic) -> bytes:
    """The JSON of the block."""
    return f'{{"nodeKeyChallenge":"{challenge}"}}'.encode()
