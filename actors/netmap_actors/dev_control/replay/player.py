"""A recording as it is played: which MapResponse is due when, and what all of them amount to so far. Pure.

One course for all clients. A session begins with the client that asks for its map, and the next one with the first
that asks after its end. Who comes in the middle gets everything so far.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from netmap_actors.recording.format import RecordedEnd
from netmap_actors.recording.state import SessionState

if TYPE_CHECKING:
    from netmap_actors.recording.format import RecordedSession, Recording

__all__ = ["END_AFTER", "MAX_PACE", "Due", "ReplayPlayer"]

MAX_PACE = math.inf
"""As fast as the clients take it."""
END_AFTER = 0.2
"""Seconds between the last message of a session and its end, at any pace: a client that reads both at once may throw
the message away."""
_AT_ONCE = 16
"""MapResponses that become due together; the others wait for the next look."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Due(NamedTuple):
    """Something to be done to every map stream."""

    json: bytes = b""
    """A MapResponse to send."""
    end: RecordedEnd | None = None
    """Or the end of the session, and why it was."""


class ReplayPlayer:
    """One recording on one server. Times in seconds of any one clock."""

    def __init__(self, recording: Recording, *, pace: float = 1.0, again: bool = False) -> None:
        """`pace`: how many times as fast as it was; `again`: the first session follows the last one."""
        self.lacks = recording.lacks
        self._sessions = recording.sessions
        self._pace = pace
        self._again = again
        self._next = 0
        self._session: RecordedSession | None = None
        self._position = 0
        self._since = self._last = 0.0
        """When the session began, and when its last message was due."""
        self._state = SessionState()
        self._first = b""
        """The whole netmap a session began with, while nothing has come after it."""
        self.over = False
        """Everything was played, at least once."""

    def begin(self, now: float) -> None:
        """A client asks for its map: the next session begins, unless one is under way or there is none."""
        if self._session is not None or self._next >= len(self._sessions):
            return
        self._session = session = self._sessions[self._next]
        self._next += 1
        self._state = SessionState()
        self._position = next(i for i, one in enumerate(session.documents) if not one.keep_alive) + 1
        first = session.documents[self._position - 1]
        self._first = bytes(first.json)
        self._state.apply(_decode(self._first))
        self._last = now
        self._since = now - first.at / self._pace

    def whole(self) -> bytes:
        """The netmap of this moment, for a client that comes now; before the first session, what that begins with."""
        if self._first:
            return self._first
        if self._session is None and self._next == 0:
            return bytes(next(one.json for one in self._sessions[0].documents if not one.keep_alive))
        return msgspec.json.encode(self._state.whole())

    def deadline(self) -> float | None:
        """When something is due; None: nothing is until a session begins."""
        session = self._session
        if session is None:
            return None
        if self._position < len(session.documents):
            return self._when(session.documents[self._position].at)
        if session.end is None and self.over and not self._again:
            return None
        return max(self._when(session.ended_at), self._last + END_AFTER)

    def due(self, now: float) -> list[Due]:
        """What is due now, in order; not more than a handful at once."""
        found: list[Due] = []
        while len(found) < _AT_ONCE and (due := self.deadline()) is not None and due <= now:
            session = self._session
            assert session is not None, "something is due of it"
            if self._position < len(session.documents):
                json = bytes(session.documents[self._position].json)
                self._position += 1
                self._last = now
                self._first = b""
                self._state.apply(_decode(json))
                found.append(Due(json))
            else:
                found += self._end(session)
        return found

    def _end(self, session: RecordedSession) -> list[Due]:
        last = self._next >= len(self._sessions)
        self.over = self.over or last
        if last and self._again:
            self._next = 0
        elif session.end is None:
            return []  # the recording ends within it: its streams stay, with keep-alives
        self._session = None
        return [Due(end=session.end or RecordedEnd("again"))]

    def _when(self, at: float) -> float:
        return self._since + at / self._pace
