"""`reconnect`: an operator's respawn of the control connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_supervisor.admin.commands import send_request
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("reconnect")
@runtime_dir_flag
def command(runtime_dir: Path) -> None:
    """End the control connection and make a new one: new process, new TCP connection, whole netmap.

    The netmap is kept meanwhile and is stale until the new connection has brought it.

    \b
    Example:
      netmap-supervisor reconnect && netmap-supervisor wait --for fresh
    """
    send_request(runtime_dir, "reconnect")
