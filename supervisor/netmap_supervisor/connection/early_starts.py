"""Early starts of a connection, because the network came back or the machine woke: at a bounded rate.

Pure; times are CLOCK_BOOTTIME seconds. Not here: what comes back (`core`) and regular starts (`schedule`).
"""

from __future__ import annotations

from typing import Final

__all__ = ["ROUTE_STARTS", "EarlyStarts"]

ROUTE_STARTS: Final = 5.0
"""Seconds between two early starts."""


class EarlyStarts:
    """Remembers the last early start, and an attempt that began in vain."""

    def __init__(self) -> None:
        self._last = float("-inf")
        self._early = False
        self._vain = 0
        """The generation that looked for the server while there was no route to it; 0: none."""
        self._vain_until: float | None = None

    def at(self, now: float, held_until: float) -> float:
        """When one may start early."""
        return max(now, self._last + ROUTE_STARTS, held_until)

    def pulled(self) -> None:
        """The next start is an early one."""
        self._early = True

    def started(self, now: float) -> None:
        """A process was started."""
        if self._early:
            self._last = now
        self.lost()

    def lost(self) -> None:
        """There is no reason for an early start any more."""
        self._early, self._vain, self._vain_until = False, 0, None

    def in_vain(self, generation: int, until: float) -> None:
        """This attempt began before the route came back: unless connected by `until`, it is ended."""
        self._vain = generation
        self._vain_until = until if self._vain_until is None else min(until, self._vain_until)

    def began_in_vain(self, generation: int) -> bool:
        """Whether this attempt's failure says nothing about the server."""
        return generation == self._vain

    def deadline(self) -> float | None:
        """When to ask `expired`."""
        return self._vain_until

    def expired(self, now: float) -> bool:
        """Whether the attempt that began in vain has had its time; true once."""
        due = self._vain_until is not None and now >= self._vain_until
        if due:
            self._vain_until = None
        return due
