"""When there is a nursery, as a machine: one that ends is followed by another, none is waited for long.

Whoever asks it for a child gets one at once or is told to start the child otherwise, so no end of it is anybody's loss.
Not here: processes (`daemon.nursery`).
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = ["NurseryAction", "NurseryMachine", "NurseryState"]

LOAD_LIMIT: Final = 30.0
"""Seconds a nursery may take to load, twice as long with each failure up to SLOW_LOAD_LIMIT: one that was killed has
loaded for nothing, and what made it slow will make the next one slow. Nobody waits for it."""
SLOW_LOAD_LIMIT: Final = 480.0
START_PATIENCE: Final = 5.0
"""Seconds the first children wait for the first nursery: together they take longer by themselves."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the next one; twice as long with each that ended before it had lived HEALTHY."""
HEALTHY: Final = 60.0


class NurseryState(enum.Enum):
    """Of the only one there is at a time."""

    ABSENT = enum.auto()
    LOADING = enum.auto()
    READY = enum.auto()
    DYING = enum.auto()
    """It was given up, and has not ended yet."""
    OFF = enum.auto()
    """There will be none any more."""


class NurseryAction(enum.Enum):
    """What is due."""

    START = enum.auto()
    KILL = enum.auto()


class NurseryMachine:
    """Times are seconds of one clock."""

    def __init__(self, *, wanted: bool) -> None:
        self.state = NurseryState.ABSENT if wanted else NurseryState.OFF
        self._due = 0.0
        """ABSENT: of the next start. LOADING: of giving it up."""
        self._began = 0.0
        self._failures = 0
        self._waits_until: float | None = None

    @property
    def ready(self) -> bool:
        """It forks."""
        return self.state is NurseryState.READY

    def began(self, now: float) -> None:
        """The first children want to be started."""
        if self.state is not NurseryState.OFF:
            self._waits_until = now + START_PATIENCE

    def settled(self, now: float) -> bool:
        """Whether the first children should wait no longer."""
        if self._waits_until is None or self.ready or self._failures or now >= self._waits_until:
            self._waits_until = None
        return self._waits_until is None

    def started(self, now: float) -> None:
        """A process was started."""
        self.state, self._began = NurseryState.LOADING, now
        self._due = now + min(LOAD_LIMIT * 2**self._failures, SLOW_LOAD_LIMIT)

    def loaded(self) -> None:
        """It says so."""
        if self.state is NurseryState.LOADING:
            self.state = NurseryState.READY

    def given_up(self, now: float) -> None:
        """It failed, and is not asked any more; `ended` follows."""
        self._fail(now)
        self.state = NurseryState.DYING

    def ended(self, now: float) -> None:
        """It has ended, or could not be started."""
        if self.state is NurseryState.OFF:
            return
        if self.state is not NurseryState.DYING:
            self._fail(now)
        self.state = NurseryState.ABSENT
        self._due = now + min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)

    def _fail(self, now: float) -> None:
        if self.state is NurseryState.READY and now - self._began >= HEALTHY:
            self._failures = 0
        # Beyond seven the pause does not grow.
        self._failures = min(self._failures + 1, 7)

    def stop(self) -> None:
        """The run ends."""
        self.state, self._waits_until = NurseryState.OFF, None

    def deadline(self) -> float | None:
        """When `expire` and `settled` are to be called."""
        due = self._due if self.state in {NurseryState.ABSENT, NurseryState.LOADING} else None
        return min((at for at in (due, self._waits_until) if at is not None), default=None)

    def expire(self, now: float) -> NurseryAction | None:
        """What is due now."""
        if now < self._due:
            return None
        if self.state is NurseryState.ABSENT:
            return NurseryAction.START
        return NurseryAction.KILL if self.state is NurseryState.LOADING else None
