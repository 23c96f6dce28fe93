"""Has map sessions recorded: what came of each, as it came, for those who were there when it began.

Who came later is told so.

Not here: the socket (`bus.tap`), and the file (the `record` command).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors import __version__
from netmap_actors.bus.tap import Tap

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop
    from netmap_actors.wire import internal_pb2

__all__ = ["SessionTap"]

_STRAGGLERS = 1.0
"""Seconds for MapResponses that were read before the end of their session, which is told by another way."""


class SessionTap:
    """The messages to the recorders; bodies are MapResponses, before anything has read them."""

    def __init__(self, loop: Loop, descriptor: int) -> None:
        """`descriptor`: of the listening socket."""
        self._tap = Tap(loop, descriptor, self._greeting)
        self._session = (0, 0)
        """Generation and session of the last MapResponse."""
        self._number = 0
        """Of the session's last MapResponse; 0: not all of it has come here, or it has ended."""
        self._end: dict[str, Any] | None = None
        """Of that session, not told yet."""
        self._end_due = loop.deadline(self._tell_end)

    @property
    def recorders(self) -> int:
        return len(self._tap.recorders)

    def admit(self, ticket: str) -> None:
        """See `Tap.admit`."""
        self._tap.admit(ticket)

    def map_response(self, header: internal_pb2.MapResponseReceived, document: bytes) -> None:
        """The next one of a session. Only whole sessions are told: after a gap the next one is waited for."""
        session = (header.generation, header.session)
        if session > self._session:
            self._tell_end()
            self._session, self._number = session, 0
            if header.number != 1:
                return
            self._tap.begin({"kind": "session", "generation": header.generation})
        elif session < self._session or not 0 < self._number < header.number:
            return
        elif header.number > self._number + 1:
            detail = "a MapResponse was lost on its way to the publisher"
            self._ends(header.received_at, "unknown", "", detail)
            self._tell_end()
            return
        self._number = header.number
        self._tap.tell({"kind": "map_response", "at": header.received_at}, document)

    def session_ended(self, ended: internal_pb2.SessionEnded, now: float) -> None:
        """The connection of this session is at an end; `now`: seconds of CLOCK_BOOTTIME."""
        if self._number and ended.generation == self._session[0]:
            self._ends(now, ended.reason, ended.stage, ended.detail)
            self._end_due.set(now + _STRAGGLERS)

    def close(self) -> None:
        """Hang up on everybody."""
        self._tell_end()
        self._tap.close()

    def _greeting(self) -> dict[str, Any]:
        """`missed`: how many MapResponses of the session under way came before."""
        missed = self._number if self._end is None else 0
        return {"kind": "hello", "version": __version__, "missed": missed}

    def _ends(self, at: float, reason: str, stage: str, detail: str) -> None:
        self._end = {"kind": "end", "at": at, "reason": reason, "stage": stage, "detail": detail}

    def _tell_end(self) -> None:
        self._end_due.set(None)
        end, self._end = self._end, None
        if end is not None:
            self._tap.tell(end)
            self._number = 0
