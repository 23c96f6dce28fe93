"""The daemon's log: one event a line on standard error, JSON or text, ours and the children's alike.

Writing is left to a thread with a bounded queue: a terminal that was stopped, or a reader that went away, costs
lines and never the Supervisor's time.
"""

from __future__ import annotations

import datetime
import os
import queue
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import escape
from netmap_supervisor import journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.clock import Clock

__all__ = ["LEVELS", "ChildOutput", "Log"]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
QUEUE = 4096
"""Lines that wait to be written."""
_FAILED = "actor_failed"
_MAX_TEXT = 1000
"""Characters of one value in a line for people: the end of a sentence says what to do."""
_MAX_PARTIAL = 64 * 1024
_STAMPS = frozenset({"timestamp", "boottime", "level", "event"})


class Log:
    """Renders events and hands them to the writing thread."""

    def __init__(self, clock: Clock, *, form: str = "json", level: str = "info", fd: int = 2) -> None:
        self._clock = clock
        self._form = form
        self._fd = fd
        self._lines: queue.Queue[bytes | None] = queue.Queue(QUEUE)
        self._prefixes = {name: journal.priority(name, fd).encode() for name in LEVELS}
        self.level = level
        self.dropped = 0
        """Lines there was no room for."""
        self._told_dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def event(self, level: str, event: str, fields: Mapping[str, Any], timestamp: str = "") -> None:
        """One event; below the level it is left out."""
        if LEVELS.get(level, 20) < LEVELS[self.level]:
            return
        stamp = timestamp or _stamp(self._clock.wall())
        if self._form == "json":
            # The moment it is written down, on the clock of all deadlines: the wall clock may have been set.
            head = {
                "timestamp": stamp,
                "boottime": round(self._clock.boottime(), 3),
                "level": level,
                "event": event,
            }
            line = msgspec.json.encode(head | dict(fields), enc_hook=str)
        else:
            line = _text(stamp, level, event, fields).encode()
        try:
            self._lines.put_nowait(self._prefixes.get(level, self._prefixes["info"]) + line + b"\n")
        except queue.Full:
            self.dropped += 1
            return
        if self.dropped > self._told_dropped and self._lines.qsize() < QUEUE // 2:
            self._told_dropped = self.dropped
            self.event("warning", "log_lines_dropped", {"actor": "supervisor", "total": self.dropped})

    def close(self, patience: float = 1.0) -> None:
        """Write what waits, for at most so many seconds."""
        try:
            self._lines.put(None, timeout=patience)
        except queue.Full:
            return
        self._thread.join(patience)

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line:
                    line = line[os.write(self._fd, line) :]
            except OSError:
                self.dropped += 1


class ChildOutput:
    """Takes the children's lines apart: events of ours, and whatever else a process may print."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._partial = b""
        self.failures: dict[str, str] = {}
        """What each actor last said it failed for."""

    def feed(self, data: bytes) -> None:
        """Bytes as they came through the pipe."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > _MAX_PARTIAL:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            if line.strip():
                self._line(line)

    def _line(self, line: bytes) -> None:
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            # An interpreter's last words, say. Untrusted, and better seen than lost.
            self._log.event("warning", "child_output", {"text": escape(line, 400)})
            return
        fields = {key: value for key, value in record.items() if key not in _STAMPS}
        if record.get("event") == _FAILED:
            self.failures[str(record.get("actor", ""))] = str(record.get("detail", ""))
        self._log.event(
            str(record.get("level", "info")),
            str(record.get("event", "child_output")),
            fields,
            str(record.get("timestamp", "")),
        )


def _stamp(wall: float) -> str:
    moment = datetime.datetime.fromtimestamp(wall, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _text(stamp: str, level: str, event: str, fields: Mapping[str, Any]) -> str:
    shown = " ".join(
        f"{key}={escape(str(value), _MAX_TEXT)}" for key, value in fields.items() if value is not None
    )
    mark = {"warning": "! ", "error": "!! "}.get(level, "")
    return f"{stamp[11:19]} {mark}{event} {shown}".rstrip()
