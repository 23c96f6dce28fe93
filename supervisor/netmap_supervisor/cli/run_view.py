"""The view of `run`: a process of its own that is told what happens through a pipe which never blocks the daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from netmap_actors import shown_json
from netmap_actors.clock import SystemClock
from netmap_supervisor.boot_records import environment_for
from netmap_supervisor.process_signals import GROUP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from netmap_supervisor.observer import RunFacts

__all__ = ["RunView"]

MAX_LINE = 4000
"""Bytes: below PIPE_BUF, a non-blocking write takes all of it or nothing (pipe(7))."""
FAREWELL = 2.0
"""Seconds the view has to show the end."""
MOST_STARTS = 5
"""Of the view: one that ends again and again has a screen that is gone."""
PAUSE = 10.0
"""Seconds between two of them."""


class RunView:
    """An observer of the run that passes events on. A view that ended is started again with the next event."""

    def __init__(self, mode: str, runtime_dir: Path, *, banner: str, hint: str, began: float) -> None:
        """`began`: when the run began, seconds of CLOCK_BOOTTIME. `banner` is what is shown above all."""
        self.dropped = 0
        """Events the view did not take in time."""
        self._banner = banner
        self._clock = SystemClock()
        self._starts = 0
        self._started_at = 0.0
        words = [f"--mode={mode}", f"--hint={hint}", f"--began={began}", f"--runtime-dir={runtime_dir}"]
        self._command = [sys.executable, "-P", "-m", "netmap_supervisor", "view", *words]
        self._environment = environment_for("view", os.environ)
        self._pipe = -1
        self._process: subprocess.Popen[bytes] | None = None

    def facts(self, facts: RunFacts) -> None:  # noqa: ARG002  # the banner has them
        """The directories are ours: not before, or it would show another daemon's netmap as this one's."""
        if self._starts:
            return  # they were taken away, and are ours again
        with contextlib.suppress(OSError):  # a screen that is gone is not missed
            click.echo(self._banner)
            sys.stdout.flush()
        self._start()

    def _start(self) -> None:
        """A view that cannot be started, for want of descriptors or memory, costs the view and never the daemon."""
        self._starts += 1
        self._started_at = self._clock.boottime()
        self._let_go()
        with contextlib.suppress(OSError):
            read_fd, self._pipe = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self._pipe, False)
            # Ctrl-C goes to it, too, and it must not end of that before it has got as far as to ignore it.
            held = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
            try:
                self._process = subprocess.Popen(self._command, stdin=read_fd, env=self._environment)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
                os.close(read_fd)

    def _let_go(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Pass one event on, or count it as dropped."""
        if self._starts == 0:
            return
        record = {"level": level, "event": event, "fields": dict(fields)}
        line = shown_json.encode(record, enc_hook=str)
        if len(line) > MAX_LINE:
            line = shown_json.encode(record | {"fields": {}})
        if not self._write(line + b"\n") and not (self._start_again() and self._write(line + b"\n")):
            self.dropped += 1

    def _write(self, line: bytes) -> bool:
        try:
            os.write(self._pipe, line)
        except OSError:  # it is busy, it has ended, or it never was
            return False
        return True

    def _start_again(self) -> bool:
        rested = self._clock.boottime() - self._started_at >= PAUSE
        lives = self._process is not None and self._process.poll() is None
        if lives or not rested or self._starts >= MOST_STARTS:
            return False
        self._start()
        return True

    def close(self) -> None:
        """Say that nothing more comes, and leave the view a moment."""
        self._let_go()
        if self._process is None:
            return
        try:
            self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            # It may be stuck in a terminal that was stopped.
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL)
