"""Cuts subscribers that send a message without end, before it has filled the publisher's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.confinement.memory_guard import watch_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.process.child_log import ChildLog
    from netmap_actors.publisher.front import Front

__all__ = ["FloodGuard"]

SPARED: Final = 60.0
"""Seconds in which all connections are cut once at most: a netmap may be as large as that."""


class FloodGuard:
    """Runs until `unwatch_memory`."""

    def __init__(self, loop: Loop, fronts: Callable[[], Iterable[Front]], log: ChildLog) -> None:
        """`fronts()`: those that are open."""
        self._loop = loop
        self._fronts = fronts
        self._log = log
        self._spared_until = 0.0
        watch_memory(loop, self, grows=True)

    def hang_up_on_floods(self) -> int:
        return self._logged(sum(front.hang_up_on_floods() for front in self._fronts()))

    def hang_up_on_all(self) -> int:
        """A sender no faster than the reader has nothing unread, and fills the memory nevertheless."""
        if self._loop.now() < self._spared_until:
            return 0
        self._spared_until = self._loop.now() + SPARED
        return self._logged(sum(front.hang_up_on_all() for front in self._fronts()))

    def _logged(self, cut: int) -> int:
        if cut:
            self._log.warning("words_without_end", connections_cut=cut)
        return cut
