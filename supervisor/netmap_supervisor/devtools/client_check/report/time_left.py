"""How much longer a check takes at most, from how long its scenarios may take and how many run side by side."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TimeLeft", "duration_text"]


class TimeLeft:
    """Of one check. Times in seconds; `now` on any clock that goes on."""

    def __init__(self, longest: Mapping[str, float], jobs: int) -> None:
        """`longest`: of each scenario, by name, in the order in which they begin."""
        self._longest = longest
        self._waiting = dict.fromkeys(longest)
        self._until: dict[str, float] = {}
        self._again: dict[str, None] = {}
        self._jobs = jobs

    @property
    def running(self) -> tuple[str, ...]:
        """In the order in which they began."""
        return tuple(self._until)

    def began(self, name: str, now: float) -> None:
        """A scenario begins, or is run again."""
        self._waiting.pop(name, None)
        self._again.pop(name, None)
        self._until[name] = now + self._longest.get(name, 0.0)

    def ended(self, name: str) -> None:
        """A scenario has ended, or is not run at all."""
        self._waiting.pop(name, None)
        self._until.pop(name, None)

    def waits(self, name: str) -> None:
        """It has ended, and is run again alone after all others."""
        self.ended(name)
        self._again[name] = None

    def to_go(self, now: float) -> float:
        """Until the last one ends, if each takes as long as it may."""
        busy = [max(0.0, until - now) for until in self._until.values()]
        free_after = busy + [0.0] * max(0, self._jobs - len(busy))
        heapq.heapify(free_after)
        for name in self._waiting:
            heapq.heapreplace(free_after, free_after[0] + self._longest[name])
        return max(free_after, default=0.0) + sum(self._longest.get(name, 0.0) for name in self._again)


def duration_text(seconds: float) -> str:
    """Rounded up: `25 s`, `4 min`."""
    if seconds <= 60.0:
        return f"{5 * math.ceil(seconds / 5):d} s"
    return f"{math.ceil(seconds / 60):d} min"
