"""`run --demo-faults`: a daemon whose control server falls silent, and its recovery, line by line, in ten seconds.

The daemon is a process of its own in temporary directories: no other daemon of this machine is touched.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_supervisor.admin.commands import CommandFailed, send_request
from netmap_supervisor.cli.fault.command import RecoveryPrinter
from netmap_supervisor.cli.process.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["demonstrate"]

SILENCE = 5.0
"""Seconds instead of the default of 120, to be short."""
START_LIMIT = 20.0
STEP_LIMIT = 15.0
STOP_LIMIT = 10.0
FRESH_TIME = 1.0
"""Seconds the netmap is fresh before the fault."""


def demonstrate() -> int:
    """Run it: fresh, silent, stale, another connection, fresh. 0 when all of it happened, else CommandFailed."""
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
            _break_and_follow(directory / "run", lambda: daemon.poll() is not None)
        except CommandFailed as error:
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-5:])
            raise CommandFailed(f"{error}; the log says:\n{tail}") from None
        finally:
            daemon.terminate()
            try:
                daemon.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
    return ExitCode.OK


def _break_and_follow(runtime_dir: Path, has_ended: Callable[[], bool]) -> None:
    printer = RecoveryPrinter(runtime_dir, None, has_ended, width=5)
    recovery = printer.recovery

    def until(fact: Callable[[], bool], limit: float, what: str) -> None:
        if not printer.follow(fact, limit):
            raise CommandFailed(f"cannot go on: no {what} within {limit:g} s")

    printer.say(
        f"demo        a daemon and a control server of its own; dead after {SILENCE:g} s of silence, not 120"
    )
    until(lambda: recovery.well, START_LIMIT, "the first netmap")
    broken_at = printer.elapsed + FRESH_TIME
    until(lambda: printer.elapsed >= broken_at, STEP_LIMIT, "a calm second")
    send_request(runtime_dir, "dev", command="fault", name="liveness/silence")
    printer.say("silent      the control server sends nothing any more; TCP still says ESTABLISHED")
    until(lambda: recovery.replaced("control_connection") and recovery.well, STEP_LIMIT, "recovery")
    printer.say("end         try it on a daemon that runs: netmap-supervisor fault --help")
