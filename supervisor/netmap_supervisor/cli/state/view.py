"""`view`: what `run` shows, in a process of its own. Started by `run`, not by people."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import click

from netmap_actors.confinement import confinement, seccomp
from netmap_actors.confinement.permissions import ROWS, RunPlaces
from netmap_actors.confinement.seccomp_rows import of_view
from netmap_supervisor.admin.commands import status_or_none
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.system.signals import GROUP_SIGNALS
from netmap_supervisor.view.feed import feed_view
from netmap_supervisor.view.terminal import make_view

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


@click.command("view", hidden=True)
@click.option("--mode", type=click.Choice(["live", "plain"]), required=True)
@click.option("--hint", default="")
@click.option("--began", type=float)
@runtime_dir_flag
def command(mode: str, hint: str, began: float | None, runtime_dir: Path) -> None:
    """Show a daemon whose events come in on standard input, until they end."""
    places = RunPlaces(state_dir=runtime_dir, runtime_dir=runtime_dir)
    confinement.forbid_dump()
    row = ROWS["view"]
    confinement.limit_files(row.max_files)
    confinement.confine(row, row.permissions(places))
    # Ctrl-C goes to the whole foreground group, a service manager's SIGTERM to the whole unit: the daemon ends
    # first, and this view shows how.
    for number in GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    # Not sys.stdin, and never closed: a thread waits on it and holds its lock, which either would need.
    events = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
    view = make_view(mode, hint=hint, began=began)
    seccomp.restrict(of_view(os.getpid()), listener_to=-1)
    feed_view(
        view,
        runtime_dir,
        ask=lambda: status_or_none(runtime_dir),
        events=events,
    )
