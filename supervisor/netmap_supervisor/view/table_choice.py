"""Which peers a table shows, and in which order. Pure: what the options of `watch` and `netmap` mean."""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from netmap_actors.subscriber import PeerRemoved, PeerUpserted, Snapshot
from netmap_supervisor.view.sentences import address, marks, peer_label

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.subscriber import Event, Peer

__all__ = ["SORT_COLUMNS", "ChosenEvents", "TableChoice", "order", "sort_key"]

_T = TypeVar("_T")
_ONLINE_RANKS = {True: 0, False: 1, None: 2}


def _last_seen(peer: Peer) -> float | None:
    """UNIX seconds; a peer that is online is seen now, and comes after every moment."""
    seen = peer.last_seen_at
    return math.inf if peer.online else None if seen is None else seen.timestamp()


def _address(peer: Peer) -> tuple[int, int] | None:
    try:
        found = ipaddress.ip_address(address(peer))
    except ValueError:
        return None
    return found.version, int(found)


def _words(*texts: str) -> str | None:
    return " ".join(texts).casefold() or None


_KEYS: dict[str, Callable[[Peer], Any]] = {
    "name": lambda peer: (peer_label(peer).casefold(), peer.stable_id),
    "address": _address,
    "online": lambda peer: _ONLINE_RANKS[peer.online],
    "last-seen": _last_seen,
    "tags": lambda peer: _words(*peer.tags),
    "routes": lambda peer: _words(*peer.routes),
    "os": lambda peer: _words(peer.os),
    "user": lambda peer: _words(peer.user or ""),
    "id": lambda peer: peer.stable_id,
}
"""What each column is sorted by; None where a peer has no value."""
SORT_COLUMNS = tuple(_KEYS)


class TableChoice(msgspec.Struct, frozen=True):
    """What the options say; without any it is every peer, by name."""

    sort: str = ""
    """One of SORT_COLUMNS; "": nothing was said."""
    descending: bool = False
    tags: frozenset[str] = frozenset()
    """Whole ones ("tag:web"): only peers with one of them. Empty: all peers."""
    online: bool | None = None
    """Only peers the control server says to be so. None: all, those of unknown state included."""
    match: str = ""
    """A text that is in what a row shows, or a pattern (`*`, `?`, `[`) that is all of a name, address, tag or other
    word of it; in large or small letters."""

    @property
    def filters(self) -> bool:
        """Whether it leaves any peer out."""
        return bool(self.tags or self.match or self.online is not None)

    def passes(self, peer: Peer) -> bool:
        """Whether this peer is shown."""
        if self.online is not None and peer.online is not self.online:
            return False
        if self.tags and not self.tags.intersection(peer.tags):
            return False
        return not self.match or any(map(_matcher(self.match), _shown(peer)))


def _shown(peer: Peer) -> tuple[str, ...]:
    """The words a row may show."""
    names = (peer.name, peer.short_name or "", peer.hostname, peer.stable_id, peer.user or "", peer.os)
    return (*names, *peer.ips, *peer.tags, *peer.routes, *marks(peer))


@functools.lru_cache(maxsize=8)
def _matcher(text: str) -> Callable[[str], object]:
    folded = text.casefold()
    if not any(letter in folded for letter in "*?["):
        return lambda word: folded in word.casefold()
    pattern = re.compile(fnmatch.translate(folded))
    return lambda word: pattern.match(word.casefold())


def sort_key(column: str, peer: Peer) -> Any:
    """What `order` compares; None where the peer has no value."""
    return _KEYS[column or SORT_COLUMNS[0]](peer)


def order(rows: Iterable[_T], key: Callable[[_T], Any], *, descending: bool) -> list[_T]:
    """Sorted by `key(row)`; rows without a value, whose key is None, are the last ones in both directions."""
    keyed = [(key(row), row) for row in rows]
    having = sorted((one for one in keyed if one[0] is not None), key=lambda one: one[0], reverse=descending)
    return [row for _, row in having] + [row for found, row in keyed if found is None]


class ChosenEvents:
    """Events of the peers that pass. Needs every event, in order, from a Snapshot on."""

    def __init__(self, choice: TableChoice) -> None:
        self._choice = choice
        self._shown: set[str] = set()

    def passes(self, event: Event) -> bool:
        """Whether it is about a peer that passes, or did before it, or is the Snapshot."""
        if not self._choice.filters:
            return True
        match event:
            case Snapshot():
                peers = event.netmap.peers.values()
                self._shown = {one.stable_id for one in map(_held, peers) if self._choice.passes(one)}
                return True
            case PeerUpserted(peer=peer):
                return self._moved(_held(peer))
            case PeerRemoved(peer=peer):
                known = peer.stable_id in self._shown
                self._shown.discard(peer.stable_id)
                return known
        return False

    def _moved(self, peer: Peer) -> bool:
        known = peer.stable_id in self._shown
        if self._choice.passes(peer):
            self._shown.add(peer.stable_id)
            return True
        self._shown.discard(peer.stable_id)
        return known

    def to_json(self, event: Event) -> dict[str, Any]:
        """The event as plain values; a Snapshot has the chosen peers only."""
        values = event.to_json()
        if isinstance(event, Snapshot) and self._choice.filters:
            netmap = values["netmap"]
            netmap["peers"] = [peer for peer in netmap["peers"] if peer["stable_id"] in self._shown]
        return values


def _held(peer: Peer) -> Peer:
    return peer.held()
