"""Watches the memory of this process while it works, and has connections cut when it grows without end.

A message of many frames grows until its last one comes, and no high-water mark counts it before. An idle process is
not woken: the timer counts processor time (setitimer(2), ITIMER_PROF).
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import TYPE_CHECKING, Final, Protocol

from netmap_actors.confinement.unused_memory import trim

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop

__all__ = [
    "MEMORY_LIMIT",
    "ROOM",
    "Connections",
    "MemoryGuard",
    "resident_bytes",
    "unwatch_memory",
    "watch_memory",
]

MEMORY_LIMIT: Final = 256 << 20
"""Resident bytes: the Supervisor has forty million, the publisher of 50 000 peers 190, and unread messages."""
ROOM: Final = 128 << 20
"""Bytes above what is in use, where that is much."""
_UNLIMITED: Final = 1 << 30
"""Bytes at most where the address space has no bound."""
STEP: Final = 0.05
"""Seconds of processor time between two looks: a flood fills some 60 MiB."""
SETTLING: Final = 0.2
"""Seconds after which the memory of cut connections is free again."""
_RESTING: Final = 1.0
"""Seconds at most until the next look, where repeatedly no connection was to blame."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryGuard:
    """Decides by figures. Pure."""

    def __init__(self, most: int) -> None:
        """`most`: bytes above which it is always too much; what is left above is for the next flood."""
        self.most = most
        self._limit = MEMORY_LIMIT
        self._settling = False

    def too_much(self, resident: int) -> bool:
        """Whether connections have to be cut; then `settled` follows."""
        if self._settling or resident <= self._limit:
            return False
        self._settling = True
        return True

    def settled(self, resident: int) -> None:
        """What is there a moment after: unused memory may stay with the allocator, and is no flood."""
        self._settling = False
        self._limit = min(max(MEMORY_LIMIT, resident + ROOM), self.most)


class Connections(Protocol):
    """The connections of this process."""

    def hang_up_on_floods(self) -> int:
        """Cut the connections that send more than is read; how many."""

    def hang_up_on_all(self) -> int:
        """Cut all, as the one that fills the memory is not known; how many."""


def watch_memory(loop: Loop, connections: Connections, *, grows: bool) -> None:
    """Cut the connections that fill it, in the loop's turns; to be called in the main thread.

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
            cut = connections.hang_up_on_floods()
            if not cut and (resident > guard.most or not grows):
                cut = connections.hang_up_on_all()
            rest = SETTLING if cut else min(2 * rest, _RESTING)
            loop.at(loop.now() + rest, settle)

    def settle() -> None:
        # The next flood is no reason to have more room.
        if connections.hang_up_on_floods():
            loop.at(loop.now() + SETTLING, settle)
            return
        trim()
        guard.settled(resident_bytes())

    signal.signal(signal.SIGPROF, lambda _number, _frame: loop.call_soon(look))
    signal.setitimer(signal.ITIMER_PROF, STEP, STEP)


def unwatch_memory() -> None:
    """End the watch, if there is one. To be called in the main thread."""
    signal.setitimer(signal.ITIMER_PROF, 0.0)


def resident_bytes() -> int:
    """Of this process (proc_pid_statm(5)); 0 without a free descriptor."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * _PAGE
    return 0
