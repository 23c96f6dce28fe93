"""The standard error of the processes of a run: one pipe each, whose lines go to the log.

The pipe alone says which process a line is from. Not here: what a line means (`child_output`), and writing (`log`).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop
    from netmap_supervisor.daemon.output.child_output import ChildLine, ChildOutput
    from netmap_supervisor.system.log import Log

__all__ = ["LogPipe", "LogPipes", "log_lines"]

CHUNK = 64 * 1024
"""Bytes read at a time from one pipe, as much as it holds (pipe(7)); then it is the turn of the others."""
LAST_CHUNKS = 4
"""Read after its process has ended: others that inherited the pipe may write on, and are not waited for."""


class LogPipe:
    """Our end of one process's pipe. Who started the process owns it, and closes `fd` after `LogPipes.end`."""

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
        """The lines left in it, an unfinished last one included."""
        lines: list[ChildLine] = []
        for _ in range(LAST_CHUNKS):
            data = self.read()
            if not data:
                break
            lines += self.output.feed(data)
        return lines + self.output.end()


class LogPipes:
    """All pipes of one run."""

    def __init__(self, loop: Loop, log: Log) -> None:
        self._loop = loop
        self.log = log

    def hear(self, pipe: LogPipe) -> None:
        """From now on its lines go to the log."""
        self._loop.watch(pipe.fd, lambda: self._read(pipe))

    def end(self, pipe: LogPipe) -> None:
        """Its process has ended: log its last lines, which say why, and stop watching."""
        self._loop.unwatch(pipe.fd)
        log_lines(self.log, pipe.last_lines())

    def _read(self, pipe: LogPipe) -> None:
        data = pipe.read()
        if data:
            log_lines(self.log, pipe.output.feed(data))
        elif data is not None:
            # It closed the pipe and lives on: the end of file would wake us again and again.
            self._loop.unwatch(pipe.fd)


def log_lines(log: Log, lines: list[ChildLine]) -> None:
    """Log these lines, and count those before them that were not parsed."""
    for line in lines:
        log.unread(line.fields["actor"], line.event, line.unread)
        log.event(line.level, line.event, line.fields, line.timestamp)
