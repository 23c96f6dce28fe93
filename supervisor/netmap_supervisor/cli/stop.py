"""`stop`: end the daemon and see it gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_actors.clock import SystemClock
from netmap_supervisor.cli.daemon import CommandFailed, order
from netmap_supervisor.cli.option_flags import runtime_dir_flag
from netmap_supervisor.cli.pause import wait_until
from netmap_supervisor.single_instance import is_locked

if TYPE_CHECKING:
    from pathlib import Path

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
    order(runtime_dir, "stop")
    if not wait_until(lambda: not is_locked(runtime_dir), LIMIT, SystemClock()):
        raise CommandFailed(f"cannot stop the daemon in {runtime_dir}: it is still there after {LIMIT:g} s")
