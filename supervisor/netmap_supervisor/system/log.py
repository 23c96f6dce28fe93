"""The daemon's log: one event a line on standard error, JSON or text, ours and the children's alike.

Writing is left to a thread with a bounded queue: a terminal that was stopped, or a reader that went away, costs
lines and never the Supervisor's time. Of each kind so many are written (`log_limiter`), the rest is counted.
"""

from __future__ import annotations

import os
import queue
import select
import threading
from typing import TYPE_CHECKING, Any

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.rfc3339 import stamp
from netmap_supervisor.system import journal
from netmap_supervisor.system.log_limiter import LogLimiter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.clock import Clock

__all__ = ["LOG_LEVELS", "STAMPS", "Log"]

LOG_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
QUEUE = 4096
"""Lines that wait to be written."""
_MAX_TEXT = 1000
"""Characters of one value in a line for people: the end of a sentence says what to do."""
MAX_FIELD = 4096
"""Characters of one value in a line of JSON."""
STAMPS = frozenset({"timestamp", "boottime", "level", "event"})
"""Fields that every line has, and nobody else may set."""
_SUPPRESSED = "log_lines_suppressed"


class Log:
    """Renders events and hands them to the writing thread."""

    def __init__(self, clock: Clock, *, form: str = "json", level: str = "info", fd: int = 2) -> None:
        self._clock = clock
        self._form = form
        self._fd = fd
        self._lines: queue.Queue[bytes | None] = queue.Queue(QUEUE)
        self._prefixes = {name: journal.priority(name, fd).encode() for name in LOG_LEVELS}
        self.level = level
        self.dropped = 0
        """Lines there was no room for."""
        self._told_dropped = 0
        self._limiter = LogLimiter()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    @property
    def suppressed(self) -> int:
        """Lines that were one too many of their kind."""
        return self._limiter.suppressed

    def event(self, level: str, event: str, fields: Mapping[str, Any], timestamp: str = "") -> bool:
        """One event; below the level it is left out. False when there were too many of the kind."""
        if LOG_LEVELS.get(level, 20) < LOG_LEVELS[self.level]:
            return True
        now = self._clock.boottime()
        admitted = self._limiter.admits(str(fields.get("actor", "supervisor")), event, now)
        if admitted:
            self._put(level, event, fields, timestamp)
        self.tell_suppressed()
        return admitted

    def unread(self, actor: str, event: str, lines: int) -> None:
        """So many lines of this actor, of which the last was this event, were not even looked at."""
        self._limiter.leave_out(actor, event, lines, self._clock.boottime())

    def tell_suppressed(self, *, all_of_them: bool = False) -> None:
        """Say how much was left out, if it is time to."""
        for actor, event, lines in self._limiter.due(self._clock.boottime(), all_of_them=all_of_them):
            told = {"actor": actor, "suppressed_event": event, "lines": lines}
            self._put("warning", _SUPPRESSED, told)

    def _put(self, level: str, event: str, fields: Mapping[str, Any], timestamp: str = "") -> None:
        timestamp = timestamp or stamp(self._clock.wall(), "milliseconds")
        if self._form == "json":
            # The moment it is written down, on the clock of all deadlines: the wall clock may have been set.
            head = {
                "timestamp": timestamp,
                "boottime": round(self._clock.boottime(), 3),
                "level": level,
                "event": event,
            }
            shown = {name: _cut(value) for name, value in fields.items()}
            line = shown_json.encode({**head, **shown, **head}, enc_hook=str)
        else:
            line = _text(timestamp, level, event, fields).encode()
        try:
            self._lines.put_nowait(self._prefixes.get(level, self._prefixes["info"]) + line + b"\n")
        except queue.Full:
            self.dropped += 1
            return
        if self.dropped > self._told_dropped and self._lines.qsize() < QUEUE // 2:
            self._told_dropped = self.dropped
            self._put("warning", "log_lines_dropped", {"actor": "supervisor", "total": self.dropped})

    def close(self, patience: float = 1.0) -> None:
        """Write what waits, for at most so many seconds."""
        self.tell_suppressed(all_of_them=True)
        try:
            self._lines.put(None, timeout=patience)
        except queue.Full:
            return
        self._thread.join(patience)

    def _write(self) -> None:
        torn = False
        while (line := self._lines.get()) is not None:
            # The beginning of a line that found no room for its end must not become the beginning of this one.
            data = b"\n" + line if torn else line
            written = 0
            try:
                while written < len(data):
                    written += self._write_some(data[written:])
            except OSError:
                self.dropped += 1
            if written:
                torn = data[written - 1 : written] != b"\n"

    def _write_some(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            # Whoever shares it with us has made it so; this thread may wait.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll()
            return 0


def _cut(value: Any) -> Any:
    """A text as far as anybody reads it: others may have chosen it, and a log is a file."""
    return f"{value[:MAX_FIELD]}…" if isinstance(value, str) and len(value) > MAX_FIELD else value


def _text(timestamp: str, level: str, event: str, fields: Mapping[str, Any]) -> str:
    shown = " ".join(
        f"{escape(key, 40)}={escape(str(value), _MAX_TEXT)}"
        for key, value in fields.items()
        if value is not None
    )
    mark = {"warning": "! ", "error": "!! "}.get(level, "")
    return f"{timestamp[11:19]} {mark}{event} {shown}".rstrip()
