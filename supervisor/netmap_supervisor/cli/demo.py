"""`run --demo-faults`: ten seconds of a daemon whose control server falls silent, told line by line.

Not here: the telling itself (`view.recovery`). The daemon is a process of its own in directories of its own: nothing
that runs on this machine is touched, and nothing stays.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netmap_actors.clock import SystemClock
from netmap_actors.wire.vocabulary import ActorName
from netmap_supervisor.admin.commands import CommandFailed, order, status_or_none
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.cli.process.polling import wait_until
from netmap_supervisor.view.recovery import Story

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["tell"]

SILENCE = 5.0
"""Seconds; the product's own limit is 120 and would make a long demonstration."""
START_LIMIT = 20.0
STEP_LIMIT = 15.0
STOP_LIMIT = 10.0
CALM = 1.0
"""Seconds of a fresh netmap before it is broken."""


def tell() -> int:
    """Fresh, stale, another connection, fresh; 0 when it all came to pass."""
    with tempfile.TemporaryDirectory(prefix="netmap-demo-") as place:
        directory = Path(place)
        command = [
            *(sys.executable, "-P", "-m", "netmap_supervisor", "run", "--view=off", "--log-format=json"),
            *("--control-url=embedded", f"--silence-timeout={SILENCE:g}s", "--dev-churn=0"),
            *(f"--state-dir={directory / 'state'}", f"--runtime-dir={directory / 'run'}"),
        ]
        log_path = directory / "log"
        with log_path.open("wb") as log:
            daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            return _Demonstration(directory / "run", daemon, log_path).tell()
        finally:
            daemon.terminate()
            try:
                daemon.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


class _Demonstration:
    def __init__(self, runtime_dir: Path, daemon: subprocess.Popen[bytes], log: Path) -> None:
        self._runtime_dir = runtime_dir
        self._daemon = daemon
        self._log = log
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self._story: Story | None = None

    def tell(self) -> int:
        self._say(
            f"demo        a daemon and a control server of its own; dead after {SILENCE:g} s of silence, not 120"
        )
        self._until(lambda story: story.well, START_LIMIT, "the first netmap")
        calm = self._clock.monotonic() + CALM
        self._until(lambda _: self._clock.monotonic() >= calm, STEP_LIMIT, "a calm second")
        order(self._runtime_dir, "dev", command="fault", name="silent")
        self._say("silent      the control server sends nothing any more; TCP still says ESTABLISHED")
        self._until(lambda story: story.replaced(ActorName.CONNECTION) and story.well, STEP_LIMIT, "recovery")
        self._say("end         try it on a daemon that runs: netmap-supervisor fault --help")
        return ExitCode.OK

    def _say(self, line: str) -> None:
        click.echo(f"{self._clock.monotonic() - self._began:5.1f} s  {line}")

    def _until(self, fact: Callable[[Story], bool], limit: float, what: str) -> None:
        if not wait_until(lambda: self._look(fact), limit, self._clock):
            raise CommandFailed(f"cannot go on: no {what} within {limit:g} s; the log says:\n{self._tail()}")

    def _look(self, fact: Callable[[Story], bool]) -> bool:
        if self._daemon.poll() is not None:
            raise CommandFailed(f"cannot go on: the daemon ended; the log says:\n{self._tail()}")
        report = status_or_none(self._runtime_dir)
        if report is None:
            return False
        if self._story is None:
            self._story = Story(report)
        for line in self._story.next(report):
            self._say(line)
        return fact(self._story)

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-5:])
