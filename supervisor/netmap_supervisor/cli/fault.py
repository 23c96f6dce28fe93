"""`fault`: break one process on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_supervisor.cli.daemon import order
from netmap_supervisor.cli.durations import duration
from netmap_supervisor.cli.option_flags import runtime_dir_flag

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

ACTORS = ("control_connection", "liveness", "publisher", "dev_control")
_actor = click.argument("actor", type=click.Choice(ACTORS), metavar="ACTOR")


@click.group("fault")
def command() -> None:
    """Break one process of the daemon on purpose, and watch the others go on.

    ACTOR is control_connection, liveness, publisher or dev_control.

    \b
    Examples:
      netmap-supervisor fault kill control_connection
      netmap-supervisor fault freeze publisher --for 60s
    """


@command.command("kill")
@_actor
@runtime_dir_flag
def kill(actor: str, runtime_dir: Path) -> None:
    """SIGKILL: as if it had crashed."""
    order(runtime_dir, "fault", what="kill", actor=actor)


@command.command("stop")
@_actor
@runtime_dir_flag
def stop(actor: str, runtime_dir: Path) -> None:
    """SIGSTOP: it hangs, and is found and replaced after 12 s."""
    order(runtime_dir, "fault", what="stop", actor=actor)


@command.command("cont")
@_actor
@runtime_dir_flag
def cont(actor: str, runtime_dir: Path) -> None:
    """SIGCONT: it goes on after `fault stop`."""
    order(runtime_dir, "fault", what="cont", actor=actor)


@command.command("freeze")
@_actor
@click.option(
    "--for",
    "seconds",
    default="10s",
    show_default=True,
    callback=duration(0.001, 3600.0),
    metavar="DURATION",
    help="How long it does nothing.",
)
@runtime_dir_flag
def freeze(actor: str, seconds: float, runtime_dir: Path) -> None:
    """Let its loop do nothing for a while, as a bug would: longer than 12 s and it is replaced."""
    order(runtime_dir, "fault", what="freeze", actor=actor, seconds=seconds)
