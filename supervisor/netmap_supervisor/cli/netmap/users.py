"""The users and the nodes of each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netmap_actors.errors import escape
from netmap_actors.subscriber import UserProfile
from netmap_supervisor.view.sentences import peer_label
from netmap_supervisor.view.text_layout import Column, table_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["user_lines", "users_json"]

_COLUMNS = (
    Column("USER", rank=4, least=12, stays=True, both_ends=True),
    Column("NAME", rank=2, least=8),
    Column("NODES", right=True),
    Column("ONLINE", right=True),
    Column("THEIR NAMES", rank=1, least=12, stays=True),
)
_MAX_LIST = 1000


def user_lines(netmap: Netmap, width: int | None) -> Iterator[str]:
    """`width`: cells of a line, None for any."""
    rows = [
        (
            escape(user.login_name) or f"(user {user.id})",
            escape(user.display_name),
            str(len(nodes)),
            str(sum(1 for node in nodes if node.online)),
            escape(" ".join(map(peer_label, nodes)), _MAX_LIST),
        )
        for user, nodes in _owners(netmap)
    ]
    yield from table_lines(_COLUMNS, rows, width)


def users_json(netmap: Netmap) -> list[dict[str, Any]]:
    """The users as plain values, each with the stable ids of its nodes in `nodes`."""
    return [user.to_json() | {"nodes": [node.stable_id for node in nodes]} for user, nodes in _owners(netmap)]


def _owners(netmap: Netmap) -> list[tuple[UserProfile, list[Peer]]]:
    """By login name; our own node is there, too. A user without a profile has an id and nothing else."""
    nodes: dict[int, list[Peer]] = {id_: [] for id_ in netmap.user_profiles}
    own = netmap.self_node
    for node in (*netmap.peers.values(), *(() if own is None else (own,))):
        held = node.held()
        nodes.setdefault(held.user_id, []).append(held)
    found = [
        (netmap.user_profiles.get(id_) or UserProfile(id=id_), sorted(owned, key=peer_label))
        for id_, owned in nodes.items()
    ]
    return sorted(found, key=lambda one: (one[0].login_name == "", one[0].login_name.casefold(), one[0].id))
