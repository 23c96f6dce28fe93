"""The serial of a zone: it grows with each change, and never goes back.

A zone is written with the time as its serial; where the file that it replaces has one as great, with the one after
that. So it goes on over restarts, and over a clock that is set back, as long as the file stays. RFC 1982.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["same", "serial_at", "succeeding"]

_SERIALS: Final = 1 << 32
_SOA: Final = re.compile(rb"\sSOA\s+\S+\s+\S+\s+(?:\(|;[^\n]*\n|\s)*(?P<serial>[0-9]{1,10})\b", re.IGNORECASE)


def serial_at(wall: float) -> int:
    """The serial of a zone that is written at this time, in seconds since 1970."""
    return int(wall) % _SERIALS


def same(old: bytes, new: bytes) -> bool:
    """Whether two zones differ in their serial at most."""
    return _with_serial(old, b"0") == _with_serial(new, b"0")


def succeeding(old: bytes, new: bytes) -> bytes:
    """The new zone with its own serial, or with the one after the old zone's where that is none less (RFC 1982)."""
    before, now = _SOA.search(old), _SOA.search(new)
    if before is None or now is None:
        return new
    last, wanted = int(before["serial"]) % _SERIALS, int(now["serial"])
    if 0 < (wanted - last) % _SERIALS < _SERIALS // 2:
        return new
    return _with_serial(new, b"%d" % ((last + 1) % _SERIALS))


def _with_serial(zone: bytes, serial: bytes) -> bytes:
    found = _SOA.search(zone)
    return zone if found is None else zone[: found.start("serial")] + serial + zone[found.end("serial") :]
