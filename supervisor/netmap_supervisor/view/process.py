"""The view of `run`: a child process, which gets events through a pipe that never blocks the daemon.

Its standard output is the terminal; its standard error comes back through another pipe, into the log.
"""

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
from netmap_supervisor.daemon.output.child_output import ChildOutput
from netmap_supervisor.daemon.output.log_pipes import LogPipe, log_lines
from netmap_supervisor.system.held_environment import environment_for
from netmap_supervisor.system.signals import GROUP_SIGNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from netmap_supervisor.daemon.observer import RunFacts
    from netmap_supervisor.daemon.output.log_pipes import LogPipes
    from netmap_supervisor.system.log import Log

__all__ = ["RunView"]

MAX_EVENT_BYTES = 4000
"""Bytes: below PIPE_BUF, a non-blocking write takes all of it or nothing (pipe(7))."""
FAREWELL = 2.0
"""Seconds the view has to show the end of the run."""
MOST_STARTS = 5
"""Starts of the view in one run: one that ends again and again has lost its terminal."""
PAUSE = 10.0
"""Seconds between two of them."""


class RunView:
    """An observer of the run that passes events on. A view that ended is started again with the next event."""

    def __init__(
        self,
        mode: str,
        runtime_dir: Path,
        *,
        banner: str,
        hint: str,
        began: float,
        last_log: Callable[[], Log],
    ) -> None:
        """`began`: when the run began, seconds of CLOCK_BOOTTIME. `banner` is printed first. `last_log()`: makes a
        log for the last lines of the view, when that of the run is closed.
        """
        self.dropped = 0
        """Events the view did not take in time."""
        self._banner = banner
        self._clock = SystemClock()
        self._starts = 0
        self._started_at = 0.0
        words = [f"--mode={mode}", f"--hint={hint}", f"--began={began}", f"--runtime-dir={runtime_dir}"]
        self._command = [sys.executable, "-P", "-m", "netmap_supervisor", "view", *words]
        self._environment = environment_for("view", os.environ)
        self._last_log = last_log
        self._pipe = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._output: LogPipe | None = None
        """What the process says on its standard error."""

    @property
    def pid(self) -> int:
        """Of the view; 0 while there is none."""
        return 0 if self._process is None else self._process.pid

    def facts(self, facts: RunFacts, log_pipes: LogPipes) -> None:  # noqa: ARG002  # the banner has them
        """Start the view, not before the directories are locked: it could show another daemon's netmap."""
        self._log_pipes = log_pipes
        if self._output is not None:
            log_pipes.hear(self._output)
        if self._starts:
            return  # the runtime directory was removed and made again
        with contextlib.suppress(OSError):  # the terminal may be gone
            click.echo(self._banner)
            sys.stdout.flush()
        self._start()

    def _start(self) -> None:
        """Start the view; without descriptors or memory for it the run goes on without a view."""
        self._starts += 1
        self._started_at = self._clock.boottime()
        self._close_pipe()
        with contextlib.suppress(OSError), contextlib.ExitStack() as theirs:
            read_fd, self._pipe = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, read_fd)
            os.set_blocking(self._pipe, False)
            log_read, log_write = os.pipe2(os.O_CLOEXEC)
            theirs.callback(os.close, log_write)
            try:
                self._process = self._spawn(read_fd, log_write)
            except OSError:
                os.close(log_read)
                raise
            self._output = LogPipe(log_read, ChildOutput("view", self._process.pid, self._starts))
            self._log_pipes.hear(self._output)

    def _spawn(self, events_fd: int, log_fd: int) -> subprocess.Popen[bytes]:
        # Ctrl-C reaches it, too, and must not end it before it ignores that signal.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)
        try:
            return subprocess.Popen(self._command, stdin=events_fd, stderr=log_fd, env=self._environment)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1

    def _report_end(self) -> None:
        """Log how the view ended."""
        if self._process is None or self._output is None:
            return
        self._log_pipes.end(self._output)
        output = self._output.output
        how = {"status": self._process.returncode, "detail": output.last_text or None}
        self._log_pipes.log.event("error", "view_ended", how | output.who)
        os.close(self._output.fd)
        self._output = None

    def event(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Pass one event on, or count it as dropped."""
        if self._starts == 0:
            return
        record = {"level": level, "event": event, "fields": dict(fields)}
        line = shown_json.encode(record, enc_hook=str)
        if len(line) > MAX_EVENT_BYTES:
            line = shown_json.encode(record | {"fields": {}})
        if not self._write(line + b"\n") and not (self._start_again() and self._write(line + b"\n")):
            self.dropped += 1

    def _write(self, line: bytes) -> bool:
        try:
            os.write(self._pipe, line)
        except OSError:  # it is busy, has ended or was never started
            return False
        return True

    def _start_again(self) -> bool:
        rested = self._clock.boottime() - self._started_at >= PAUSE
        if self._process is not None and self._process.poll() is None:
            return False
        self._report_end()
        if not rested or self._starts >= MOST_STARTS:
            return False
        self._start()
        return True

    def close(self) -> None:
        """End the view's input and wait for it to end, FAREWELL seconds."""
        self._close_pipe()
        if self._process is None:
            return
        try:
            self._process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            # It may be blocked by a stopped terminal.
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FAREWELL)
        if self._output is not None:
            self._log_last_lines(self._output)

    def _log_last_lines(self, output: LogPipe) -> None:
        """Into a new log: that of the run is closed already."""
        lines = output.last_lines()
        os.close(output.fd)
        self._output = None
        if lines:
            log = self._last_log()
            log_lines(log, lines)
            log.close()
