"""When an export is written, and when the command behind it runs. Pure: the time is an argument.

Not here: writing and waiting (`export.follow`).
"""

from __future__ import annotations

__all__ = ["CommandRuns", "Writing"]

WRITE_INTERVAL = 1.0
"""Seconds between two attempts to write, at least, however busy the tailnet."""
RETRY = 10.0
"""Seconds after which a write that failed is tried again without a change."""
LONG_RUN = 60.0
"""Seconds after which a run that delays the next one is reported."""


class Writing:
    """Decides when to write: the first change at once, those that follow together, the last one always."""

    def __init__(self) -> None:
        self._changed = False
        self._attempted_at = float("-inf")
        self._retry_at: float | None = None

    @property
    def pending(self) -> bool:
        """Something is not in the file yet."""
        return self._changed or self._retry_at is not None

    def changed(self) -> None:
        """The netmap is not what it was at the last attempt."""
        self._changed = True

    def attempted(self, now: float, *, ok: bool) -> None:
        """The netmap of this moment was written, or was in the file already, or could not be written."""
        self._changed = False
        self._attempted_at = now
        self._retry_at = None if ok else now + RETRY

    def due_in(self, now: float) -> float | None:
        """Seconds until it is to be written; 0 at once, None when there is nothing to write."""
        times = [] if self._retry_at is None else [self._retry_at]
        if self._changed:
            times.append(self._attempted_at + WRITE_INTERVAL)
        return max(0.0, min(times) - now) if times else None


class CommandRuns:
    """Decides when the command runs: after each written change, one at a time; what was missed makes one more run."""

    def __init__(self) -> None:
        self._wanted = False
        self._began: float | None = None
        self._reported = False

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self._began is not None

    @property
    def due(self) -> bool:
        """It is to be started now."""
        return self._wanted and not self.running

    def written(self) -> None:
        """The file has changed."""
        self._wanted = True

    def started(self, now: float) -> None:
        """It runs, or could not be started at all: it has seen every change up to now."""
        self._wanted, self._began, self._reported = False, now, False

    def ended(self) -> None:
        """It runs no more."""
        self._began = None

    def overdue_in(self, now: float) -> float | None:
        """Seconds until a run that delays the next one is to be reported; None if there is none."""
        if self._began is None or not self._wanted or self._reported:
            return None
        return max(0.0, self._began + LONG_RUN - now)

    def reported(self) -> None:
        """It was reported; once a run is enough."""
        self._reported = True
