"""Structured log lines of a child: JSON on standard error, which is a pipe the Supervisor drains.

Writing never blocks: a line that does not fit into the pipe is dropped and counted.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["MAX_LINE", "ChildLog", "configure"]

MAX_LINE = 4000
"""Bytes of one line: below PIPE_BUF, so that a non-blocking write takes all of it or nothing (pipe(7))."""


class ChildLog:
    """Where the lines of this process go."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.dropped = 0
        """Lines the pipe had no room for."""

    def msg(self, line: bytes) -> None:
        """Write one line, or count it as dropped."""
        if len(line) > MAX_LINE:
            line = msgspec.json.encode({"event": "log_line_too_long", "level": "warning", "bytes": len(line)})
        try:
            os.write(self._fd, line + b"\n")
        except OSError:
            # A full pipe, or the Supervisor is gone: the work matters more than the word about it.
            self.dropped += 1

    log = debug = info = warn = warning = error = critical = fatal = exception = failure = msg

    def __call__(self, *_args: object) -> ChildLog:
        return self


def configure(fd: int, **bound: object) -> ChildLog:
    """Send this process's structlog to `fd`, with these fields in every line."""
    os.set_blocking(fd, False)
    sink = ChildLog(fd)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(10),
        logger_factory=sink,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    return sink


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
