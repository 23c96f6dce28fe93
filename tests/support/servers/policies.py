"""Policies, nodes under them, and what a client sees."""

from __future__ import annotations

import json
from typing import Any

from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.policy import Policy, parse_policy
from netmap_actors.dev_control.tailnet.tailnet import Tailnet
from tests.support.netmaps.netmap_fold import Fold

__all__ = ["SOURCES", "WALL", "WORDS", "add", "filters", "first", "policy", "rule"]

WALL = 1_800_000_000.0
WORDS: dict[str, Any] = {
    "groups": {"group:ops": ["alice@", "bob@"], "group:empty": []},
    "hosts": {"office": "10.1.0.0/16", "one": "100.64.0.1"},
    "tagOwners": {
        "tag:db": ["group:ops"],
        "tag:web": ["alice@"],
        "tag:free": ["autogroup:member"],
        "tag:none": [],
    },
}
SOURCES = (
    "*",
    "alice@",
    "carol@",
    "user:*@example.com",
    "group:ops",
    "group:empty",
    "tag:db",
    "tag:web",
    "autogroup:member",
    "autogroup:tagged",
    "autogroup:admin",
    "office",
    "one",
    "100.64.0.2",
    "10.2.0.0/15",
    "fd7a:115c:a1e0::/64",
)


def policy(*acls: dict[str, Any], **fields: Any) -> Policy:
    """Rules as the words of a policy have them."""
    return parse_policy({**WORDS, "acls": list(acls), **fields})


def rule(src: list[str], dst: list[str], **fields: Any) -> dict[str, Any]:
    """One of `acls`."""
    return {"action": "accept", "src": src, "dst": dst, **fields}


def add(tailnet: Tailnet, number: int, user: str = "alice", tags: tuple[str, ...] = (), **fields: Any) -> int:
    """A registered node; its id."""
    key = f"{number:064x}"
    entry = tailnet.add_node(
        f"n{number}",
        key=f"nodekey:{key}",
        machine="mkey:m",
        wall=WALL,
        user=user,
        tags=tags,
        real=True,
        **fields,
    )
    return entry.node.id


def first(tailnet: Tailnet, node_id: int) -> Fold:
    """What a client of this node holds after its first map."""
    fold = Fold()
    fold.apply(json.loads(ClientNetmap(tailnet, node_id).full(WALL)))
    return fold


def filters(tailnet: Tailnet, node_id: int) -> Any:
    """Its packet filter."""
    return first(tailnet, node_id).aspects["PacketFilters"]["base"]
