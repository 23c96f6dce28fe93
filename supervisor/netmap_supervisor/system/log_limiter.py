"""Limits the log lines of one kind to a burst and a rate; the rest is counted and reported.

Pure: lines and the time go in. Not here: where lines go (`log`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

__all__ = ["LINE_BURST", "LINE_RATE", "NEVER_LIMITED", "REPORT_INTERVAL", "LogLimiter", "Suppressed"]

LINE_BURST: Final = 50
"""Lines of one kind that are written at once."""
LINE_RATE: Final = 0.5
"""Lines a second of one kind that go on being written."""
REPORT_INTERVAL: Final = 10.0
"""Seconds between two reports of how many lines of a kind were left out."""
MAX_KINDS: Final = 500
"""Kinds that are remembered; there are fewer actors and events of ours."""
NEVER_LIMITED: Final = frozenset(
    {
        "actor_exited",
        "actor_ready",
        "actor_started",
        "child_killed",
        "session_ended",
        "stopped",
        "stopping",
        "supervisor_failed",
        "up",
    }
)
"""Each needs a process that starts or ends, which has its own pace, and says why something ended."""


class Suppressed(NamedTuple):
    """Lines of one kind that were left out since the last report."""

    actor: str
    event: str
    lines: int


class _Kind(msgspec.Struct):
    """One actor's event: what it may still write, and what was left out."""

    tokens: float
    at: float
    unreported: int = 0
    reported_at: float = float("-inf")


class LogLimiter:
    """A token bucket for each actor and event. Times in seconds of one clock that runs on."""

    def __init__(self, burst: int = LINE_BURST, rate: float = LINE_RATE) -> None:
        self._burst = burst
        self._rate = rate
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self.suppressed = 0
        """Lines left out since the beginning."""

    def admits(self, actor: str, event: str, now: float) -> bool:
        """Whether this line is to be written; otherwise it is counted."""
        if event in NEVER_LIMITED:
            return True
        kind = self._kind(actor, event, now)
        kind.tokens = min(float(self._burst), kind.tokens + max(0.0, now - kind.at) * self._rate)
        kind.at = now
        if kind.tokens >= 1.0:
            kind.tokens -= 1.0
            return True
        self._leave_out(kind, 1)
        return False

    def leave_out(self, actor: str, event: str, lines: int, now: float) -> None:
        """Count lines that were not parsed."""
        if lines > 0:
            self._leave_out(self._kind(actor, event, now), lines)

    def due(self, now: float, *, all_of_them: bool = False) -> list[Suppressed]:
        """The reports that are due; they count as made."""
        reports: list[Suppressed] = []
        for (actor, event), kind in self._kinds.items():
            if kind.unreported and (all_of_them or now - kind.reported_at >= REPORT_INTERVAL):
                reports.append(Suppressed(actor, event, kind.unreported))
                kind.unreported, kind.reported_at = 0, now
        return reports

    def _kind(self, actor: str, event: str, now: float) -> _Kind:
        name = (actor, event)
        if name not in self._kinds and len(self._kinds) >= MAX_KINDS:
            name = ("", "")
        return self._kinds.setdefault(name, _Kind(float(self._burst), now))

    def _leave_out(self, kind: _Kind, lines: int) -> None:
        kind.unreported += lines
        self.suppressed += lines
