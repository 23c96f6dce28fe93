"""The daemon's log: one event a line on standard error, JSON or text, ours and the children's alike.

A thread with a bounded queue writes: a stopped terminal, or a reader that has gone, costs lines and never the
Supervisor's time. Each kind of line has a limit (`log_limiter`); the rest is counted.
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
"""Characters of one value in a line of text: the end of a sentence says what to do."""
MAX_FIELD = 4096
"""Characters of one value in a line of JSON."""
STAMPS = frozenset({"timestamp", "boottime", "level", "event"})
"""Fields of every line, set here only."""
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
        """Lines the queue had no room for, or that could not be written."""
        self._reported_dropped = 0
        self._limiter = LogLimiter()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    @property
    def suppressed(self) -> int:
        """Lines over the limit of their kind."""
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
        """Count `lines` lines of this actor, the last of them this event, that were not parsed."""
        self._limiter.leave_out(actor, event, lines, self._clock.boottime())

    def tell_suppressed(self, *, all_of_them: bool = False) -> None:
        """Log how many lines were left out, if that is due."""
        for actor, event, lines in self._limiter.due(self._clock.boottime(), all_of_them=all_of_them):
            report = {"actor": actor, "suppressed_event": event, "lines": lines}
            self._put("warning", _SUPPRESSED, report)

    def _put(self, level: str, event: str, fields: Mapping[str, Any], timestamp: str = "") -> None:
        timestamp = timestamp or stamp(self._clock.wall(), "milliseconds")
        if self._form == "json":
            # The time of writing on the clock of all deadlines: the wall clock may have been set.
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
        if self.dropped > self._reported_dropped and self._lines.qsize() < QUEUE // 2:
            self._reported_dropped = self.dropped
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
            # A line that was cut off must not run into this one.
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
            # Another process that shares it has made it non-blocking; this thread may wait.
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            poll.poll()
            return 0


def _cut(value: Any) -> Any:
    """At most MAX_FIELD characters of a text, which may come from outside."""
    return f"{value[:MAX_FIELD]}…" if isinstance(value, str) and len(value) > MAX_FIELD else value


def _text(timestamp: str, level: str, event: str, fields: Mapping[str, Any]) -> str:
    shown = " ".join(
        f"{escape(key, 40)}={escape(str(value), _MAX_TEXT)}"
        for key, value in fields.items()
        if value is not None
    )
    mark = {"warning": "! ", "error": "!! "}.get(level, "")
    return f"{timestamp[11:19]} {mark}{event} {shown}".rstrip()
