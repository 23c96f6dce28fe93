"""Requests of commands to the daemon, and whether there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import NetmapError
from netmap_actors.runtime_paths import updates_path
from netmap_actors.wire.status import StatusReport
from netmap_supervisor.admin.socket import AdminClient, AdminError, NotRunning, not_running
from netmap_supervisor.system.single_instance import hidden, is_locked

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "ASK_STATUS",
    "CommandFailed",
    "NotRunning",
    "ask_status",
    "is_running",
    "require_allowed",
    "require_running",
    "send_request",
    "status_or_none",
    "unreadable",
]

ASK_STATUS = "`netmap-supervisor status` says what is missing"
VIEW_LIMIT = 1.0
"""Seconds that a view waits for the status."""


class CommandFailed(NetmapError):
    """A command could not do what it was asked for."""


def ask_status(runtime_dir: Path) -> StatusReport:
    """The daemon's status. Raises NotRunning, CommandFailed for one that does not answer."""
    answer = send_request(runtime_dir, "status")
    return msgspec.convert(answer, StatusReport)


def status_or_none(runtime_dir: Path) -> StatusReport | None:
    """The daemon's status for a view; None if it does not answer within VIEW_LIMIT."""
    try:
        return msgspec.convert(AdminClient(runtime_dir, VIEW_LIMIT).request("status"), StatusReport)
    except (AdminError, msgspec.MsgspecError):
        return None


def send_request(runtime_dir: Path, command: str, /, **arguments: Any) -> Any:
    """The daemon's answer. Raises NotRunning, CommandFailed, AdminError."""
    try:
        return AdminClient(runtime_dir).request(command, **arguments)
    except NotRunning as error:
        # Not NotRunning for a daemon that does not answer: scripts may start one upon that.
        if is_locked(runtime_dir):
            raise CommandFailed(str(error)) from None
        raise


def unreadable(runtime_dir: Path) -> str | None:
    """Why we may not subscribe to the daemon there, should there be one, and what to do; None where we may.

    Members of the group `subscribers.socket_group` reach the sockets and see nothing else.
    """
    why = None if os.access(updates_path(runtime_dir), os.W_OK) else hidden(runtime_dir)
    return None if why is None else f"{why}, or have its subscribers.socket_group name a group of yours"


def require_allowed(runtime_dir: Path) -> None:
    """Raises CommandFailed where we may not subscribe."""
    if (why := unreadable(runtime_dir)) is not None:
        raise CommandFailed(why)


def is_running(runtime_dir: Path) -> bool:
    """Whether a daemon holds the runtime directory, or may. Raises CommandFailed where we may not subscribe."""
    require_allowed(runtime_dir)
    return is_locked(runtime_dir) or hidden(runtime_dir) is not None


def require_running(runtime_dir: Path) -> None:
    """Raises NotRunning if no daemon holds the runtime directory, CommandFailed where we may not subscribe."""
    if not is_running(runtime_dir):
        raise not_running(runtime_dir)
