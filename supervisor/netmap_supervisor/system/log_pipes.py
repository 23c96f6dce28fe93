"""The pipes that are the standard error of the processes of a run, each its own: what comes by them goes to the log.

Who says a line is known by the pipe alone. Not here: what a line means (`child_output`), and where lines go (`log`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop
    from netmap_supervisor.daemon.child_output import ChildLine, ChildOutput
    from netmap_supervisor.system.log import Log

__all__ = ["LogPipe", "LogPipes", "log_lines"]

CHUNK = 64 * 1024
"""Bytes taken at a time from one of them, as much as a pipe holds (pipe(7)); the others come in between."""
LAST_CHUNKS = 4
"""Taken of one that has ended: whoever inherited its pipe may write on, and is not waited for."""


class LogPipe:
    """Our end of one process's. It belongs to whoever started the process, and closes it after `LogPipes.end`."""

    def __init__(self, fd: int, output: ChildOutput) -> None:
        """`fd` is not waited on: it is made non-blocking."""
        os.set_blocking(fd, False)
        self.fd = fd
        self.output = output

    def read(self) -> bytes | None:
        """What is there now; empty at the end, None when nothing is."""
        try:
            return os.read(self.fd, CHUNK)
        except BlockingIOError:
            return None

    def last_lines(self) -> list[ChildLine]:
        """What is left in it; a last line without its end is one, too."""
        lines: list[ChildLine] = []
        for _ in range(LAST_CHUNKS):
            data = self.read()
            if not data:
                break
            lines += self.output.feed(data)
        return lines + self.output.end()


class LogPipes:
    """All that are listened to in one run."""

    def __init__(self, loop: Loop, log: Log) -> None:
        self._loop = loop
        self.log = log

    def hear(self, pipe: LogPipe) -> None:
        """From now on its lines go to the log."""
        self._loop.watch(pipe.fd, lambda: self._read(pipe))

    def end(self, pipe: LogPipe) -> None:
        """Its process has ended: tell its last words, which say why, and listen no longer."""
        self._loop.unwatch(pipe.fd)
        log_lines(self.log, pipe.last_lines())

    def _read(self, pipe: LogPipe) -> None:
        data = pipe.read()
        if data:
            log_lines(self.log, pipe.output.feed(data))
        elif data is not None:
            # It closed it, and lives: nothing more will come, and the end would be told again and again.
            self._loop.unwatch(pipe.fd)


def log_lines(log: Log, lines: list[ChildLine]) -> None:
    """Log these lines, and how many before them were not looked at."""
    for line in lines:
        log.unread(line.fields["actor"], line.event, line.unread)
        log.event(line.level, line.event, line.fields, line.timestamp)
