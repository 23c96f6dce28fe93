"""Which nodes are written, in which order, and under which addresses; the formats share it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["all_nodes", "is_chosen", "node_addresses", "shown_tags"]


def all_nodes(netmap: Netmap) -> list[Peer]:
    """Every node, our own included, by name and then by id: the order in which they came does not show."""
    own = netmap.self_node
    nodes = [*([own] if own is not None else []), *netmap.peers.values()]
    return sorted(nodes, key=lambda node: (node.name.lower(), node.stable_id))


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

    Left out is what is no address, and what cannot be a node's: a loopback address under a name of somebody else's
    choice would lead to this machine.
    """
    found: set[ipaddress.IPv4Address | ipaddress.IPv6Address] = set()
    for text in node.ips:
        # Behind a "%" stands a zone, which may hold anything, a line break too.
        if "%" in text:
            continue
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_multicast or address.is_reserved):
            found.add(address)
    return [str(address) for address in sorted(found, key=lambda one: (one.version, int(one)))]
