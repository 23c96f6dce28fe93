"""What a client believes about its peers, as a peers command prints it, and how that differs from what it should."""

from __future__ import annotations

import collections
import functools
import ipaddress
import json
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.errors import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "BelievedPeer",
    "UnreadablePeers",
    "difference",
    "parse_peers",
    "peer_named",
    "short_name",
    "wrong_addresses",
    "wrong_online",
]

_SHOWN = 60


class UnreadablePeers(ValueError):
    """What a peers command printed is no list of peers; the text says where not."""


class BelievedPeer(msgspec.Struct, frozen=True):
    """One node in a client's list."""

    name: str
    """The first label of its name, in lower case."""
    addresses: frozenset[str]
    """Without the length of a prefix."""
    online: bool | None = None
    """None: the client does not say."""


def short_name(name: str) -> str:
    """`Birch.example.ts.net.` is known as `birch`."""
    return name.strip().lower().partition(".")[0]


def parse_peers(text: str) -> tuple[BelievedPeer, ...]:
    """A JSON array of objects, the same as `peers` of an object, or one object a line. Raises UnreadablePeers.

    `name` is needed; `addresses` (texts) and `online` (true, false or null) may be left out; others are ignored.
    """
    try:
        try:
            found = json.loads(text)
        except ValueError:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise UnreadablePeers(f"no JSON: {error}: {escape(text.strip(), _SHOWN)}") from None
    if isinstance(found, dict):
        found = found.get("peers", [found])
    if not isinstance(found, list):
        raise UnreadablePeers(f"{escape(text.strip(), _SHOWN)}, which is no list of peers")
    return tuple(_peer(one) for one in found)


def _peer(given: Any) -> BelievedPeer:
    if not isinstance(given, dict):
        raise UnreadablePeers(f"{escape(str(given), _SHOWN)} is no object with a name")
    name, addresses, online = given.get("name"), given.get("addresses") or [], given.get("online")
    if not isinstance(name, str) or not short_name(name):
        raise UnreadablePeers(f"{escape(str(given), _SHOWN)} has no name")
    if not (online is None or isinstance(online, bool)):
        raise UnreadablePeers(f"{escape(name, _SHOWN)}: online is neither true, false nor null")
    if not isinstance(addresses, list) or not all(isinstance(one, str) for one in addresses):
        raise UnreadablePeers(f"{escape(name, _SHOWN)}: addresses is no list of texts")
    try:
        bare = frozenset(map(_bare, addresses))
    except ValueError as error:
        raise UnreadablePeers(f"{escape(name, _SHOWN)}: {escape(str(error), _SHOWN)}") from None
    return BelievedPeer(short_name(name), bare, online)


@functools.lru_cache(1 << 15)
def _bare(address: str) -> str:
    """The address as it is compared. A client says the same ones each time it is asked. Raises ValueError."""
    return str(ipaddress.ip_interface(address).ip)


def peer_named(peers: Iterable[BelievedPeer], name: str) -> BelievedPeer | None:
    """The one of this name; None: there is none."""
    return next((one for one in peers if one.name == short_name(name)), None)


def difference(
    right: Sequence[BelievedPeer], believed: Sequence[BelievedPeer], *, online: bool = False
) -> str:
    """The first difference in words; empty: there is none. `online`: who is online has to agree, too.

    A client that has no IPv6 lists no such addresses: it has to have some of a node's, and no other.
    """
    held = {one.name: one for one in believed}
    known = {one.name for one in right}
    for peer in right:
        if peer.name not in held:
            return f"{peer.name} is not listed"
    for name in held:
        if name not in known:
            return f"{escape(name, _SHOWN)} is listed, which is no node"
    if len(held) < len(believed):
        name, times = collections.Counter(one.name for one in believed).most_common(1)[0]
        return f"{name} is listed {times} times"
    for peer in right:
        words = wrong_addresses(held[peer.name], peer.addresses)
        if not words and online:
            words = wrong_online(held[peer.name], expected=peer.online)
        if words:
            return words
    return ""


def wrong_addresses(peer: BelievedPeer, right: frozenset[str]) -> str:
    """In words; empty: its addresses are among the right ones."""
    if peer.addresses and peer.addresses <= right:
        return ""
    return f"{peer.name} has {_listed(peer.addresses)}, not {_listed(right)}"


def wrong_online(peer: BelievedPeer, *, expected: bool | None) -> str:
    """In words; empty: it is right, or not known."""
    if expected is None or peer.online in (None, expected):
        return ""
    return f"{peer.name} is shown {'online' if peer.online else 'offline'}"


def _listed(addresses: frozenset[str]) -> str:
    return " ".join(sorted(addresses)) or "no address"
