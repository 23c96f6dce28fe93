"""Seals and opens transport records and counts their nonces.

Source: tailscale: control/controlbase/conn.go. No associated data; the nonce is four zero bytes and a BIG-endian
counter, unlike the Noise specification; there is no rekey. Not here: the plaintext (early payload, HTTP/2).
"""

from __future__ import annotations

import enum
import struct
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from netmap_actors.errors import LocalProtocolError, RemoteProtocolError
from netmap_actors.protocol.noise.messages import (
    HEADER_LENGTH,
    MAX_CIPHERTEXT,
    MAX_PLAINTEXT,
    TAG_LENGTH,
    FrameType,
)

if TYPE_CHECKING:
    from netmap_actors.protocol.noise.handshake import TransportCiphers

__all__ = ["NONCE_LIMIT", "RecordStream"]

NONCE_LIMIT = 2**64 - 1
"""The counter value that is never used: the direction is then exhausted."""

_pack_header = struct.Struct(">BH").pack
_unpack_header = struct.Struct(">BH").unpack_from
_pack_nonce = struct.Struct(">4xQ").pack


class _Life(enum.Enum):
    OPEN = "open"
    DEAD = "dead"


class RecordStream:
    """Both directions of an established Noise connection. After one error both are dead."""

    def __init__(self, ciphers: TransportCiphers) -> None:
        self._seal = ChaCha20Poly1305(ciphers.send).encrypt
        self._open = ChaCha20Poly1305(ciphers.receive).decrypt
        self._sent = 0
        self._received = 0
        self._partial = b""
        self._life = _Life.OPEN
        self.empty_records = 0
        """Records without plaintext so far: valid and skipped, counted against floods."""

    @property
    def dead(self) -> bool:
        """Whether it has failed."""
        return self._life is _Life.DEAD

    @property
    def partial(self) -> bool:
        """Whether the bytes so far end inside a record."""
        return bool(self._partial)

    def receive(self, data: bytes) -> list[bytes]:
        """Plaintext of every record completed by `data`, in order, empty ones left out.

        Raises RemoteProtocolError for anything but a well-formed, authentic record; records of the same call are lost.
        """
        if self._life is _Life.DEAD:
            raise RemoteProtocolError("cannot read on: the Noise connection has failed before")
        # Less than one record is kept, so this copy is bounded.
        buffer = self._partial + data if self._partial else bytes(data)
        view = memoryview(buffer)
        pieces: list[bytes] = []
        offset, end = 0, len(buffer)
        decrypt, counter = self._open, self._received
        try:
            while end - offset >= HEADER_LENGTH:
                kind, length = _unpack_header(buffer, offset)
                if kind != FrameType.RECORD or not TAG_LENGTH <= length <= MAX_CIPHERTEXT:
                    raise self._bad_header(kind, length)
                start, stop = offset + HEADER_LENGTH, offset + HEADER_LENGTH + length
                if stop > end:
                    break
                if counter >= NONCE_LIMIT:
                    raise RemoteProtocolError(
                        "cannot read on: the Noise nonces of this direction are used up"
                    )
                plaintext = decrypt(_pack_nonce(counter), view[start:stop], None)
                counter += 1
                offset = stop
                if plaintext:
                    pieces.append(plaintext)
                else:
                    self.empty_records += 1
        except InvalidTag as error:
            self._die()
            raise RemoteProtocolError("cannot authenticate a Noise record: its tag does not fit") from error
        except RemoteProtocolError:
            self._die()
            raise
        self._received = counter
        self._partial = buffer[offset:]
        return pieces

    def seal(self, plaintext: bytes | memoryview) -> bytes:
        """Records around `plaintext`, split at MAX_PLAINTEXT. All of them must be sent, in order.

        Raises LocalProtocolError on a dead connection and when the nonces are used up.
        """
        if self._life is _Life.DEAD:
            raise LocalProtocolError("cannot send: the Noise connection has failed before")
        view = memoryview(plaintext)
        records: list[bytes] = []
        counter = self._sent
        for start in range(0, len(view), MAX_PLAINTEXT):
            if counter >= NONCE_LIMIT:
                self._die()
                raise LocalProtocolError("cannot send: the Noise nonces of this direction are used up")
            ciphertext = self._seal(_pack_nonce(counter), view[start : start + MAX_PLAINTEXT], None)
            counter += 1
            records.append(_pack_header(FrameType.RECORD, len(ciphertext)))
            records.append(ciphertext)
        self._sent = counter
        return b"".join(records)

    @staticmethod
    def _bad_header(kind: int, length: int) -> RemoteProtocolError:
        if kind != FrameType.RECORD:
            return RemoteProtocolError(
                f"cannot read a Noise record: frame type {kind} instead of {FrameType.RECORD}"
            )
        return RemoteProtocolError(
            f"cannot read a Noise record: ciphertext of {length} bytes, {TAG_LENGTH} to {MAX_CIPHERTEXT} allowed"
        )

    def _die(self) -> None:
        self._life = _Life.DEAD
        self._partial = b""
