"""The nodes as a hosts file (hosts(5)), for resolvers and whatever else reads one.

A line break in a name would be a line of its own, and a name is whatever the control server says: only valid host names
are written, and each only when it can mean one node.
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING

from netmap_actors.errors import escape
from netmap_actors.exports.nodes import all_nodes, is_chosen, node_addresses, shown_tags

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from netmap_actors.subscriber import Netmap, Peer

__all__ = ["host_name", "text"]

MAX_NAME = 253
"""Characters of a name (RFC 1123 section 2.1; 255 bytes on the wire)."""
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
"""As the last label it makes an address of the whole (RFC 1123 section 2.1; inet_aton(3) reads 0x7f000001)."""
_OF_THIS_MACHINE = frozenset(
    {"localhost", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback", "localdomain", "localdomain6"}
)
"""As the last label: names every program takes for its own machine (RFC 6761 section 6.3, and what systems ship)."""
_TRUST = {
    "fresh": (),
    "stale": (
        "STALE: the control server, or the daemon, has not been heard for too long; this may be out of date.",
    ),
    "none": ("NO NETMAP has come yet, so no node is listed.",),
}


def text(netmap: Netmap, *, state: str, tags: Collection[str] = (), online_only: bool = False) -> str:
    """The whole file. The same netmap gives the same text.

    `state`: none, fresh or stale. `tags`: only nodes with one of them. `online_only`: only those the control server
    says to be online. Whether a name can mean one node only is asked of the whole netmap all the same.
    """
    nodes = [] if state == "none" else all_nodes(netmap)
    readable = [node for node in nodes if node.decoded]
    owners = _Owners(readable)
    wanted = shown_tags(tags)
    left_out: collections.Counter[str] = collections.Counter()
    left_out["unreadable"] = len(nodes) - len(readable)
    lines: list[str] = []
    written = 0
    for viewed in readable:
        node = viewed.held()
        if not is_chosen(node.tags, node.online, wanted=wanted, online_only=online_only):
            continue
        name, addresses = host_name(node.name), node_addresses(node)
        if node.expired:
            left_out["expired"] += 1
        elif name is None:
            left_out["without a valid host name"] += 1
        elif not addresses:
            left_out["without a valid address"] += 1
        elif owners.whole[name] > 1:
            left_out["with a name that another node has, too"] += 1
        else:
            written += 1
            names = " ".join(dict.fromkeys((name, *_short_name(name, owners))))
            lines += [f"{address}\t{names}\n" for address in addresses]
    head = _head(netmap.domain, state, written, left_out, narrowed=bool(wanted) or online_only)
    return "".join(f"# {line}\n" for line in head) + "".join(lines)


def host_name(name: str) -> str | None:
    """This name in small letters, if it is a host name (RFC 952, RFC 1123) and not one of this machine's own."""
    labels = name.split(".")
    if len(name) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    last = labels[-1].lower()
    return None if last in _OF_THIS_MACHINE or _NUMBER.fullmatch(last) else name.lower()


def _short_name(name: str, owners: _Owners) -> Iterator[str]:
    short = host_name(name.partition(".")[0])
    if short is not None and owners.any[short] == 1:
        yield short


class _Owners:
    """How many nodes a name could mean: as a whole, and as a whole or first label.

    Expired ones count: a name that went over to another node by itself would lead where nobody meant to go.
    """

    def __init__(self, nodes: Collection[Peer]) -> None:
        names = [name for node in nodes if (name := host_name(node.name)) is not None]
        self.whole = collections.Counter(names)
        self.any = collections.Counter(word for name in names for word in {name, name.partition(".")[0]})


def _head(
    domain: str, state: str, written: int, left_out: collections.Counter[str], *, narrowed: bool
) -> Iterator[str]:
    name = escape(domain, MAX_NAME) or "(without a name)"
    yield f"Tailnet {name}, by netmap-supervisor; what is changed here is lost."
    yield f"State: {state}."
    yield from _TRUST.get(state, _TRUST["stale"])
    yield f"Nodes: {written}{' of those asked for' if narrowed else ''}."
    told = [f"{count} {why}" for why, count in left_out.items() if count]
    if told:
        yield f"Left out: {', '.join(told)}."
