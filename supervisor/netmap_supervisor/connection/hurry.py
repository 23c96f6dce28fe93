"""Who need not wait for his turn because the network came back or the machine woke: at most once in a while.

Pure; times are CLOCK_BOOTTIME seconds. Not here: what comes back (`core`) and the turns (`connection.schedule`).
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROUTE_STARTS", "Hurry"]

ROUTE_STARTS: Final = 5.0
"""Seconds between two starts before their turn."""


class Hurry:
    """Remembers the last start before its turn, and an attempt that began in vain."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._early = False
        self._vain = 0
        """The generation that looked for the server while there was no way to it; 0: none."""
        self._vain_until: float | None = None

    def at(self, now: float, held_until: float) -> float:
        """When one may start before its turn."""
        return max(now, self._last + ROUTE_STARTS, held_until)

    def pulled(self) -> None:
        """The next start is one before its turn."""
        self._early = True

    def started(self, now: float) -> None:
        """A process was started."""
        if self._early:
            self._last = now
        self.lost()

    def lost(self) -> None:
        """There is nothing to hurry for."""
        self._early, self._vain, self._vain_until = False, 0, None

    def in_vain(self, generation: int, until: float) -> None:
        """This attempt began before the way came back: it gets no further than `until` unless it is connected."""
        self._vain = generation
        self._vain_until = until if self._vain_until is None else min(until, self._vain_until)

    def began_in_vain(self, generation: int) -> bool:
        """Whether this attempt's failure says nothing about the server."""
        return generation == self._vain

    def deadline(self) -> float | None:
        """When to ask `expired`."""
        return self._vain_until

    def expired(self, now: float) -> bool:
        """Whether the attempt that began in vain has had its time; says so once."""
        due = self._vain_until is not None and now >= self._vain_until
        if due:
            self._vain_until = None
        return due
