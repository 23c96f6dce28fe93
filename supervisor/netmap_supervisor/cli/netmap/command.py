"""`netmap`: the whole netmap, one peer of it, or another part: DNS, users, packet filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.exports import netmap_json
from netmap_actors.subscriber import AmbiguousName, NoSuchNode
from netmap_actors.wire.vocabulary import Trust
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.netmap.dns import dns_lines
from netmap_supervisor.cli.netmap.packet_filter import filter_lines
from netmap_supervisor.cli.netmap.users import user_lines, users_json
from netmap_supervisor.cli.parameters.followed_daemon import daemon_flags
from netmap_supervisor.cli.parameters.peer_names import complete_peer
from netmap_supervisor.cli.parameters.table_options import choice_flags
from netmap_supervisor.view.sentences import address, marks, online, peer_label, trust
from netmap_supervisor.view.table_choice import TableChoice, order, sort_key
from netmap_supervisor.view.terminal import output_width
from netmap_supervisor.view.text_layout import Column, fold, table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.subscriber import Netmap, Peer, Snapshot
    from netmap_supervisor.cli.parameters.followed_daemon import FollowedDaemon

__all__ = ["command"]

_PARTS: dict[str, tuple[Callable[[Netmap, int | None], Iterator[str]], str, Callable[[Netmap], Any]]] = {
    "dns": (dns_lines, "dns", lambda netmap: netmap.dns),
    "users": (user_lines, "users", users_json),
    "filter": (filter_lines, "packet_filter", lambda netmap: netmap.packet_filter),
}
"""Words that mean a part of the netmap and no peer: its lines, and its name and value with --json."""
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
_QUICK_LIMIT = 3.0
"""Seconds after which a daemon elsewhere is asked why it does not answer."""


def _complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[CompletionItem]:
    parts = [CompletionItem(word) for word in _PARTS if word.startswith(begun)]
    return parts + complete_peer(ctx, param, begun)


@click.command("netmap")
@click.argument("peer", metavar="[PEER|dns|users|filter]", required=False, shell_complete=_complete)
@click.option(
    "--peer",
    "node",
    metavar="PEER",
    shell_complete=complete_peer,
    help="The same as PEER, also for a node that is called dns, users or filter.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object: the netmap, the peer, or the part.")
@choice_flags
@daemon_flags
def command(
    peer: str | None, node: str | None, as_json: bool, choice: TableChoice, daemon: FollowedDaemon
) -> None:
    """Show the peers of this node, or everything about one PEER; or the settings for DNS, the users with their nodes,
    or the packet filter: who may reach what on this node.

    PEER is a full name, the short name of a node of this tailnet, an address, a stable id or a node key.

    A netmap that is not fresh is shown all the same, with a warning on standard error.

    \b
    Examples:
      netmap-supervisor netmap
      netmap-supervisor netmap web-1
      netmap-supervisor netmap --offline --sort last-seen
      netmap-supervisor netmap dns
      netmap-supervisor netmap --json | jq -r '.peers[] | select(.online) | .name'
    """
    if peer is not None and node is not None:
        raise click.UsageError("PEER and --peer are the same: give one of them")
    part = peer if peer in _PARTS else None
    word = node if node is not None else peer if part is None else None
    if choice != TableChoice() and (part or word is not None):
        raise click.UsageError("these options choose peers of the table: they go with no PEER and no part")
    if as_json and choice.sort:
        raise click.UsageError("--sort is for the table: --json is by name, and jq's sort_by sorts it")
    snapshot = _snapshot(daemon)
    if snapshot.state != Trust.FRESH:
        missing = "" if snapshot.state != Trust.NONE else f"; {daemon.ask_status}"
        click.echo(f"warning: {trust(snapshot.state, snapshot.age_s)}{missing}", err=True)
    if part is not None:
        _show_part(snapshot, part, as_json=as_json)
    elif word is not None:
        _show(_find(snapshot.netmap, word), as_json=as_json)
    elif as_json:
        shown = netmap_json.json_object(snapshot)
        if choice.filters:
            chosen = {one.stable_id for one in snapshot.netmap.peers.values() if choice.passes(one.held())}
            shown["peers"] = [one for one in shown["peers"] if one["stable_id"] in chosen]
        click.echo(netmap_json.text(shown), nl=False)
    else:
        click.echo("\n".join(_table(snapshot, choice)))


def _snapshot(daemon: FollowedDaemon) -> Snapshot:
    daemon.require_running()
    with daemon.subscriber() as subscriber:
        for limit in (_QUICK_LIMIT, _ANSWER_LIMIT - _QUICK_LIMIT):
            if subscriber.wait_for_answer(limit):
                return subscriber.store.snapshot()
            if not daemon.reached(_QUICK_LIMIT):
                break
        why = (
            daemon.why_unheard()
            if daemon.remote
            else f"the publisher has not answered within {_ANSWER_LIMIT:g} s"
        )
        raise CommandFailed(f"cannot read the netmap: {why}")


def _show_part(snapshot: Snapshot, word: str, *, as_json: bool) -> None:
    lines, name, value = _PARTS[word]
    if as_json:
        click.echo(shown_json.encode(snapshot.head_json() | {name: value(snapshot.netmap)}))
        return
    if _is_a_node(snapshot.netmap, word):
        click.echo(f"a node is called {word}, too: `netmap --peer {word}` shows it", err=True)
    if snapshot.state != Trust.NONE:
        click.echo("\n".join(lines(snapshot.netmap, output_width())))


def _is_a_node(netmap: Netmap, word: str) -> bool:
    try:
        return netmap.find(word) is not None
    except AmbiguousName:
        return True


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


def _table(snapshot: Snapshot, choice: TableChoice) -> Iterator[str]:
    netmap = snapshot.netmap
    rows: list[tuple[str, ...]] = []
    own = netmap.self_node
    if own is not None and not choice.filters:
        rows.append(_row(own.held(), "this node"))
    peers = [held for peer in netmap.peers.values() if choice.passes(held := peer.held())]
    ordered = order(peers, lambda peer: sort_key(choice.sort, peer), descending=choice.descending)
    rows += [_row(peer, online(peer.online)) for peer in ordered]
    yield from table_lines(_COLUMNS, rows, output_width())
    if choice.filters and not peers:
        yield f"None of the {len(netmap.peers)} peers is chosen by these options."
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
