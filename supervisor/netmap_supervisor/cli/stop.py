"""`stop`: end the daemon and see it gone."""

from __future__ import annotations

from pathlib import Path

import click

from netmap_actors.clock import SystemClock
from netmap_supervisor.cli.daemon import CommandFailed, ask_status, order
from netmap_supervisor.cli.option_flags import runtime_dir_flag
from netmap_supervisor.cli.pause import wait_until
from netmap_supervisor.single_instance import is_locked

__all__ = ["command"]

LIMIT = 10.0
"""Seconds for the last process to be gone; the daemon itself promises 5."""


@click.command("stop")
@runtime_dir_flag
def command(runtime_dir: Path) -> None:
    """Stop the daemon; returns when its last process is gone.

    \b
    Example:
      netmap-supervisor stop
    """
    pid = ask_status(runtime_dir).pid
    order(runtime_dir, "stop")
    if not wait_until(lambda: not is_locked(runtime_dir) and not _lives(pid), LIMIT, SystemClock()):
        raise CommandFailed(f"cannot stop the daemon in {runtime_dir}: it is still there after {LIMIT:g} s")


def _lives(pid: int) -> bool:
    """The lock is free a moment before the process that held it has ended. A zombie waits for its parent only."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
