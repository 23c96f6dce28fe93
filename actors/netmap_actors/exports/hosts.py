"""The netmap as a hosts file (hosts(5)), for resolvers and other readers.

Names are chosen by members of the tailnet, by other tailnets that share nodes and by the control server. So a full
name is written only below the tailnet's domain, a short one only for a node of the tailnet and only if nothing else
goes by it; and a line break in a name would be a line of its own. What is left out is counted.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from netmap_actors.exports.dns_records import address_records
from netmap_actors.exports.host_names import host_name, is_below
from netmap_actors.exports.nodes import all_nodes, chosen_nodes, name_bearers, node_addresses, own_short_name
from netmap_actors.exports.remarks import (
    EXPIRED,
    NO_ADDRESS,
    NO_NAME,
    OUTSIDE,
    RECORDED,
    RESERVED,
    TAKEN,
    THIS_MACHINE,
    UNASKED,
    counted,
    heading,
)
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Collection

    from netmap_actors.exports.nodes import Listed
    from netmap_actors.subscriber import Netmap

__all__ = ["text"]


def text(
    netmap: Netmap,
    *,
    state: str,
    tags: Collection[str] = (),
    online_only: bool = False,
    include_self: bool = False,
    suffixes: Collection[str] = (),
    machine: str = "",
) -> str:
    """The whole file. The same netmap gives the same text.

    `state`: none, fresh or stale. `tags`: only nodes with one of them. `online_only`: only those the control server
    says to be online. Whether a name can mean one node only is asked of the whole netmap all the same.
    `include_self`: our own node, too. `suffixes`: domains below which full names are written besides the tailnet's.
    `machine`: the host name of the machine that reads the file; no node gets it.
    """
    names = _Names(netmap, suffixes, machine)
    records, left_out_records = address_records(netmap.dns, names.why_no_record)
    narrowed = bool(tags) or online_only
    left_out: collections.Counter[str] = collections.Counter()
    listed = [] if state == Trust.NONE else all_nodes(netmap)
    nodes = chosen_nodes(
        listed, tags=tags, online_only=online_only, include_self=include_self, left_out=left_out
    )
    bearers = name_bearers(listed)
    lines: list[str] = []
    said: set[tuple[str, str]] = set()
    written = 0
    for one in nodes:
        node = one.node
        name, addresses = host_name(node.name), node_addresses(node)
        given = [] if name is None else names.of_node(one, name)
        if node.expired:
            left_out[EXPIRED] += 1
        elif name is None:
            left_out[NO_NAME] += 1
        elif not addresses:
            left_out[NO_ADDRESS] += 1
        elif bearers[name] > 1:
            left_out[TAKEN] += 1
        elif not given:
            left_out[names.why_not(one, name)] += 1
        elif not records.get(name, set()).issubset(addresses):
            left_out[RECORDED] += 1
        else:
            written += 1
            lines += [f"{address}\t{' '.join(given)}\n" for address in addresses]
            said |= {(name, address) for address in addresses}
    pairs = [(name, address) for name in sorted(records) for address in sorted(records[name])]
    if state == Trust.NONE:
        pairs, left_out_records = [], collections.Counter()
    elif narrowed and pairs:
        left_out_records[UNASKED] += len(pairs)
        pairs = []
    # After the nodes: a reverse lookup takes the first name.
    lines += [f"{address}\t{name}\n" for name, address in pairs if (name, address) not in said]
    head = [
        *heading(netmap.domain, state),
        f"Nodes: {written}{' of those asked for' if narrowed else ''}. DNS records: {len(pairs)}.",
        *counted("Left out", left_out),
        *counted("Left out of the DNS records", left_out_records),
    ]
    return "".join(f"# {line}\n" for line in head) + "".join(lines)


class _Names:
    """Which names may be given."""

    def __init__(self, netmap: Netmap, suffixes: Collection[str], machine: str) -> None:
        own = netmap.own_suffix
        self._domains = frozenset(word.rstrip(".").lower() for word in (own or "", *suffixes)) - {""}
        mine = machine.rstrip(".").lower()
        self._mine = {mine, mine.partition(".")[0]}

    def of_node(self, one: Listed, name: str) -> list[str]:
        """The names of a node whose valid full name this is: the full one, the short one, both or none."""
        full = [name] if self.is_ours(name) else []
        label = own_short_name(one)
        short = [label] if label and label not in self._mine else []
        return list(dict.fromkeys([*full, *short]))

    def is_ours(self, name: str) -> bool:
        """Whether this valid full name lies where names are given, and is not this machine's."""
        return is_below(name, self._domains) and name not in self._mine

    def why_not(self, one: Listed, name: str) -> str:
        """Why a node whose full name this is gets none."""
        if name in self._mine:
            return THIS_MACHINE
        return RESERVED if one.short_name else OUTSIDE

    def why_no_record(self, name: str) -> str | None:
        """Why a record of this name is left out, if it is."""
        if self.is_ours(name):
            return None
        return THIS_MACHINE if name in self._mine else OUTSIDE
