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
from netmap_actors.exports.nodes import (
    all_nodes,
    chosen_nodes,
    name_bearers,
    narrows,
    node_addresses,
    own_short_name,
    unfit,
)
from netmap_actors.exports.remarks import (
    OUTSIDE,
    RECORDED,
    RESERVED,
    THIS_MACHINE,
    UNASKED,
    counted,
    heading,
)
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Unpack

    from netmap_actors.exports.nodes import Listed, NodeChoice
    from netmap_actors.subscriber import Netmap

__all__ = ["text"]


def text(
    netmap: Netmap,
    *,
    state: str,
    suffixes: Collection[str] = (),
    machine: str = "",
    **choice: Unpack[NodeChoice],
) -> str:
    """The whole file. The same netmap gives the same text.

    `state`: none, fresh or stale. `suffixes`: domains below which full names are written besides the tailnet's.
    `machine`: the host name of the machine that reads the file; no node gets it. Whether a name can mean one node only
    is asked of the whole netmap, whatever the choice.
    """
    names = _Names(netmap, suffixes, machine)
    records, left_out_records = address_records(netmap.dns, names.why_no_record)
    narrowed = narrows(choice)
    left_out: collections.Counter[str] = collections.Counter()
    listed = [] if state == Trust.NONE else all_nodes(netmap)
    bearers = name_bearers(listed)
    lines: list[str] = []
    said: set[tuple[str, str]] = set()
    written = 0
    for one in chosen_nodes(listed, left_out, **choice):
        node = one.node
        name, addresses = host_name(node.name) or "", node_addresses(node)
        given = names.of_node(one, name)
        if (why := unfit(node, name, addresses, bearers)) is not None:
            left_out[why] += 1
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
