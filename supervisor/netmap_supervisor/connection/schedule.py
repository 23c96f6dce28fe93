"""When the next control connection may be made: without end, at a bounded rate."""

from __future__ import annotations

import collections
import enum
from typing import TYPE_CHECKING

from netmap_actors.wire.vocabulary import EndReason
from netmap_supervisor.supervision.restart_policy import backoff, prompt

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GOOD_SESSION", "MAX_HONOURED_RETRY_AFTER", "REFUSED_PACE", "ConnectionSchedule"]

GOOD_SESSION = 25.0
"""Seconds a session must have lived, its full map applied, for the pace to go back to its start."""
HERD_SPREAD = 4.0
"""Seconds over which clients spread that lost their connection in the same moment: the server restarted."""
REFUSED_PACE = 60.0
"""Seconds between two tries while only a person can mend it (key refused, control key changed)."""
MAX_HONOURED_RETRY_AFTER = 300.0
"""Seconds of a Retry-After that are honoured at most."""
_RETRY_AFTER_SPREAD = 0.25
MAX_STARTS = 10
"""Starts within STARTS_PERIOD, whatever the reasons were; an operator's do not count."""
STARTS_PERIOD = 60.0


class _Pace(enum.Enum):
    OURS = enum.auto()
    """Killed by us, or a crash: the server may be well."""
    SPREAD = enum.auto()
    """The server's end: all clients may have lost it at once."""
    BACKOFF = enum.auto()
    """An attempt that failed."""


_PACE = {
    EndReason.SILENCE: _Pace.OURS,
    EndReason.WAKE: _Pace.OURS,
    EndReason.LINK: _Pace.OURS,
    EndReason.HUNG: _Pace.OURS,
    EndReason.OPERATOR: _Pace.OURS,
    EndReason.CRASHED: _Pace.OURS,
    EndReason.CLOSED: _Pace.SPREAD,
    EndReason.ERROR: _Pace.BACKOFF,
    EndReason.REMOVED: _Pace.BACKOFF,
    EndReason.EXPIRED: _Pace.BACKOFF,
}


class ConnectionSchedule:
    """Ends in, delays out. `now` is seconds of CLOCK_BOOTTIME; `jitter()` gives a number in [0, 1)."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._fresh = True
        self._step = 0
        self._starts: collections.deque[float] = collections.deque(maxlen=MAX_STARTS)
        self._held_until = 0.0

    @property
    def held_until(self) -> float:
        """Until then nothing but an operator may start one: Retry-After, a refusal, the cap on starts."""
        return max(self._held_until, self._earliest())

    def started(self, now: float) -> None:
        """A process was started."""
        self._starts.append(now)

    def ended(
        self,
        reason: EndReason,
        now: float,
        *,
        good: bool,
        retry_after: float = 0.0,
        suspected: bool = False,
    ) -> float:
        """Seconds until the next start. `good`: the session applied its full map and lived GOOD_SESSION.

        `suspected`: it ended while it may not have outlived a sleep or a change of the network.
        """
        if reason is EndReason.OPERATOR:
            self.forget()
        elif good:
            self._fresh, self._step = True, 0
        delay = self._next(_PACE[reason], good=good, suspected=suspected)
        if retry_after > 0:
            asked = retry_after * (1.0 + _RETRY_AFTER_SPREAD * self._jitter())
            delay = max(delay, min(asked, MAX_HONOURED_RETRY_AFTER))
            self._held_until = now + min(asked, MAX_HONOURED_RETRY_AFTER)
        return max(delay, self._earliest() - now)

    def refused(self, now: float) -> float:
        """Seconds until the next start after a refusal only a person can mend."""
        self._fresh = False
        self._held_until = now + REFUSED_PACE
        return max(REFUSED_PACE, self._earliest() - now)

    def forget(self) -> None:
        """An operator asks for a connection: nothing earlier delays it."""
        self._fresh, self._step = True, 0
        self._held_until = 0.0
        self._starts.clear()

    def _next(self, pace: _Pace, *, good: bool, suspected: bool) -> float:
        fresh, self._fresh = self._fresh, False
        match pace:
            case _Pace.OURS if good:
                # One new connection in GOOD_SESSION seconds is nothing that the server could feel.
                return 0.0
            case _ if suspected:
                # The server has no part in it.
                return prompt(self._jitter())
            case _Pace.OURS if fresh:
                return prompt(self._jitter())
            case _Pace.SPREAD if fresh:
                return HERD_SPREAD * self._jitter()
            case _:
                step, self._step = self._step, self._step + 1
                return backoff(step, self._jitter())

    def _earliest(self) -> float:
        return self._starts[0] + STARTS_PERIOD if len(self._starts) == MAX_STARTS else 0.0
