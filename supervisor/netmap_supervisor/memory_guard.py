"""Looks at the memory of this process while it works, and says when it grows without end.

A message of many frames grows until its last one comes, and no mark of ZeroMQ's counts it before. A process that does
nothing is not woken: the timer runs with the time that it has a processor (setitimer(2), ITIMER_PROF).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["LIMIT", "MOST", "MemoryGuard", "unwatch_memory", "watch_memory"]

LIMIT: Final = 256 << 20
"""Bytes in memory: the Supervisor has forty million, and words on their way."""
ROOM: Final = 128 << 20
"""Bytes more than what stays, where that much stays."""
MOST: Final = 1 << 30
"""Bytes above which it is always too much: half of the address space, of which the rest is for the next flood."""
STEP: Final = 0.05
"""Seconds of processor time between two looks: a flood fills some 60 MiB."""
SETTLING: Final = 0.2
"""Seconds after which what was let go of is free again."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryGuard:
    """Decides by figures. Pure."""

    def __init__(self) -> None:
        self._limit = LIMIT
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
        self._limit = min(max(LIMIT, resident + ROOM), MOST)


def watch_memory(loop: Loop, let_go: Callable[[], object]) -> None:
    """Call `let_go()` in the loop's turn when there is too much; to be called in the main thread.

    `unwatch_memory` has to follow: at its end Python forgets the signal's handler, and the next one would end us.
    """
    guard = MemoryGuard()

    def look() -> None:
        if guard.too_much(_resident()):
            let_go()
            loop.at(loop.now() + SETTLING, settle)

    def settle() -> None:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
        guard.settled(_resident())

    signal.signal(signal.SIGPROF, lambda _number, _frame: loop.call_soon(look))
    signal.setitimer(signal.ITIMER_PROF, STEP, STEP)


def unwatch_memory() -> None:
    """Look no more. To be called in the main thread, also where nobody looked."""
    signal.setitimer(signal.ITIMER_PROF, 0.0)


def _resident() -> int:
    """Bytes; 0 when nobody can say."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0
