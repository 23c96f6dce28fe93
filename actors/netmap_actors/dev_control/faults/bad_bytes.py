"""Bytes a correct server does not send: bombs, wrong lengths, empty and corrupt records.

Not here: when they are sent (`faults.catalogue`, `connection`).
"""

from __future__ import annotations

import struct

from netmap_actors.protocol.map_framing import encode_frame
from netmap_actors.protocol.noise import RecordStream
from netmap_actors.protocol.noise.messages import MAX_PLAINTEXT, FrameType

__all__ = ["PIECES", "EvilRecords", "bomb", "http2_frame", "oversized", "two_frames"]

_BLOCK = 128 << 10
_RLE = 1

PING, SETTINGS, WINDOW_UPDATE, DATA = 6, 4, 8, 0


def http2_frame(kind: int, payload: bytes, *, stream_id: int = 0, flags: int = 0) -> bytes:
    """A raw HTTP/2 frame (RFC 9113, section 4.1), whatever the state of the connection."""
    return struct.pack(">BHBBL", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, stream_id) + payload


PIECES: dict[str, bytes] = {
    "ping": http2_frame(PING, b"dev-ping"),
    "settings": http2_frame(SETTINGS, b""),
    "window_update": http2_frame(WINDOW_UPDATE, struct.pack(">L", 1)),
}
"""Control frames by name; legal each, a flood in numbers."""


def bomb(size: int, *, declared: bool) -> bytes:
    """A map frame of a few KiB whose one zstd frame decodes to about `size` zero bytes.

    Blocks of one repeated byte: four bytes each make 128 KiB (RFC 8878, section 3.1.1.2).
    """
    blocks = max(1, size // _BLOCK)
    if declared:
        header = b"\x28\xb5\x2f\xfd" + bytes([0xC0, 0x50]) + struct.pack("<Q", blocks * _BLOCK)
    else:
        header = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x50])  # window of 1 MiB, no content size
    block, last = (struct.pack("<L", end | _RLE << 1 | _BLOCK << 3)[:3] + b"\x00" for end in (0, 1))
    body = header + block * (blocks - 1) + last
    return struct.pack("<L", len(body)) + body


def oversized(length: int) -> bytes:
    """A map frame that announces `length` bytes and has a few."""
    return struct.pack("<L", length & 0xFFFFFFFF) + bytes(64)


def two_frames(json: bytes, *, compress: bool) -> bytes:
    """Two documents, each a whole zstd frame, under one length."""
    body = encode_frame(json, compress=compress)[4:] * 2
    return struct.pack("<L", len(body)) + body


class EvilRecords(RecordStream):
    """Records that can also be empty, corrupt or too long."""

    def seal(self, plaintext: bytes | memoryview) -> bytes:
        """Records around `plaintext`; none once the stream is dead."""
        return b"" if self.dead else super().seal(plaintext)

    def seal_empty(self) -> bytes:
        """A record without content, which is legal."""
        return self._record(b"")

    def seal_corrupt(self, plaintext: bytes) -> bytes:
        """A record whose last bit is wrong. Nothing can follow it."""
        record = bytearray(self._record(plaintext))
        record[-1] ^= 1
        return bytes(record)

    def seal_too_long(self) -> bytes:
        """A record of 4097 bytes, header included: authentic, and one byte too long."""
        return self._record(bytes(MAX_PLAINTEXT + 1))

    def _record(self, plaintext: bytes) -> bytes:
        ciphertext = self._seal(struct.pack(">4xQ", self._sent), plaintext, None)
        self._sent += 1
        return struct.pack(">BH", FrameType.RECORD, len(ciphertext)) + ciphertext
