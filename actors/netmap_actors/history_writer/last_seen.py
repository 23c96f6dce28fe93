"""Up to when the history has seen anything: eight bytes in a mapped file, which outlive a process that is killed.

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

__all__ = ["KERNEL_WRITES", "LastSeen", "seen_until"]

KERNEL_WRITES = 60.0
"""Seconds after which the kernel has written what it was given (vm.dirty_expire_centisecs is 30 s), in no order."""
_FORMAT = struct.Struct("<d")


def seen_until(written: float | None, marked: float, *, booted: float, now: float) -> float | None:
    """Up to when the processes before have seen anything; None: there were none. All times are UNIX seconds.

    `written`: of the last transaction that is there; `marked`: by LastSeen. `booted`: when this machine was started:
    of a mark from before that the transactions may be lost that were there when it was set.
    """
    if written is None:
        return None
    return min(now, max(written, marked if marked >= booted else marked - KERNEL_WRITES))


class LastSeen:
    """UNIX seconds; 0.0 for never. Raises OSError when the file cannot be made."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size != _FORMAT.size:
                os.ftruncate(descriptor, 0)
                # Room now: to write to a mapped hole of a full disk ends a process.
                os.write(descriptor, _FORMAT.pack(0.0))
            self._map = mmap.mmap(descriptor, _FORMAT.size)
        finally:
            os.close(descriptor)

    @property
    def at(self) -> float:
        """When `mark` was called last, by any process."""
        return float(_FORMAT.unpack_from(self._map)[0])

    def mark(self, at: float) -> None:
        """Everything until now was seen."""
        _FORMAT.pack_into(self._map, 0, at)

    def close(self) -> None:
        """Closing twice is allowed."""
        with contextlib.suppress(ValueError):
            self._map.close()
