"""`netmap`: the whole netmap, or one peer of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.exports import netmap_json
from netmap_actors.subscriber import NoSuchNode, Subscriber
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import ASK_STATUS, CommandFailed, require_running
from netmap_supervisor.cli.parameters.option_flags import runtime_dir_flag
from netmap_supervisor.cli.parameters.peer_names import complete_peer
from netmap_supervisor.view.sentences import address, marks, online, peer_label, trust
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, fold, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.subscriber import Netmap, Peer, Snapshot

__all__ = ["command"]

_COLUMNS = (
    Column("NAME", rank=6, least=12, stays=True, both_ends=True),
    Column("ADDRESS", rank=5, least=15, stays=True),
    Column("ONLINE"),
    Column("TAGS", rank=1, least=10),
    Column("ROUTES", rank=2, least=8),
    Column("OS", rank=3, least=5),
    Column("STABLE ID", rank=4, least=12, both_ends=True),
)
_MAX_LIST = 1000
"""Characters of tags or routes in a line: more than an honest node has."""
_ANSWER_LIMIT = 15.0
"""Seconds for the whole netmap to arrive: 50 000 peers take one."""


@click.command("netmap")
@click.argument("peer", required=False, shell_complete=complete_peer)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the netmap, or the peer.")
@runtime_dir_flag
def command(peer: str | None, as_json: bool, runtime_dir: Path) -> None:
    """Show the peers of this node, or everything about one PEER.

    PEER is a full name, the short name of a node of this tailnet, an address, a stable id or a node key.

    A netmap that is not fresh is shown all the same, with a warning on standard error.

    \b
    Examples:
      netmap-supervisor netmap
      netmap-supervisor netmap web-1
      netmap-supervisor netmap --json | jq -r '.peers[] | select(.online) | .name'
    """
    require_running(runtime_dir)
    with Subscriber(runtime_dir) as subscriber:
        if not subscriber.wait_for_answer(_ANSWER_LIMIT):
            raise CommandFailed(
                f"cannot read the netmap: the publisher has not answered within {_ANSWER_LIMIT:g} s"
            )
        snapshot = subscriber.store.snapshot()
    if snapshot.state != Trust.FRESH:
        missing = "" if snapshot.state != Trust.NONE else f"; {ASK_STATUS}"
        click.echo(f"warning: {trust(snapshot.state, snapshot.age_s)}{missing}", err=True)
    if peer is not None:
        _show(_find(snapshot.netmap, peer), as_json=as_json)
    elif as_json:
        click.echo(netmap_json.text(netmap_json.json_object(snapshot)), nl=False)
    else:
        click.echo("\n".join(_table(snapshot)))


def _find(netmap: Netmap, word: str) -> Peer:
    try:
        return netmap.resolve(word)
    except NoSuchNode as error:
        raise CommandFailed(f"{error}; `netmap-supervisor netmap` lists all") from None


def _show(peer: Peer, *, as_json: bool) -> None:
    if as_json:
        click.echo(shown_json.encode(peer.to_json() | {"node": peer.json}))
        return
    for name, value in peer.to_json().items():
        if name == "online":
            value = online(value)  # noqa: PLW2901
        text = (
            ", ".join(map(str, value)) if isinstance(value, list | dict) else "" if value is None else value
        )
        for line in fold(f"{name:<14} ", escape(str(text), 2000), output_width()):
            click.echo(line.rstrip())


def _table(snapshot: Snapshot) -> Iterator[str]:
    netmap = snapshot.netmap
    rows: list[tuple[str, ...]] = []
    own = netmap.self_node
    if own is not None:
        rows.append(_row(own.held(), "this node"))
    peers = (peer.held() for peer in netmap.peers.values())
    rows += sorted(_row(peer, online(peer.online)) for peer in peers)
    yield from table_lines(_COLUMNS, rows, output_width())
    if not netmap.peers and snapshot.state == Trust.FRESH:
        yield ""
        yield "No peers: a node sees those that the tailnet's policy connects it with (README: What a node may see)."


def _row(peer: Peer, state: str) -> tuple[str, ...]:
    return (
        peer_label(peer),
        address(peer),
        state,
        escape(" ".join((*marks(peer), *peer.tags)), _MAX_LIST),
        escape(" ".join(peer.routes), _MAX_LIST),
        escape(peer.os, 20),
        escape(peer.stable_id, 60),
    )
