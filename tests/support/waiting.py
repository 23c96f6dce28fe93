"""Waiting for a fact with a limit, and measuring time on a machine that has other things to do.

What is promised within so many seconds is promised on a machine that does nothing else. Beside other tests the same
takes longer, and how much longer the kernel tells: PSI, Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

SLOWEST = 5.0
"""How many times as long something may take on the busiest machine: what hangs, hangs there too."""


class Stopwatch:
    """Started when it is made."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, pressure: Path = Path("/proc/pressure")
    ) -> None:
        self._clock = clock
        self._files = (pressure / "cpu", pressure / "io")
        self.began, self._waited = clock(), self._waits()

    def wall(self) -> float:
        """Seconds by the clock."""
        return self._clock() - self.began

    def seconds(self) -> float:
        """Those in which nobody had to wait for a processor or a disk: what is to be compared with what is promised."""
        wall = self.wall()
        return max(wall - self._lost(), wall / SLOWEST)

    def allowed(self, promised: float) -> float:
        """Seconds by the clock that so many, somewhere since the start, may have taken."""
        return min(promised + self._lost(), promised * SLOWEST)

    def _lost(self) -> float:
        """Seconds; without end where the kernel does not count them."""
        waits = self._waits()
        return math.inf if waits is None or self._waited is None else waits - self._waited

    def _waits(self) -> float | None:
        """Seconds so far, on the whole machine."""
        try:
            return (
                sum(int(file.read_text().splitlines()[0].rpartition("total=")[2]) for file in self._files)
                / 1e6
            )
        except OSError:
            return None


def wait_for(fact: Callable[[], _T | None], limit: float, what: str, every: float = 0.02) -> _T:
    """The first true answer of `fact()`. Raises TimeoutError naming `what` after `limit` seconds of a `Stopwatch`."""
    watch = Stopwatch()
    while True:
        answer = fact()
        if answer:
            return answer
        if watch.wall() > limit and watch.seconds() > limit:
            raise TimeoutError(f"not within {limit:g} s: {what}")
        time.sleep(every)
