"""What becomes of each message of the tap: lines of a recording, with pseudonyms. Not here: socket, file, terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.recording.format import (
    RecordedEnd,
    began_line,
    closing_line,
    document_line,
    end_line,
    missed_line,
    note_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.pseudonyms import Pseudonyms

__all__ = ["SessionRecorder"]


class SessionRecorder:
    """One recording. No MapResponse is written before the first session begins, and every line is whole."""

    def __init__(self, pseudonyms: Pseudonyms, write: Callable[[bytes], object], sessions: int) -> None:
        """`sessions`: it is over with the end of so many; 0: with none."""
        self._pseudonyms = pseudonyms
        self._write = write
        self._wanted = sessions
        self.sessions = 0
        self.map_responses = 0
        self.open = False
        """A session is being recorded."""
        self.waits = "waiting for the publisher"
        """For what and why, when none is."""
        self.missed = 0
        """Sessions that were under way when we came, after the first one that was recorded."""
        self.over = ""
        """Why it takes no more; empty: it does."""
        self.cut_off = False
        """The daemon gave us up."""
        self.last_at: float | None = None
        """When the last MapResponse reached the daemon, seconds of CLOCK_BOOTTIME."""
        self._since: float | None = None
        """The same of the session's first."""

    @property
    def waiting(self) -> str:
        """For what, and why; empty: a session is being recorded."""
        return "" if self.open else self.waits

    def take(self, header: dict[str, Any], body: bytes, wall: str) -> None:
        """One message; `wall`: the time now, RFC 3339. Raises OSError from the file."""
        if self.over:
            return
        match header.get("kind"):
            case "hello":
                self._greeted(int(header.get("missed", 0)))
            case "session":
                self.lost(RecordedEnd("new_session"))
                self._begin(int(header.get("generation", 0)), wall)
            case "map_response" if self.open:
                self._document(float(header["at"]), body)
            case "end" if self.open:
                reason, stage = str(header.get("reason", "")), str(header.get("stage", ""))
                detail = self._pseudonyms.text(str(header.get("detail", "")))
                self._ended(float(header["at"]), RecordedEnd(reason, stage, detail))
            case "cut_off":
                self.cut_off = True
                self.over = str(header.get("why", "the daemon gave it up"))

    def lost(self, end: RecordedEnd) -> None:
        """No more will come of the session that is open, if one is. Raises OSError."""
        if self.open:
            self._ended(self.last_at or 0.0, end)

    def publisher_ended(self) -> None:
        """Its next process takes us in, and has the netmap sent again. Raises OSError."""
        self.lost(RecordedEnd("unknown", detail="the publisher ended"))
        self.waits = "waiting for the publisher, which ended"

    def finish(self, why: str) -> None:
        """The last line. Raises OSError."""
        self.over = self.over or why
        self._write(closing_line(self.over, self.sessions, self.map_responses))

    def _greeted(self, missed: int) -> None:
        self.waits = "waiting for a session to begin"
        if missed:
            passed = f"{missed} MapResponse{'s' * (missed != 1)} had passed when we came"
            self.waits += f"; the one under way is not recorded: {passed}"
            if self.sessions:
                self.missed += 1
                self._write(missed_line(missed))

    def _begin(self, generation: int, wall: str) -> None:
        if not self.over:
            self.sessions += 1
            self.open, self._since = True, None
            self._write(began_line(self.sessions, generation, wall))

    def _document(self, at: float, body: bytes) -> None:
        self.last_at = at
        self._since = at if self._since is None else self._since
        since = max(at - self._since, 0.0)
        try:
            message = msgspec.json.decode(body, type=dict[str, Any])
            line = document_line(since, self._pseudonyms.map_response(message), len(body))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            # Nothing of it is written: what cannot be read cannot be replaced.
            line = note_line(since, f"a message of {len(body)} bytes that is no JSON object")
        self.map_responses += 1
        self._write(line)

    def _ended(self, at: float, end: RecordedEnd) -> None:
        self.open = False
        self.waits = "waiting for the next session"
        since = 0.0 if self._since is None else max(at - self._since, 0.0)
        self._write(end_line(since, end))
        if self._wanted and self.sessions >= self._wanted:
            self.over = f"{self.sessions} session{'s' * (self.sessions > 1)}"
