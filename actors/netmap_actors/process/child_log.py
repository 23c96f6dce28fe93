"""Structured log lines of a child: JSON on standard error, which is a pipe the Supervisor drains.

Writing never blocks: a line that does not fit into the pipe is dropped and counted. It has structlog's calls, not
structlog, which loads rich and asyncio: 11 MiB and 0.12 s for each process. The Supervisor renders.
"""

from __future__ import annotations

import os

import msgspec

from netmap_actors.clock import SystemClock
from netmap_actors.rfc3339 import stamp

__all__ = ["MAX_LINE", "ChildLog"]

MAX_LINE = 4000
"""Bytes of one line: below PIPE_BUF, so that a non-blocking write takes all of it or nothing (pipe(7))."""


class ChildLog:
    """Writes one event a line; `bind` gives a log whose lines carry further fields."""

    def __init__(self, fd: int, **fields: object) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._fields = fields
        self.dropped = 0
        """Lines the pipe had no room for."""

    def bind(self, **fields: object) -> ChildLog:
        """A log to the same pipe with these fields in every line."""
        return ChildLog(self._fd, **(self._fields | fields))

    def debug(self, event: str, **fields: object) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        record = {"timestamp": stamp(SystemClock().wall(), "milliseconds"), "level": level, "event": event}
        line = msgspec.json.encode(record | self._fields | fields, enc_hook=str)
        if len(line) > MAX_LINE:
            line = msgspec.json.encode(record | self._fields | {"too_long": len(line)}, enc_hook=str)
        try:
            os.write(self._fd, line + b"\n")
        except OSError:
            # The pipe is full, or the Supervisor is gone.
            self.dropped += 1
