"""The changes a MapResponse makes to peers: Peers, or the five kinds of delta in tailscale's order.

PeersChanged replaces a node whole; it is never turned into patches. Order: tailscale: control/controlclient/map.go,
updatePeersStateFromResponse. Not here: the peers (`peer_table`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netmap_actors.netmap.model import Unreadable
from netmap_actors.netmap.node_json import patch_of, with_members
from netmap_actors.netmap.peer_table import Wanted, likely_node_id
from netmap_actors.rfc3339 import stamp
from netmap_actors.slices import each
from netmap_actors.tailcfg.go_json import decode, encode, is_set
from netmap_actors.tailcfg.peer_change import PeerChangeHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import msgspec

    from netmap_actors.netmap.own_node import OwnNode
    from netmap_actors.netmap.peer_table import PeerTable, Record
    from netmap_actors.tailcfg.map_response import MapResponse

__all__ = ["PeerDeltas"]

_NONE_READY: Final[Mapping[int, Record]] = {}


class PeerDeltas:
    """Collects the changes of one message. `first`: it begins a session, from nothing. `own`: our identity in it.

    `ready`: peers that were read already, by NodeID, as the table reads them with this `own`.
    """

    def __init__(
        self,
        table: PeerTable,
        *,
        first: bool,
        own: OwnNode | None = None,
        ready: Mapping[int, Record] = _NONE_READY,
    ) -> None:
        self._table = table
        self._ready = ready
        self._first = first
        self._own = own
        self.wanted: dict[int, Wanted | Record | None] = {}
        """By key; None: to be removed."""
        self.only: set[int] | None = set() if first else None
        """Of an authoritative message, the keys of peers it names unchanged; those it does not name are removed."""
        self.ignored = 0
        """Deltas for unknown ids."""
        self.bad_patches = 0
        """Patches that could not be read."""
        self.repeated = 0
        """Nodes of an authoritative message replaced by another with the same NodeID."""

    def collect(self, response: MapResponse, came: float) -> Iterator[None]:
        """Collect the message, in slices. `came`: when it came, UNIX seconds, for PeerSeenChange."""
        if response.peers:
            kept: set[int] = set()
            self.only = kept
            yield from each(response.peers, lambda data: self._whole(data, kept))
            return
        if response.peers_removed:
            yield from each(response.peers_removed, lambda node_id: self._want(node_id, None))
        if response.peers_changed:
            yield from each(response.peers_changed, self._replace)
        if response.peer_seen_change:
            seen = encode(stamp(came, "auto"))
            yield from each(
                response.peer_seen_change.items(),
                lambda change: self._change(change[0], {"LastSeen": seen if change[1] else None}),
            )
        if response.online_change:
            yield from each(
                response.online_change.items(),
                lambda change: self._change(change[0], {"Online": b"true" if change[1] else b"false"}),
            )
        if response.peers_changed_patch:
            yield from each(response.peers_changed_patch, self._patch)

    def peers_after(self) -> int:
        """The number of peers afterwards, shown or not."""
        before = self._table.keys() if self.only is None else self.only
        change = sum(
            (want is not None) - (key in before)
            for key, want in self.wanted.items()
            if (want is None) == (key in before)
        )
        return len(before) + change

    def _whole(self, data: msgspec.Raw, kept: set[int]) -> None:
        json = bytes(data)
        node_id = likely_node_id(json)
        record = self._table.get(node_id)
        if record is not None and record.holds(json):
            self.repeated += self.wanted.pop(record.key, None) is not None
            kept.add(record.key)
        elif json != b"null":
            # Read now and not again when it is put into the table: what is kept of it is smaller than both.
            record = self._ready.get(node_id)
            if record is None or not record.holds(json):
                record = self._table.read(json, self._own)
            before = self.wanted.get(record.key)
            self.repeated += record.key in kept if before is None else bytes(before.json) != json
            self.wanted[record.key] = record

    def _replace(self, data: msgspec.Raw) -> None:
        if is_set(data):
            self.wanted[self._table.key_of(data)] = Wanted(data)

    def _current(self, node_id: int) -> Wanted | Record | None:
        if node_id in self.wanted:
            return self.wanted[node_id]
        return None if self._first else self._table.get(node_id)

    def _want(self, node_id: int, want: Wanted | None) -> None:
        if self._current(node_id) is None:
            self.ignored += 1
        else:
            self.wanted[node_id] = want

    def _change(self, node_id: int, changed: dict[str, bytes | None]) -> None:
        current = self._current(node_id)
        if current is None:
            self.ignored += 1
            return
        try:
            json = with_members(bytes(current.json), changed)
        except Unreadable:  # in quarantine, and not even an object
            self.ignored += 1
            return
        self.wanted[node_id] = Wanted(json, current.spoiled)

    def _patch(self, data: msgspec.Raw) -> None:
        if not is_set(data):
            return
        try:
            node_id, changed = patch_of(data)
        except Unreadable:
            self.bad_patches += 1
            node_id = decode(PeerChangeHead, data).node_id
            current = self._current(node_id)
            if current is not None:
                self.wanted[node_id] = Wanted(current.json, spoiled=True)
            return
        self._change(node_id, changed)
