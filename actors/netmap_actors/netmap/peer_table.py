"""The peers, indexed by NodeID and by stable id, each kept as the encoded piece that snapshots are made of.

Not here: what a MapResponse asks for (`peer_deltas`). A stable id names one node. Where a server gives it to several,
the one with the greatest NodeID is shown, in whatever order they came; the others are kept, and one of them is shown
when that one goes. The cost of a change does not depend on the number of peers.
"""

from __future__ import annotations

import bisect
import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from netmap_actors.netmap.changes import PeerRemoved, PeerUpserted
from netmap_actors.netmap.expiry import Expiries, expiry_of, has_passed, marked_expired
from netmap_actors.netmap.model import (
    Peer,
    Unreadable,
    digest_of,
    identify,
    peer_of,
    quarantined_peer,
    read_node,
)
from netmap_actors.netmap.node_json import same_json
from netmap_actors.netmap.own_node import OwnNode
from netmap_actors.slices import each

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["PeerTable", "Record", "Wanted"]

_BEYOND_INT64: Final = 1 << 64
"""Where the table's own numbers begin, for nodes whose NodeID cannot be read; removals and patches cannot name them."""


_BEGINNING: Final = 24
"""Bytes of a node's JSON that are hardly found by chance; Go begins it with the NodeID."""


class Wanted(NamedTuple):
    """What a peer shall be."""

    json: bytes | msgspec.Raw
    spoiled: bool = False
    """A patch could not be read: how the peer really is is not known until the server sends it whole."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One peer as it is kept. No garbage collection: it holds no references that could form a cycle."""

    key: int
    """NodeID, or a number beyond int64 of our own."""
    stable_id: str
    piece: bytes
    own_json: bytes
    """The peer's JSON when the piece does not contain it, else b""."""
    at: int
    """Where the JSON stands in the piece; it is not kept twice."""
    length: int
    online: bool | None
    spoiled: bool
    user: int
    sharer: int

    @property
    def json(self) -> bytes:
        """The node's JSON, patches folded in."""
        return self.own_json or self.piece[self.at : self.at + self.length]

    def holds(self, json: bytes) -> bool:
        """Whether this is the JSON, byte for byte, and nothing about the peer is in doubt."""
        if self.own_json:
            return self.own_json == json and not self.spoiled
        return self.length == len(json) and self.piece.startswith(json, self.at) and not self.spoiled

    @property
    def node_id(self) -> int:
        """NodeID as published: 0 where it cannot be read."""
        return self.key if self.key < _BEYOND_INT64 else 0

    @property
    def rank(self) -> tuple[bool, int]:
        """Of several nodes with one stable id, the greatest is shown: the newest one whose NodeID can be read."""
        return self.key < _BEYOND_INT64, self.key


class PeerTable:
    """All peers of the netmap. `encode` makes the published piece of a Peer."""

    def __init__(self, encode: Callable[[Peer], bytes]) -> None:
        self._encode = encode
        self._by_key: dict[int, Record] = {}
        self._by_stable_id: dict[str, Record] = {}
        self._namesakes: dict[str, list[tuple[bool, int]]] = {}
        """Ranks of the nodes that are not shown, since another has their stable id, in order; by stable id."""
        self._before: dict[str, Record | None] = {}
        self._expiries = Expiries()
        self._control_now = 0.0
        self._own = OwnNode()
        self._doubles: set[int] = set()
        """Keys of peers that have what is our own node's alone."""
        self.user_references: dict[int, int] = {}
        """Peers that refer to a user, as owner or sharer, by user id."""
        self.users_touched: set[int] = set()
        """Users whose references changed since the caller last emptied this."""
        self.quarantined: dict[str, str] = {}
        """Why, by stable id."""
        self._reasons: dict[int, str] = {}
        """The same by key, with those that are not shown."""
        self.online = 0
        self.unknown = 0
        """Peers of which the server did not say whether they are online."""
        self.suppressed = 0
        """Peers that were sent again and said nothing new."""

    def copy(self) -> PeerTable:
        """Another table with the same peers, for changes that may be dropped in the middle. Takes milliseconds."""
        new = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | set | Expiries):
                setattr(new, name, _unshared(value))
        return new

    def __len__(self) -> int:
        return len(self._by_stable_id)

    @property
    def hidden(self) -> Mapping[str, int]:
        """How many nodes are not shown because another has their stable id, by stable id."""
        return {stable_id: len(ranks) for stable_id, ranks in self._namesakes.items()}

    def get(self, key: int) -> Record | None:
        """The peer with this NodeID."""
        return self._by_key.get(key)

    def named(self, stable_id: str) -> Record | None:
        """The peer with this stable id."""
        return self._by_stable_id.get(stable_id)

    def keys(self) -> AbstractSet[int]:
        """Every key, in the order of arrival."""
        return self._by_key.keys()

    def looks_at(self, own: OwnNode | None) -> int:
        """How many peers `change` would look at for being told who we are."""
        return 0 if own is None or own == self._own else len(self._by_key)

    def expiring(self, control_now: float, most: int) -> int:
        """How many keys `change` would find expired by then, counted up to `most` and a little more."""
        return self._expiries.due(control_now, most)

    def next_expiry(self) -> float | None:
        """When the next key expires, UNIX seconds of the server's clock; None: no key is going to."""
        return self._expiries.following()

    def pieces(self) -> list[bytes]:
        """The encoded pieces of all peers, in a list that later changes leave alone."""
        return [record.piece for record in self._by_stable_id.values()]

    def peer(self, record: Record) -> Peer:
        """The Peer behind a record."""
        peer = self._read(record.key, record.stable_id, record.json, spoiled=record.spoiled)[0]
        return self._as_of_now(peer, expiry_of(peer))

    def key_of(self, data: bytes | msgspec.Raw, *, first: bool = False) -> int:
        """Under which key a node's JSON belongs. `first`: it begins a session, so nobody is known yet."""
        node_id, stable_id = identify(data)
        if node_id is not None:
            return node_id
        known = self._by_stable_id.get(stable_id) if stable_id and not first else None
        return known.key if known else _BEYOND_INT64 + int(digest_of(stable_id.encode() or bytes(data)), 16)

    def change(
        self,
        wanted: Mapping[int, Wanted | None],
        only: AbstractSet[int] | None = None,
        *,
        control_now: float = 0.0,
        own: OwnNode | None = None,
    ) -> Generator[None, None, list[PeerUpserted | PeerRemoved]]:
        """Make the peers what is wanted, by key; None takes one out. In slices; the true differences come back.

        `only`: when given, whoever is neither wanted nor in it goes too. `control_now`: what the server's clock
        shows, UNIX seconds; keys that have expired by it are marked. `own`: who we are, if that may be new.
        """
        self._before.clear()
        self._control_now = control_now
        changed = {*self._expiries.turn(control_now), *(yield from self._become(own))}
        again = [self._by_key[key] for key in changed]
        # All of them first: one may now have the stable id that another of them had.
        yield from each(again, self._take_out)
        yield from each(again, self._look_again)
        gone = [key for key, want in wanted.items() if want is None]
        if only is not None:
            gone += [key for key in self._by_key if key not in wanted and key not in only]
            self.suppressed += len(only)
        yield from each(gone, self._remove)
        unreadable: list[tuple[int, Wanted]] = []

        def put(item: tuple[int, Wanted | None]) -> None:
            key, want = item
            if want is not None and key < _BEYOND_INT64:
                self._put(key, want)
            elif want is not None:
                unreadable.append((key, want))

        yield from each(wanted.items(), put)
        # Last, and so beside a node that has the same stable id, too.
        yield from each(unreadable, lambda item: self._put(*item))
        return (yield from self._differences())

    def _become(self, own: OwnNode | None) -> Generator[None, None, set[int]]:
        """Know ourselves; the keys of peers that have to be looked at again."""
        if own is None or own == self._own:
            return set()
        self._own = own
        found = self._doubles | ({own.id} & self._by_key.keys())

        def look(record: Record) -> None:
            if own.may_be_in(record.json):
                found.add(record.key)

        yield from each(self._by_key.values(), look)
        return found

    def _look_again(self, record: Record) -> None:
        self._insert(record.key, record.stable_id, record.json, spoiled=record.spoiled)

    def _remove(self, key: int) -> None:
        if (record := self._by_key.get(key)) is not None:
            self._take_out(record)

    def _put(self, key: int, want: Wanted) -> None:
        old = self._by_key.get(key)
        data = bytes(want.json)  # a copy: a view would keep the whole message alive
        if old is not None and old.spoiled == want.spoiled and same_json(old.json, data):
            self.suppressed += 1
            return
        if old is not None:
            self._take_out(old)
        self._insert(key, old.stable_id if old else "", data, spoiled=want.spoiled)

    def _insert(self, key: int, known_as: str, data: bytes, *, spoiled: bool) -> None:
        peer, sharer, reason = self._read(key, known_as, data, spoiled=spoiled)
        expiry = expiry_of(peer)
        peer = self._as_of_now(peer, expiry)
        piece = self._encode(peer)
        at = _position(piece, data)
        record = Record(
            key=key,
            stable_id=peer.stable_id,
            piece=piece,
            own_json=data if at < 0 else b"",
            at=max(at, 0),
            length=len(data),
            online=peer.online,
            spoiled=spoiled,
            user=peer.user_id,
            sharer=sharer,
        )
        self._by_key[key] = record
        self._expiries.put(key, expiry)
        if peer.stable_id == f"double:{key}":
            self._doubles.add(key)
        if reason:
            self._reasons[key] = reason
        shown = self._by_stable_id.get(record.stable_id)
        if shown is not None and shown.rank > record.rank:
            bisect.insort(self._namesakes.setdefault(record.stable_id, []), record.rank)
            return
        if shown is not None:
            if shown.key >= _BEYOND_INT64:
                # No removal can name it; it was this node as long as nobody could read its NodeID.
                self._take_out(shown)
            else:
                self._hide(shown)
                bisect.insort(self._namesakes.setdefault(record.stable_id, []), shown.rank)
        self._show(record)

    def _show(self, record: Record) -> None:
        self._before.setdefault(record.stable_id, None)
        self._by_stable_id[record.stable_id] = record
        if record.key in self._reasons:
            self.quarantined[record.stable_id] = self._reasons[record.key]
        self._count(record, 1)

    def _hide(self, record: Record) -> None:
        self._before.setdefault(record.stable_id, record)
        del self._by_stable_id[record.stable_id]
        self.quarantined.pop(record.stable_id, None)
        self._count(record, -1)

    def _as_of_now(self, peer: Peer, expiry: float | None) -> Peer:
        return marked_expired(peer) if has_passed(expiry, self._control_now) else peer

    def _read(self, key: int, known_as: str, data: bytes, *, spoiled: bool) -> tuple[Peer, int, str]:
        """The Peer, who shares it, and why it is in quarantine ("" if it is not)."""
        reason, peer, sharer = "cannot read PeerChange: the peer is not known until it is sent whole", None, 0
        if not spoiled:
            try:
                fields = read_node(data)
                peer, sharer, reason = peer_of(fields, data), fields.sharer, ""
            except Unreadable as e:
                reason = str(e)
        if peer is None:
            node_id = key if key < _BEYOND_INT64 else 0
            stable_id = identify(data)[1] or known_as
            if not stable_id:
                stable_id = f"id:{node_id}" if key < _BEYOND_INT64 else f"unreadable:{digest_of(data)}"
            peer = quarantined_peer(stable_id, node_id, data)
        claimed = self._own.claimed_by(peer)
        if not claimed:
            return peer, sharer, reason
        return (
            quarantined_peer(f"double:{key}", peer.id, data),
            0,
            f"cannot use Node: its {claimed} is our own node's",
        )

    def _take_out(self, record: Record) -> None:
        del self._by_key[record.key]
        self._expiries.forget(record.key)
        self._doubles.discard(record.key)
        self._reasons.pop(record.key, None)
        namesakes = self._namesakes.get(record.stable_id, [])
        if self._by_stable_id[record.stable_id] is not record:
            del namesakes[bisect.bisect_left(namesakes, record.rank)]
        else:
            self._hide(record)
            if namesakes:
                self._show(self._by_key[namesakes.pop()[1]])
        if not namesakes:
            self._namesakes.pop(record.stable_id, None)

    def _count(self, record: Record, step: int) -> None:
        self.online += step * (record.online is True)
        self.unknown += step * (record.online is None)
        if record.user:
            self._refer(record.user, step)
        if record.sharer and record.sharer != record.user:
            self._refer(record.sharer, step)

    def _refer(self, user: int, step: int) -> None:
        left = self.user_references.get(user, 0) + step
        if left:
            self.user_references[user] = left
        else:
            del self.user_references[user]
        self.users_touched.add(user)

    def _differences(self) -> Generator[None, None, list[PeerUpserted | PeerRemoved]]:
        removed: list[PeerUpserted | PeerRemoved] = []
        upserted: list[PeerUpserted | PeerRemoved] = []

        def compare(item: tuple[str, Record | None]) -> None:
            stable_id, before = item
            now = self._by_stable_id.get(stable_id)
            if now is not None:
                if before is None or before.piece != now.piece:
                    upserted.append(PeerUpserted(stable_id, now.node_id, now.piece))
                else:
                    self.suppressed += 1
            elif before is not None:
                removed.append(PeerRemoved(stable_id, before.node_id))

        yield from each(self._before.items(), compare)
        self._before.clear()
        return removed + upserted


def _unshared(value: Any) -> Any:
    """A copy that shares nothing that can change; the values of a dictionary are all of a kind."""
    if isinstance(value, dict) and isinstance(next(iter(value.values()), None), list | set):
        return {key: inner.copy() for key, inner in value.items()}
    return value.copy()


def _position(piece: bytes, json: bytes) -> int:
    """Where the JSON begins in the piece, -1 for nowhere. Looking for its beginning first is much faster."""
    at = piece.find(json[:_BEGINNING])
    return at if at < 0 or piece.startswith(json, at) else piece.find(json)
