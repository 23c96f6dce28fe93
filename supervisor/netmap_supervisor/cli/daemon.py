"""How a command reaches the daemon: its status, and orders to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import NetmapError
from netmap_supervisor.admin import AdminClient, AdminError, NotRunning
from netmap_supervisor.single_instance import is_locked
from netmap_supervisor.status import StatusReport

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CommandFailed", "NotRunning", "ask_status", "order", "require_running", "status_or_none"]

VIEW_LIMIT = 1.0
"""Seconds a view waits for the status before it shows that there is none."""


class CommandFailed(NetmapError):
    """A command could not do what it was asked for."""


def ask_status(runtime_dir: Path) -> StatusReport:
    """The daemon's status. Raises NotRunning, CommandFailed for one that does not answer."""
    answer = order(runtime_dir, "status")
    return msgspec.convert(answer, StatusReport)


def status_or_none(runtime_dir: Path) -> StatusReport | None:
    """The daemon's status for a view; None when there is none, soon."""
    try:
        with AdminClient(runtime_dir, VIEW_LIMIT) as client:
            return msgspec.convert(client.request("status"), StatusReport)
    except (AdminError, msgspec.MsgspecError):
        return None


def order(runtime_dir: Path, command: str, /, **arguments: Any) -> Any:
    """The daemon's answer. Raises NotRunning, CommandFailed, AdminError."""
    try:
        with AdminClient(runtime_dir) as client:
            return client.request(command, **arguments)
    except NotRunning as error:
        # One that is there and says nothing is no daemon that is not there: scripts may want to start one then.
        if is_locked(runtime_dir):
            raise CommandFailed(str(error)) from None
        raise


def require_running(runtime_dir: Path) -> None:
    """Raises NotRunning when nobody holds the runtime directory."""
    if not is_locked(runtime_dir):
        raise NotRunning(
            f"cannot reach the daemon: none is running in {runtime_dir}; start one with `netmap-supervisor run`, or "
            "name its directory with --runtime-dir"
        )
