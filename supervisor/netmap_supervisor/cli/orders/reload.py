"""`reload`: let the daemon read its settings again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_supervisor.admin.commands import send_request
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["command", "outcome"]

_HOLDS = {
    "applied": "holds now",
    "with_next_connection": "holds from the next connection on (`netmap-supervisor reconnect`)",
    "needs_restart": "NOT taken over: needs a restart",
}


@click.command("reload")
@runtime_dir_flag
def command(runtime_dir: Path) -> None:
    """Let the daemon read its file and environment again, as SIGHUP does; says what became of each change.

    A configuration that cannot be used changes nothing.

    \b
    Example:
      netmap-supervisor config check && netmap-supervisor reload
    """
    click.echo("\n".join(outcome(send_request(runtime_dir, "reload"))))


def outcome(changes: Mapping[str, list[str]]) -> Iterator[str]:
    """One line a setting."""
    lines = [f"{name}: {words}" for kind, words in _HOLDS.items() for name in changes.get(kind, ())]
    yield from lines or ["nothing has changed"]
