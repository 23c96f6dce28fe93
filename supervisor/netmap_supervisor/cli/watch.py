"""`watch`: the netmap as it changes, as JSON Lines or for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from netmap_actors import shown_json
from netmap_actors.subscriber import EventFilter, Subscriber
from netmap_actors.subscriber.events import EVENT_KINDS
from netmap_supervisor.admin.commands import require_allowed, status_or_none
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.peer_names import complete_peer
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.system.single_instance import hidden, is_locked
from netmap_supervisor.view.terminal import can_redraw

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]


def _names(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    if "" in names:  # as from an unset variable; no event would pass
        raise click.BadParameter("a name, an address, a stable id or a node key is expected", ctx, param)
    return names


@click.command("watch")
@click.option(
    "--json", "as_json", is_flag=True, help="JSON Lines: a snapshot first, then one line per change."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(EVENT_KINDS),
    help="Only changes of this kind; may be repeated.",
)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    callback=_names,
    metavar="PEER",
    shell_complete=complete_peer,
    help="Only changes of this peer (as in `netmap PEER`), its rename and its end included; may be repeated.",
)
@runtime_dir_flag
def command(as_json: bool, kinds: tuple[str, ...], peers: tuple[str, ...], runtime_dir: Path) -> int:
    """Follow the netmap: a table that changes in place on a terminal, lines everywhere else.

    It goes on over restarts of the daemon and waits for one that is not there yet. A peer is followed, not its name:
    through renames, until it is gone or another has the name.

    \b
    Examples:
      netmap-supervisor watch
      netmap-supervisor watch --json --kind peer_upserted --kind peer_removed
      netmap-supervisor watch --json --peer web-1 | while read -r line; do notify "$line"; done
    """
    try:
        require_allowed(runtime_dir)
        if as_json or not can_redraw(sys.stdout):
            _say_if_alone(runtime_dir)
        if as_json:
            _json_lines(runtime_dir, kinds, peers)
        else:
            _view(runtime_dir, kinds, peers)
    except KeyboardInterrupt:
        pass  # the usual way to end it
    return ExitCode.OK


def _say_if_alone(runtime_dir: Path) -> None:
    """Say that there is no daemon yet."""
    if not is_locked(runtime_dir) and hidden(runtime_dir) is None:
        click.echo(
            f"no daemon is running in {runtime_dir} yet: waiting for one (`netmap-supervisor run` starts it)",
            err=True,
        )


def _json_lines(runtime_dir: Path, kinds: tuple[str, ...], peers: tuple[str, ...]) -> None:
    out = sys.stdout.buffer
    wanted = EventFilter(kinds, peers)
    with Subscriber(runtime_dir) as subscriber:
        for event in subscriber:
            if wanted.passes(event):
                out.write(shown_json.encode(event.to_json()) + b"\n")
                out.flush()


def _view(runtime_dir: Path, kinds: tuple[str, ...], peers: tuple[str, ...]) -> None:
    # Loaded here: JSON Lines do not need them.
    from netmap_supervisor.view.feed import feed_view  # noqa: PLC0415
    from netmap_supervisor.view.terminal import make_view  # noqa: PLC0415

    mode = "live" if can_redraw(sys.stdout) and not kinds and not peers else "plain"
    view = make_view(mode, hint=f"Ctrl-C ends this view; runtime directory {runtime_dir}")
    feed_view(
        view,
        runtime_dir,
        ask=lambda: status_or_none(runtime_dir),
        chosen=EventFilter(kinds, peers).passes,
    )
