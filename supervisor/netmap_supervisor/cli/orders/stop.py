"""`stop`: end the daemon and see it gone."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

import click

from netmap_actors.bus.peers import origin_of
from netmap_actors.clock import SystemClock
from netmap_supervisor.admin.commands import CommandFailed, send_request
from netmap_supervisor.admin.socket import admin_path
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.process.polling import wait_until
from netmap_supervisor.system.single_instance import is_locked

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

_STOP_LIMIT = 10.0
"""Seconds for the last process to be gone; the daemon itself promises 5."""
_PATIENCE = 1.0


@click.command("stop")
@runtime_dir_flag
def command(runtime_dir: Path) -> None:
    """Stop the daemon; returns when its last process is gone.

    \b
    Example:
      netmap-supervisor stop
    """
    process = _process_of(runtime_dir)
    try:
        send_request(runtime_dir, "stop")
        gone = wait_until(lambda: not is_locked(runtime_dir) and _ended(process), _STOP_LIMIT, SystemClock())
    finally:
        if process is not None:
            os.close(process)
    if not gone:
        raise CommandFailed(
            f"cannot stop the daemon in {runtime_dir}: it is still there after {_STOP_LIMIT:g} s"
        )


def _process_of(runtime_dir: Path) -> int | None:
    """A pidfd of the process that listens on the admin socket; None if it cannot be had: then only the lock is watched.

    The pid that `status` shows is of the daemon's own PID namespace; SO_PEERCRED gives the one in ours, 0 for a process
    we cannot see (unix(7)).
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_PATIENCE)
            sock.connect(str(admin_path(runtime_dir)))
            return os.pidfd_open(origin_of(sock).process)
    except OSError:
        return None  # `send_request` reports it


def _ended(process: int | None) -> bool:
    """Whether the process has ended, which is a moment after the lock is free; a zombie counts as ended."""
    return process is None or bool(select.select([process], [], [], 0)[0])
