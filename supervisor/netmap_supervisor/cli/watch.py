"""`watch`: the netmap as it changes, as JSON Lines or for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from netmap_actors import shown_json
from netmap_actors.subscriber import EventFilter
from netmap_actors.subscriber.events import EVENT_KINDS
from netmap_supervisor.cli.parameters.followed_daemon import daemon_flags
from netmap_supervisor.cli.parameters.peer_names import complete_peer
from netmap_supervisor.cli.parameters.table_options import choice_flags
from netmap_supervisor.cli.process.exit_codes import ExitCode
from netmap_supervisor.view.table_choice import ChosenEvents, TableChoice
from netmap_supervisor.view.terminal import can_redraw

if TYPE_CHECKING:
    from netmap_actors.subscriber import Event
    from netmap_supervisor.cli.parameters.followed_daemon import FollowedDaemon

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
@choice_flags
@daemon_flags
def command(
    as_json: bool,
    kinds: tuple[str, ...],
    peers: tuple[str, ...],
    choice: TableChoice,
    daemon: FollowedDaemon,
) -> int:
    """Follow the netmap: a table that changes in place on a terminal, lines everywhere else.

    It goes on over restarts of the daemon and waits for one that is not there yet. A peer is followed, not its name:
    through renames, until it is gone or another has the name.

    The table takes the whole terminal: j and k, the arrows, Page Up and Page Down scroll, q ends it. Peers that are
    chosen by --tag, --online, --offline or --match are chosen anew with each change; a change that takes one out of
    the choice is shown, too.

    \b
    Examples:
      netmap-supervisor watch
      netmap-supervisor watch --offline --sort -last-seen
      netmap-supervisor watch --json --kind peer_upserted --kind peer_removed
      netmap-supervisor watch --json --peer web-1 | while read -r line; do notify "$line"; done
      netmap-supervisor watch --connect tcp://192.0.2.1:9740 --key-file laptop.key_secret --server-key KEY
    """
    table = not as_json and not kinds and not peers and can_redraw(sys.stdout)
    if choice.sort and not table:
        raise click.UsageError(
            "--sort is for the table on a terminal, without --json, --kind and --peer: changes come as they happen; "
            "`netmap --sort` sorts what is there"
        )
    try:
        daemon.require_allowed()
        if (as_json or not can_redraw(sys.stdout)) and (alone := daemon.alone()):
            click.echo(alone, err=True)
        wanted = _Wanted(kinds, peers, choice)
        if as_json:
            _json_lines(daemon, wanted)
        elif table:
            _table(daemon, choice)
        else:
            _lines(daemon, wanted)
    except KeyboardInterrupt:
        pass  # the usual way to end it
    return ExitCode.OK


class _Wanted:
    """The events that all the options let through. Needs every event, in order."""

    def __init__(self, kinds: tuple[str, ...], peers: tuple[str, ...], choice: TableChoice) -> None:
        self._filter = EventFilter(kinds, peers)
        self._chosen = ChosenEvents(choice)
        self.to_json = self._chosen.to_json

    def passes(self, event: Event) -> bool:
        followed, chosen = self._filter.passes(event), self._chosen.passes(event)
        return followed and chosen


def _json_lines(daemon: FollowedDaemon, wanted: _Wanted) -> None:
    out = sys.stdout.buffer
    with daemon.subscriber() as subscriber:
        for event in subscriber:
            if wanted.passes(event):
                out.write(shown_json.encode(wanted.to_json(event)) + b"\n")
                out.flush()


def _lines(daemon: FollowedDaemon, wanted: _Wanted) -> None:
    # Loaded here: JSON Lines do not need them.
    from netmap_supervisor.view.feed import feed_view  # noqa: PLC0415
    from netmap_supervisor.view.terminal import make_view  # noqa: PLC0415

    feed_view(make_view("plain"), daemon.subscriber, ask=daemon.ask, chosen=wanted.passes)


def _table(daemon: FollowedDaemon, choice: TableChoice) -> None:
    from netmap_supervisor.view.feed import feed_view  # noqa: PLC0415
    from netmap_supervisor.view.terminal import whole_screen  # noqa: PLC0415

    view, listen = whole_screen(hint=f"q ends this view, j and k scroll; {daemon.where}", choice=choice)
    feed_view(view, daemon.subscriber, ask=daemon.ask, terminal=listen)
