"""When a connection that seems well is asked whether it is: the truth probe and the regular liveness probe.

Pure. Keep-alives can lie: a server may go on feeding a session whose node it has deleted (headscale issue 3410).
Not here: what is asked and what an answer means (the connection and `core`).
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOGIN_INTERVAL", "ProbeSchedule", "Question"]

LOGIN_INTERVAL = 60.0
"""Seconds between two liveness probes during a login, which waits for a person without limit."""
_SPREAD = 0.1
"""Share by which an interval is shorter or longer, so that many clients do not ask together."""


class Question(enum.Enum):
    """What is to be asked."""

    TRUTH = "truth"
    """Does the server still know this node? Over HTTP/2, with a register refresh."""
    LIVENESS = "liveness"
    """Is the connection alive? An HTTP/2 PING."""


_LOGIN = {Question.LIVENESS: LOGIN_INTERVAL}


class ProbeSchedule:
    """The periods of one connection, each with jitter; an interval of 0 is off. Times are CLOCK_BOOTTIME seconds."""

    def __init__(self, *, truth_interval: float, probe_interval: float, jitter: Callable[[], float]) -> None:
        self._of_session = {Question.TRUTH: truth_interval, Question.LIVENESS: probe_interval}
        self._intervals: dict[Question, float] = {}
        self._jitter = jitter
        self._due: dict[Question, float] = {}

    def login_began(self, now: float) -> None:
        """A person is asked to log in, and the connection is to be there when that is done."""
        self._begin(_LOGIN, now)

    def login_ended(self) -> None:
        """The login is over; a session that has begun meanwhile keeps its periods."""
        if self._intervals is _LOGIN:
            self.session_ended()

    def session_began(self, now: float) -> None:
        """A session has its full map: its periods begin."""
        self._begin(self._of_session, now)

    def session_ended(self) -> None:
        """There is no session to probe."""
        self._begin({}, 0.0)

    def _begin(self, intervals: dict[Question, float], now: float) -> None:
        self._intervals = intervals
        self._due = {
            question: now + self._spread(interval) for question, interval in intervals.items() if interval > 0
        }

    def deadline(self) -> float | None:
        """When the next question is due."""
        return min(self._due.values(), default=None)

    def due(self, now: float) -> list[Question]:
        """What is to be asked now; each is due again an interval later."""
        found = [question for question, at in self._due.items() if now >= at]
        for question in found:
            self._due[question] = now + self._spread(self._intervals[question])
        return found

    def _spread(self, interval: float) -> float:
        return interval * (1.0 - _SPREAD + 2.0 * _SPREAD * self._jitter())
