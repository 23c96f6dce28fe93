"""Checks every frame header before h2 and refuses frames that are too large or too frequent.

h2 buffers a frame before it checks its length, and answers each PING and SETTINGS frame: floods are refused here first
(RUSTSEC-2026-0258, CVE-2024-27316, CVE-2019-9512, CVE-2019-9515). Not here: the meaning of frames.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from netmap_actors.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = [
    "FLOOD_LIMIT",
    "FLOOD_WINDOW",
    "MAX_CONTROL_FRAME",
    "MAX_DATA_FRAME",
    "MAX_HEADER_BLOCK",
    "FrameGuard",
]

MAX_DATA_FRAME = 64 << 10
"""Bytes of the largest DATA frame, as advertised: larger frames make a large map cheaper to read."""
MAX_CONTROL_FRAME = 16 << 10
"""Bytes of any other frame: RFC 9113's default, which no server exceeds."""
MAX_HEADER_BLOCK = 64 << 10
"""Compressed bytes of one header block, HEADERS and its CONTINUATIONs together."""
FLOOD_WINDOW = 10.0
"""Seconds over which frames are counted; windows do not overlap, so at most twice the limit passes in such a span."""
FLOOD_LIMIT = 1000
"""Frames other than useful DATA per window. A long poll has a few in a minute."""

_SMALL_DATA = 256
"""Smaller DATA on a dead stream counts; what was in flight when a stream was cancelled is larger, and bounded by the
windows."""
_OCTETS_PER_WINDOW_UPDATE = 1024
"""Octets we send that justify one WINDOW_UPDATE: Go's transport sends two per 4 KiB."""

_DATA, _HEADERS, _PUSH_PROMISE, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 5, 7, 8, 9
_HEADER_LENGTH = 9
_unpack_header = struct.Struct(">BHBBL").unpack_from


class FrameGuard:
    """Follows the frames of one connection, in any fragmentation."""

    def __init__(self, live: Container[int], *, preface: int = 0) -> None:
        """`live`: ids of the open streams. `preface`: bytes before the first frame."""
        self._live = live
        self._skip = preface
        self._head = b""
        self._header_block = 0
        self._window_began: float | None = None
        self._counted = 0
        self._sent = 0
        self._goaway = False
        self._data_on = 0
        self._length = 0

    def sent(self, octets: int) -> None:
        """We sent so many octets of DATA, for which WINDOW_UPDATEs may come."""
        self._sent += octets

    def arriving(self, stream_id: int) -> int:
        """Octets so far of an incomplete DATA frame on this stream."""
        return self._length - self._skip if self._skip and self._data_on == stream_id else 0

    def check(self, data: bytes | memoryview, now: float) -> int:
        """How much of `data` to process: all of it, but nothing after a GOAWAY frame.

        Raises RemoteProtocolError for a frame that is too large, and for too many control frames.
        """
        offset, end = 0, len(data)
        while offset < end:
            if self._goaway and not self._skip:
                break
            if self._skip:
                step = min(self._skip, end - offset)
                self._skip -= step
                offset += step
            else:
                missing = _HEADER_LENGTH - len(self._head)
                self._head += data[offset : offset + missing]
                offset = min(offset + missing, end)
                if len(self._head) < _HEADER_LENGTH:
                    break
                self._frame(now)
        return offset

    def _frame(self, now: float) -> None:
        high, low, kind, _, stream_id = _unpack_header(self._head)
        self._head = b""
        length = high << 16 | low
        self._skip = self._length = length
        self._data_on = stream_id & 0x7FFF_FFFF if kind == _DATA else 0
        limit = MAX_DATA_FRAME if kind == _DATA else MAX_CONTROL_FRAME
        if length > limit:
            raise RemoteProtocolError(
                f"cannot read HTTP/2: frame type {kind} of {length} bytes, limit is {limit}"
            )
        if kind == _DATA:
            if length < _SMALL_DATA and self._data_on not in self._live:
                self._count(kind, now)
            return
        if kind == _WINDOW_UPDATE and self._sent >= _OCTETS_PER_WINDOW_UPDATE:
            self._sent -= _OCTETS_PER_WINDOW_UPDATE
            return
        self._count(kind, now)
        if kind in (_HEADERS, _PUSH_PROMISE):
            self._header_block = length
        elif kind == _CONTINUATION:
            self._header_block += length
            if self._header_block > MAX_HEADER_BLOCK:
                raise RemoteProtocolError(f"cannot read HTTP/2: header block over {MAX_HEADER_BLOCK} bytes")
        self._goaway = kind == _GOAWAY

    def _count(self, kind: int, now: float) -> None:
        if self._window_began is None or not 0 <= now - self._window_began < FLOOD_WINDOW:
            self._window_began = now
            self._counted = 0
        self._counted += 1
        if self._counted > FLOOD_LIMIT:
            raise RemoteProtocolError(
                f"cannot go on with HTTP/2: more than {FLOOD_LIMIT} control frames in {FLOOD_WINDOW:.0f} s, "
                f"the last one of type {kind}"
            )
