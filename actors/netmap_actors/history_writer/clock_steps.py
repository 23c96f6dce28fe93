"""Whether the wall clock was set: it has moved otherwise than CLOCK_BOOTTIME, which goes on in suspend. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LEAST", "ClockStep", "ClockSteps"]

LEAST: Final = 2.0
"""Seconds; NTP slews what is less, 0.5 ms a second at most."""
_AT_ONCE: Final = 0.5
"""Seconds between two readings, of which nothing can be said after more: the machine may have slept in between."""


class ClockStep(NamedTuple):
    """UNIX seconds of two clocks: nothing is known of how long it was from one to the other."""

    seen_until: float
    """The last moment that was looked at, by the clock as it was."""
    at: float
    """Now."""
    by: float
    """Seconds, forward; negative where it was set back."""


class ClockSteps:
    """All that is looked at."""

    def __init__(self) -> None:
        self._wall = 0.0
        self._offset: float | None = None

    def look(self, before: float, wall: float, after: float) -> ClockStep | None:
        """A step since the last look. `wall`: UNIX seconds, read between two readings of CLOCK_BOOTTIME."""
        if after - before > _AT_ONCE:
            return None
        seen, by = self._wall, 0.0 if self._offset is None else wall - before - self._offset
        self._wall, self._offset = wall, wall - before
        return ClockStep(seen, wall, by) if abs(by) >= LEAST else None
