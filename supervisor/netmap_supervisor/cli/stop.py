"""`stop`: end the daemon and see it gone."""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import TYPE_CHECKING

import click

from netmap_actors.clock import SystemClock
from netmap_supervisor.admin.commands import CommandFailed, order
from netmap_supervisor.admin.socket import admin_path
from netmap_supervisor.cli.option_flags import runtime_dir_flag
from netmap_supervisor.cli.pause import wait_until
from netmap_supervisor.system.single_instance import is_locked

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

LIMIT = 10.0
"""Seconds for the last process to be gone; the daemon itself promises 5."""
_PATIENCE = 1.0
_CREDENTIALS = struct.Struct("iii")
"""Process, user and group (unix(7): struct ucred)."""


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
        order(runtime_dir, "stop")
        gone = wait_until(lambda: not is_locked(runtime_dir) and _ended(process), LIMIT, SystemClock())
    finally:
        if process is not None:
            os.close(process)
    if not gone:
        raise CommandFailed(f"cannot stop the daemon in {runtime_dir}: it is still there after {LIMIT:g} s")


def _process_of(runtime_dir: Path) -> int | None:
    """A pidfd of the process behind the socket; None where the lock alone has to tell.

    The process id it has in its own namespace, which `status` shows, may be another's in ours; the kernel translates
    what it says of a socket's other end (unix(7): SO_PEERCRED), and says 0 of a process that we cannot see.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_PATIENCE)
            sock.connect(str(admin_path(runtime_dir)))
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return os.pidfd_open(_CREDENTIALS.unpack(peer)[0])
    except OSError:
        return None  # `order` says what there is to say


def _ended(process: int | None) -> bool:
    """The lock is free a moment before the process that held it has ended; a zombie waits for its parent only."""
    return process is None or bool(select.select([process], [], [], 0)[0])
