"""Looks at the memory of this process while it works, and says when it grows without end.

A message of many frames grows until its last one comes, and no mark of ZeroMQ's counts it before. A process that does
nothing is not woken: the timer runs with the time that it has a processor (setitimer(2), ITIMER_PROF).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop

__all__ = ["MEMORY_LIMIT", "ROOM", "Doors", "MemoryGuard", "resident_bytes", "unwatch_memory", "watch_memory"]

MEMORY_LIMIT: Final = 256 << 20
"""Bytes in memory: the Supervisor has forty million, the publisher of 50 000 peers 190, and words on their way."""
ROOM: Final = 128 << 20
"""Bytes more than what stays, where that much stays."""
_UNLIMITED: Final = 1 << 30
"""Bytes that are the most where the address space has no bound."""
STEP: Final = 0.05
"""Seconds of processor time between two looks: a flood fills some 60 MiB."""
SETTLING: Final = 0.2
"""Seconds after which what was let go of is free again."""
_RESTING: Final = 1.0
"""Seconds at most until the next look, where nobody was to blame time and again."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryGuard:
    """Decides by figures. Pure."""

    def __init__(self, most: int) -> None:
        """`most`: bytes above which it is always too much; what is left above is for the next flood."""
        self.most = most
        self._limit = MEMORY_LIMIT
        self._settling = False

    def too_much(self, resident: int) -> bool:
        """Whether somebody has to be let go of; then `settled` follows."""
        if self._settling or resident <= self._limit:
            return False
        self._settling = True
        return True

    def settled(self, resident: int) -> None:
        """What is there a moment after: memory that nobody uses may stay with the allocator, and is no flood."""
        self._settling = False
        self._limit = min(max(MEMORY_LIMIT, resident + ROOM), self.most)


class Doors(Protocol):
    """Where this process is spoken to."""

    def hang_up_on_floods(self) -> int:
        """Let go of those who send more than is read; how many that were."""

    def hang_up_on_all(self) -> int:
        """Somebody fills the memory, and nobody can say who."""


def watch_memory(loop: Loop, doors: Doors, *, grows: bool) -> None:
    """Let go of whoever fills it, in the loop's turns; to be called in the main thread.

    `grows`: it has reasons to grow of its own, so all are cut only where half of the address space is in use.
    `unwatch_memory` has to follow: at its end Python forgets the signal's handler, and the next one would end us.
    """
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    guard = MemoryGuard(_UNLIMITED if space == resource.RLIM_INFINITY else space // 2)
    rest = SETTLING

    def look() -> None:
        nonlocal rest
        resident = resident_bytes()
        if guard.too_much(resident):
            cut = doors.hang_up_on_floods()
            if not cut and (resident > guard.most or not grows):
                cut = doors.hang_up_on_all()
            rest = SETTLING if cut else min(2 * rest, _RESTING)
            loop.at(loop.now() + rest, settle)

    def settle() -> None:
        # The next flood is no reason to have more room.
        if doors.hang_up_on_floods():
            loop.at(loop.now() + SETTLING, settle)
            return
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
        guard.settled(resident_bytes())

    signal.signal(signal.SIGPROF, lambda _number, _frame: loop.call_soon(look))
    signal.setitimer(signal.ITIMER_PROF, STEP, STEP)


def unwatch_memory() -> None:
    """Look no more. To be called in the main thread, also where nobody looked."""
    signal.setitimer(signal.ITIMER_PROF, 0.0)


def resident_bytes() -> int:
    """Of this process (proc_pid_statm(5)); 0 without a free descriptor."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0
