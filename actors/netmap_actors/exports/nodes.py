"""Which nodes are written, in which order, and under which addresses; the formats share it."""

from __future__ import annotations

import collections
import ipaddress
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from netmap_actors.exports.host_names import host_name, is_reserved
from netmap_actors.exports.remarks import EXPIRED, NO_ADDRESS, NO_NAME, TAKEN, UNREADABLE
from netmap_actors.subscriber.naming import folded_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import TypeAlias, Unpack

    from netmap_actors.subscriber import Netmap, Peer

    _Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

__all__ = [
    "Listed",
    "NodeChoice",
    "all_nodes",
    "chosen_nodes",
    "is_chosen",
    "name_bearers",
    "narrows",
    "node_addresses",
    "own_short_name",
    "shown_tags",
    "tag_names",
    "unfit",
    "unicast",
]


class NodeChoice(TypedDict, total=False):
    """Which nodes are written; without any of these all but our own."""

    tags: Collection[str]
    """Only nodes with one of them, which may be written without "tag:"; empty: whatever tags they have."""
    online_only: bool
    """Only those the control server says to be online."""
    include_self: bool
    """Our own node, too, which never answers."""


class Listed(NamedTuple):
    """One node, and what depends on the other nodes."""

    node: Peer
    own: bool
    """It is the node this netmap is of. It cannot be reached: it only listens to the control server."""
    short_name: str
    """In small ASCII letters; empty where it has none, or shares it with another node of the tailnet."""


def all_nodes(netmap: Netmap) -> list[Listed]:
    """Every node, our own included, by name and then by id: the order in which they came does not show."""
    own = netmap.self_node
    found = [(node, False) for node in netmap.peers.values()]
    found += [] if own is None else [(own, True)]
    keyed: list[tuple[str, str, str, Peer, bool]] = []
    for node, is_own in found:
        held = node.held()
        # As names are compared everywhere: a Kelvin sign made small is a "k", and would take "kube" from its owner.
        short = folded_name(held.short_name or "") if held.decoded else ""
        keyed.append((held.name.lower(), held.stable_id, short, node, is_own))
    keyed.sort(key=lambda one: one[:2])
    bearers = collections.Counter(short for _, _, short, _, _ in keyed)
    return [Listed(node, is_own, short if bearers[short] == 1 else "") for _, _, short, node, is_own in keyed]


def chosen_nodes(
    listed: Iterable[Listed],
    left_out: collections.Counter[str] | None = None,
    **choice: Unpack[NodeChoice],
) -> Iterator[Listed]:
    """Those that can be read and are wanted, each decoded, made one by one. `listed`: from `all_nodes`.

    `left_out` counts those that cannot be read.
    """
    wanted, online_only = shown_tags(choice.get("tags", ())), choice.get("online_only", False)
    for one in listed:
        if one.own and not choice.get("include_self"):
            continue
        node = one.node.held()
        if not node.decoded:
            if left_out is not None:
                left_out[UNREADABLE] += 1
        elif is_chosen(node.tags, node.online, wanted=wanted, online_only=online_only):
            yield Listed(node, one.own, one.short_name)


def narrows(choice: NodeChoice) -> bool:
    """Whether it leaves peers out."""
    return bool(choice.get("tags") or choice.get("online_only"))


def unfit(node: Peer, name: str, addresses: list[str], bearers: Mapping[str | None, int]) -> str | None:
    """Why its addresses are not written by this host name, empty for none; None: only its format can say."""
    if node.expired:
        return EXPIRED
    if not name:
        return NO_NAME
    if not addresses:
        return NO_ADDRESS
    return TAKEN if bearers[name] > 1 else None


def name_bearers(listed: Iterable[Listed]) -> collections.Counter[str | None]:
    """How many of these nodes have each host name; None counts those without."""
    return collections.Counter(host_name(one.node.name) for one in listed if one.node.decoded)


def own_short_name(one: Listed) -> str:
    """The short name of a node of our own tailnet where programs may use it; empty where it is none, or reserved."""
    label = one.short_name
    return label if host_name(label) == label and not is_reserved(label) else ""


def tag_names(node: Peer) -> list[str]:
    """Its tags without "tag:", each once; what does not begin with that is none."""
    return [tag.removeprefix("tag:") for tag in dict.fromkeys(node.tags) if tag.startswith("tag:")]


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

    Left out is what is no address, a network (only /32 and /128 are hosts), and what cannot be a node's.
    """
    found: set[_Address] = set()
    for prefix in node.addresses:
        text, slash, bits = prefix.partition("/")
        address = unicast(text)
        if address is not None and (not slash or bits == str(address.max_prefixlen)):
            found.add(address)
    return [str(address) for address in sorted(found, key=lambda one: (one.version, int(one)))]


def unicast(text: str) -> _Address | None:
    """The address, if one machine can have it and it is not always this one, nor another on each link."""
    # Behind a "%" stands a zone, which may hold anything, a line break too.
    if "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address if _is_unicast(address) else None


def _is_unicast(address: _Address) -> bool:
    """By the first byte or two, since the properties of ipaddress look through a list of networks each, which takes
    longer than all the rest.

    A loopback address under a foreign name would lead to this machine, a link-local one to whatever
    answers here: a cloud's machines ask for their credentials there.
    """
    if address.version == 4:
        first = int(address) >> 24
        return 0 < first < 224 and first != 127 and int(address) >> 16 != 0xA9FE
    first = int(address) >> 120
    # Global unicast is 2000::/3 (RFC 4291), unique local fc00::/7 (RFC 4193).
    return first >> 5 == 1 or first >> 1 == 0x7E
