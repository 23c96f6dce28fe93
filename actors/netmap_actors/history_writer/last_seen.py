"""Up to when the history has seen anything, and of which netmap: some bytes in a mapped file, which outlive a process
that is killed.

A commit for each moment in which nothing happened would wear the disk; the kernel writes this page twice a minute.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BRIDGED", "KERNEL_WRITES", "LastSeen", "missed_nothing", "seen_until"]

KERNEL_WRITES = 60.0
"""Seconds after which the kernel has written what it was given (vm.dirty_expire_centisecs is 30 s), in no order."""
BRIDGED = 10.0
"""Seconds without a history that can be known all the same. In a longer time a publisher may have been silent."""
_FORMAT = struct.Struct("<dQQ")
_TIME_ALONE = 8
"""Bytes of an older release."""


def seen_until(written: float | None, marked: float, *, booted: float, now: float) -> float | None:
    """Up to when the processes before have seen anything; None: there were none. All times are UNIX seconds.

    `written`: of the last transaction that is there; `marked`: by LastSeen. `booted`: when this machine was started:
    of a mark from before that the transactions may be lost that were there when it was set.
    """
    if written is None:
        return None
    return min(now, max(written, marked if marked >= booted else marked - KERNEL_WRITES))


def missed_nothing(marked: tuple[int, int], shown: tuple[int, int], *, blind_for: float) -> bool:
    """Whether nothing can have come in the seconds in which nobody wrote: the netmap was fresh at both ends, and the
    publisher has committed nothing. (epoch, seq) of a fresh netmap at each end; (0, 0): it was not.
    """
    return marked == shown != (0, 0) and 0.0 <= blind_for <= BRIDGED


class LastSeen:
    """Raises OSError when the file cannot be made."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size != _FORMAT.size:
                kept = _TIME_ALONE if size == _TIME_ALONE else 0
                os.ftruncate(descriptor, kept)
                # Room now: to write to a mapped hole of a full disk ends a process.
                os.pwrite(descriptor, _FORMAT.pack(0.0, 0, 0)[kept:], kept)
            self._map = mmap.mmap(descriptor, _FORMAT.size)
        finally:
            os.close(descriptor)

    @property
    def at(self) -> float:
        """When `mark` was called last, by any process, UNIX seconds; 0.0 for never."""
        return float(_FORMAT.unpack_from(self._map)[0])

    @property
    def fresh(self) -> tuple[int, int]:
        """(epoch, seq) of the netmap then; (0, 0): it was not fresh."""
        _, epoch, seq = _FORMAT.unpack_from(self._map)
        return epoch, seq

    def mark(self, at: float, fresh: tuple[int, int] = (0, 0)) -> None:
        """Everything until now was seen, and is written."""
        _FORMAT.pack_into(self._map, 0, at, *fresh)

    def close(self) -> None:
        """Closing twice is allowed."""
        with contextlib.suppress(ValueError):
            self._map.close()
