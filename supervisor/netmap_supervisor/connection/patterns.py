"""Patterns in the ends of several sessions in a row, shown as conditions (`core`); nothing else is done about them."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.wire.vocabulary import EndReason, Stage

if TYPE_CHECKING:
    from netmap_supervisor.connection.history import End

__all__ = [
    "ALIKE",
    "CALM",
    "DUPLICATE_SESSION",
    "IDLE_CUT",
    "NO_FIRST_MAP",
    "PATTERNS",
    "Finding",
    "SessionPatterns",
]

IDLE_CUT = "idle_cut"
"""Sessions end after the same time each: a middlebox cuts idle connections (headscale #56)."""
DUPLICATE_SESSION = "duplicate_session"
"""Sessions end right after they began: another client may use the same node key (tailscale #506)."""
NO_FIRST_MAP = "no_first_map"
"""Connections die of silence before their first netmap is whole: the line may be too slow for it (tailscale #13355)."""
PATTERNS = (IDLE_CUT, DUPLICATE_SESSION, NO_FIRST_MAP)
ALIKE = 3
"""Ends in a row that make a pattern."""
_UNFED = 2
"""The same of connections that had no netmap: each of them took a whole silence limit."""
CALM = 180.0
"""Seconds a session lives that breaks one: three keep-alives."""
_TAKEN = 10.0
"""Seconds within which a session that is taken over ends."""
_LONGEST = 115.0
"""Seconds; after two keep-alives a connection was not idle."""
_SPREAD = 0.1
"""Share by which times that are the same may differ; a second always."""


class Finding(msgspec.Struct, frozen=True):
    """A pattern, as a condition to be shown."""

    code: str
    text: str


class SessionPatterns:
    """Ends of sessions in, patterns out."""

    def __init__(self) -> None:
        self._lived: collections.deque[float] = collections.deque(maxlen=ALIKE)
        """Seconds each of the last sessions lived that the other side closed."""
        self._unfed = 0
        """Connections in a row that asked for a netmap and were silent before they had it."""

    def ended(self, end: End) -> Finding | None:
        """One more end; the pattern it completes, None when there is none (any more)."""
        if end.reason is EndReason.SILENCE and end.stage == Stage.MAP and not end.had_map:
            self._lived.clear()
            return self._without_map(end)
        self._unfed = 0
        if end.reason is not EndReason.CLOSED or not end.had_map:
            self._lived.clear()
            return None
        self._lived.append(end.lived)
        if len(self._lived) < ALIKE:
            return None
        least, most = min(self._lived), max(self._lived)
        if most < _TAKEN:
            return Finding(
                DUPLICATE_SESSION,
                f"the last {ALIKE} sessions ended within {most:.0f} s of their netmap: does another program, or a "
                "copy of this state directory on another machine, use this node's key?",
            )
        if most <= _LONGEST and most - least <= max(1.0, _SPREAD * most):
            return Finding(
                IDLE_CUT,
                f"the last {ALIKE} sessions were cut after {most:.0f} s each: something between here and the control "
                "server ends idle connections; let it wait for two minutes at least",
            )
        return None

    def _without_map(self, end: End) -> Finding | None:
        self._unfed += 1
        if self._unfed < _UNFED:
            return None
        return Finding(
            NO_FIRST_MAP,
            f"the last {self._unfed} connections asked for a netmap and had no whole one after {end.lived:.0f} s: is "
            "the line too slow for it? A longer liveness.silence_timeout gives it more time",
        )

    def fed(self) -> None:
        """A session has its full map."""
        self._unfed = 0

    def calm(self) -> None:
        """A session has lived for CALM."""
        self._lived.clear()
