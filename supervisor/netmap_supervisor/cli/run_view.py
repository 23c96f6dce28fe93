"""The view of `run`: a process of its own that is told what happens through a pipe which never blocks the daemon."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netmap_supervisor.supervisor import RunFacts

__all__ = ["RunView"]

MAX_LINE = 4000
"""Bytes: below PIPE_BUF, a non-blocking write takes all of it or nothing (pipe(7))."""
FAREWELL = 2.0
"""Seconds the view has to show the end."""


class RunView:
    """An observer of the run that passes events on. A view that ends early is not missed."""

    def __init__(self, mode: str, runtime_dir: Path, *, hint: str, began: float) -> None:
        """`began`: when the run began, seconds of CLOCK_BOOTTIME."""
        self.dropped = 0
        """Events the view did not take in time."""
        words = [f"--mode={mode}", f"--hint={hint}", f"--began={began}", f"--runtime-dir={runtime_dir}"]
        command = [sys.executable, "-P", "-m", "netmap_supervisor", "view", *words]
        read_fd, self._pipe = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        try:
            self._process = subprocess.Popen(command, stdin=read_fd)
        finally:
            os.close(read_fd)

    def facts(self, facts: RunFacts) -> None:
        """Nothing: `run` has shown them itself."""

    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Pass one event on, or count it as dropped."""
        record = {"level": level, "event": event, "fields": dict(fields)}
        line = msgspec.json.encode(record, enc_hook=str)
        if len(line) > MAX_LINE:
            line = msgspec.json.encode(record | {"fields": {}})
        try:
            os.write(self._pipe, line + b"\n")
        except (BlockingIOError, BrokenPipeError):
            self.dropped += 1

    def close(self) -> None:
        """Say that nothing more comes, and leave the view a moment."""
        os.close(self._pipe)
        try:
            self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            # It may be stuck in a terminal that was stopped.
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL)
