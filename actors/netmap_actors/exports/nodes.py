"""Which nodes are written, in which order, and under which addresses; the formats share it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import TypeAlias

    from netmap_actors.subscriber import Netmap, Peer

    _Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

__all__ = ["all_nodes", "is_chosen", "node_addresses", "shown_tags"]


def all_nodes(netmap: Netmap) -> list[Peer]:
    """Every node, our own included, by name and then by id: the order in which they came does not show."""
    own = netmap.self_node
    nodes = [*([own] if own is not None else []), *netmap.peers.values()]
    return sorted(nodes, key=_by_name)


def _by_name(node: Peer) -> tuple[str, str]:
    held = node.held()
    return held.name.lower(), held.stable_id


def is_chosen(
    tags: Collection[str], online: bool | None, *, wanted: Collection[str], online_only: bool
) -> bool:
    """Whether a node with these tags is wanted: it has one of the wanted tags, if there are any.

    `wanted` has to come from `shown_tags`. `online_only`: the control server says so; one of which it says nothing is
    not online.
    """
    if online_only and online is not True:
        return False
    return not wanted or not set(wanted).isdisjoint(tags)


def shown_tags(words: Collection[str]) -> frozenset[str]:
    """Tags as the control server writes them: with "tag:", which need not be typed."""
    return frozenset(word if word.startswith("tag:") else f"tag:{word}" for word in words)


def node_addresses(node: Peer) -> list[str]:
    """Its addresses in their one way of writing, each once: IPv4 first, then by number.

    Left out is what is no address, and what cannot be a node's.
    """
    found: set[_Address] = set()
    for text in node.ips:
        # Behind a "%" stands a zone, which may hold anything, a line break too.
        if "%" in text:
            continue
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if _is_unicast(address):
            found.add(address)
    return [str(address) for address in sorted(found, key=lambda one: (one.version, int(one)))]


def _is_unicast(address: _Address) -> bool:
    """One machine can have it, and it is not always this one.

    A loopback address under a name of somebody else's choice would lead to this machine. By the first byte, since the
    properties of ipaddress look through a list of networks each, which takes longer than all the rest.
    """
    if address.version == 4:
        first = int(address) >> 24
        return 0 < first < 224 and first != 127
    first = int(address) >> 120
    # Global unicast is 2000::/3 (RFC 4291), unique local fc00::/7 (RFC 4193).
    return first >> 5 == 1 or first >> 1 == 0x7E
