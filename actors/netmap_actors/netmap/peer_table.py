"""The peers, indexed by NodeID and by stable id, each kept as the encoded piece that snapshots are made of.

Of several nodes with one stable id the one with the greatest NodeID is shown, whatever their order; the others are
kept, and one is shown when that one goes. The cost of a change does not depend on the number of peers. Not here: what a
MapResponse changes (`peer_deltas`).
"""

from __future__ import annotations

import bisect
import copy
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from netmap_actors.netmap.changes import PeerRemoval, PeerUpsert
from netmap_actors.netmap.expiry import Expiries, expiry_of, has_passed, marked_expired
from netmap_actors.netmap.model import (
    NetmapNode,
    Unreadable,
    digest_of,
    identify,
    quarantined_node,
    read_node,
)
from netmap_actors.netmap.node_json import same_json
from netmap_actors.netmap.own_node import OwnNode
from netmap_actors.slices import each

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["PeerTable", "Record", "Wanted", "likely_node_id"]

_NONE_HIDDEN: Final[Mapping[str, int]] = {}
_BEYOND_INT64: Final = 1 << 64
"""Keys from here are the table's own, for nodes with unreadable NodeID; removals and patches cannot name them."""
_BEGINNING: Final = 24
"""Bytes that identify the beginning of a node's JSON; Go begins it with the NodeID."""


_BEHIND: Final = 3
"""Bytes behind the JSON in a published piece, of one small field."""


_LEADING: Final = len(b'{"ID":')
"""Where the NodeID begins in a Node encoded by Go."""
_ID_DIGITS: Final = 20

_SHARED: Final = tuple(range(4096))
"""Offsets and lengths of most peers: two objects for each would take a twentieth of its memory."""


class Wanted(NamedTuple):
    """The wanted state of a peer that is not read yet: more may be patched."""

    json: bytes | msgspec.Raw
    spoiled: bool = False
    """A patch could not be read: the peer is not known until it is sent whole."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One peer as stored. Not garbage collected: it cannot be part of a cycle."""

    key: int
    """NodeID, or a number of the table beyond int64."""
    stable_id: str
    piece: bytes
    own_json: bytes
    """The peer's JSON when the piece does not contain it, else b""."""
    at: int
    """Offset of the JSON in the piece, so that it is stored once."""
    length: int
    online: bool | None
    spoiled: bool
    user: int
    sharer: int
    expiry: float | None
    """When the key expires, UNIX seconds of the server's clock; None: never, or marked by the server."""
    reason: str
    """Of its quarantine, "" for none."""

    @property
    def json(self) -> bytes:
        """The node's JSON with patches."""
        return self.own_json or self.piece[self.at : self.at + self.length]

    def holds(self, json: bytes) -> bool:
        """Whether this is the JSON, byte for byte, of a peer that is not spoiled."""
        if self.own_json:
            return self.own_json == json and not self.spoiled
        return self.length == len(json) and self.piece.startswith(json, self.at) and not self.spoiled

    @property
    def node_id(self) -> int:
        """NodeID as published: 0 when unreadable."""
        return self.key if self.key < _BEYOND_INT64 else 0

    @property
    def rank(self) -> tuple[bool, int]:
        """Of several nodes with one stable id the greatest is shown: the newest with a readable NodeID."""
        return self.key < _BEYOND_INT64, self.key


class PeerTable:
    """All peers of the netmap. `encode` makes the published piece of a NetmapNode."""

    def __init__(self, encode: Callable[[NetmapNode], bytes]) -> None:
        self._encode = encode
        self._by_key: dict[int, Record] = {}
        self._by_stable_id: dict[str, Record] = {}
        self._namesakes: dict[str, list[tuple[bool, int]]] = {}
        """Sorted ranks of the nodes that are not shown, as another has their stable id; by stable id."""
        self._before: dict[str, Record | None] = {}
        self._expiries = Expiries()
        self._control_now = 0.0
        self._own = OwnNode()
        self._doubles: set[int] = set()
        """Keys of peers that claim our own identity."""
        self.user_references: dict[int, int] = {}
        """Number of peers that refer to a user, as owner or sharer, by user id."""
        self.users_touched: set[int] = set()
        """Users whose references have changed; cleared by the caller."""
        self.quarantined: dict[str, str] = {}
        """Reasons, by stable id."""
        self.online = 0
        self.unknown = 0
        """Peers whose online state the server did not send."""
        self.suppressed = 0
        """Peers that were sent again unchanged."""

    def copy(self) -> PeerTable:
        """A copy, for changes that may be dropped halfway. Takes milliseconds."""
        new = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | set | Expiries):
                setattr(new, name, _unshared(value))
        return new

    def __len__(self) -> int:
        return len(self._by_stable_id)

    @property
    def hidden(self) -> Mapping[str, int]:
        """Number of nodes not shown, as another has their stable id; by stable id."""
        if not self._namesakes:
            return _NONE_HIDDEN
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
        """How many peers `change` would check against `own`."""
        return 0 if own is None or own == self._own else len(self._by_key)

    def expiring(self, control_now: float, most: int) -> int:
        """How many keys `change` would mark as expired, counted up to `most` and a little more."""
        return self._expiries.due(control_now, most)

    def next_expiry(self) -> float | None:
        """When the next key expires, UNIX seconds of the server's clock; None: no key will expire."""
        return self._expiries.following()

    def pieces(self) -> list[bytes]:
        """The encoded pieces of all peers, in a list of its own."""
        return [record.piece for record in self._by_stable_id.values()]

    def peer(self, record: Record) -> NetmapNode:
        """The NetmapNode behind a record."""
        node = self._node(record.json, record.key, record.stable_id, self._own, spoiled=record.spoiled)[0]
        return marked_expired(node) if has_passed(record.expiry, self._control_now) else node

    def key_of(self, data: bytes | msgspec.Raw, *, first: bool = False) -> int:
        """The key of a node's JSON. `first`: it begins a session, so no node is known yet."""
        node_id, stable_id = identify(data)
        if node_id is not None:
            return node_id
        known = self._by_stable_id.get(stable_id) if stable_id and not first else None
        return known.key if known else _BEYOND_INT64 + int(digest_of(stable_id.encode() or bytes(data)), 16)

    def read(self, data: bytes, own: OwnNode | None = None) -> Record:
        """The peer with this JSON as `change` takes it, of a message that begins a session. Nothing changes.

        `own`: our identity, if it may be new. Whether its key has expired is seen when it is put in.
        """
        own = self._own if own is None else own
        try:
            node = read_node(data)
        except Unreadable:
            key = self.key_of(data, first=True)
            known = self._by_key.get(key)
            return self._record(data, key, known.stable_id if known else "", own)
        if own.claimed_by(node):
            return self._record(data, node.id, "", own)
        return self._recorded(node, node.id, 0.0)

    def read_ahead(self, data: bytes, own: OwnNode | None) -> Record | None:
        """As `read`, of what may be the JSON of a peer; None where it need not be read, or is in quarantine."""
        known = self._by_key.get(likely_node_id(data))
        if known is not None and known.holds(data):
            return None
        record = self.read(data, own)
        return None if record.reason else record

    def change(
        self,
        wanted: Mapping[int, Wanted | Record | None],
        only: AbstractSet[int] | None = None,
        *,
        control_now: float = 0.0,
        own: OwnNode | None = None,
    ) -> Generator[None, None, list[PeerUpsert | PeerRemoval]]:
        """Bring peers to their wanted state, by key; None removes one. In slices; returns the true differences.

        `only`: if given, peers neither wanted nor in it are removed. `control_now`: the server's clock, UNIX seconds,
        by which keys expire. `own`: our identity, if it may be new.
        """
        self._before.clear()
        self._control_now = control_now
        changed = {*self._expiries.turn(control_now), *(yield from self._become(own))}
        if changed:
            again = [self._by_key[key] for key in changed]
            # All first: one may now have the stable id that another had.
            yield from each(again, self._take_out)
            yield from each(again, self._look_again)
        gone = [key for key, want in wanted.items() if want is None]
        if only is not None:
            gone += [key for key in self._by_key if key not in wanted and key not in only]
            self.suppressed += len(only)
        if gone:
            yield from each(gone, self._remove)
        unreadable: list[tuple[int, Wanted | Record]] = []

        def put(item: tuple[int, Wanted | Record | None]) -> None:
            key, want = item
            if want is not None and key < _BEYOND_INT64:
                self._put(key, want)
            elif want is not None:
                unreadable.append((key, want))

        yield from each(wanted.items(), put)
        # Last, hence beside a node with the same stable id.
        if unreadable:
            yield from each(unreadable, lambda item: self._put(*item))
        return (yield from self._differences())

    def _become(self, own: OwnNode | None) -> Generator[None, None, set[int]]:
        """Adopt our identity; the keys of peers to be checked again."""
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
        self._insert(self._again(record))

    def _again(self, record: Record) -> Record:
        """The same peer, read as of now."""
        return self._record(record.json, record.key, record.stable_id, self._own, spoiled=record.spoiled)

    def _remove(self, key: int) -> None:
        if (record := self._by_key.get(key)) is not None:
            self._take_out(record)

    def _put(self, key: int, want: Wanted | Record) -> None:
        old = self._by_key.get(key)
        if old is not None:
            # bytes: a copy, as a view would keep the whole message alive.
            if old.spoiled == want.spoiled and same_json(old.json, bytes(want.json)):
                self.suppressed += 1
                return
            self._take_out(old)
        if isinstance(want, Wanted):
            known_as = old.stable_id if old else ""
            want = self._record(bytes(want.json), key, known_as, self._own, spoiled=want.spoiled)
        elif has_passed(want.expiry, self._control_now):
            want = self._again(want)
        self._insert(want)

    def _insert(self, record: Record) -> None:
        key = record.key
        self._by_key[key] = record
        if record.expiry is not None:
            self._expiries.put(key, record.expiry)
        if record.reason and record.stable_id == f"double:{key}":
            self._doubles.add(key)
        shown = self._by_stable_id.get(record.stable_id)
        if shown is not None and shown.rank > record.rank:
            bisect.insort(self._namesakes.setdefault(record.stable_id, []), record.rank)
            return
        if shown is not None:
            if shown.key >= _BEYOND_INT64:
                # No removal can name it: it was this node with an unreadable NodeID.
                self._take_out(shown)
            else:
                self._hide(shown)
                bisect.insort(self._namesakes.setdefault(record.stable_id, []), shown.rank)
        self._show(record)

    def _show(self, record: Record) -> None:
        self._before.setdefault(record.stable_id, None)
        self._by_stable_id[record.stable_id] = record
        if record.reason:
            self.quarantined[record.stable_id] = record.reason
        self._count(record, 1)

    def _hide(self, record: Record) -> None:
        self._before.setdefault(record.stable_id, record)
        del self._by_stable_id[record.stable_id]
        self.quarantined.pop(record.stable_id, None)
        self._count(record, -1)

    def _record(self, data: bytes, key: int, known_as: str, own: OwnNode, *, spoiled: bool = False) -> Record:
        """The peer with this JSON, marked when its key has expired by now. `known_as`: its stable id until now."""
        node, reason = self._node(data, key, known_as, own, spoiled=spoiled)
        return self._recorded(node, key, self._control_now, spoiled=spoiled, reason=reason)

    def _recorded(
        self, node: NetmapNode, key: int, control_now: float, *, spoiled: bool = False, reason: str = ""
    ) -> Record:
        expiry = expiry_of(node)
        piece = self._encode(marked_expired(node) if has_passed(expiry, control_now) else node)
        at = _position(piece, node.json)
        return Record(
            key=key,
            stable_id=node.stable_id,
            piece=piece,
            own_json=node.json if at < 0 else b"",
            at=_shared(max(at, 0)),
            length=_shared(len(node.json)),
            online=node.online,
            spoiled=spoiled,
            user=node.user_id,
            sharer=node.sharer_id,
            expiry=expiry,
            reason=reason,
        )

    def _node(
        self, data: bytes, key: int, known_as: str, own: OwnNode, *, spoiled: bool
    ) -> tuple[NetmapNode, str]:
        """The NetmapNode, and why it is in quarantine ("" if it is not)."""
        reason, node = "cannot read PeerChange: the peer is not known until it is sent whole", None
        if not spoiled:
            try:
                node, reason = read_node(data), ""
            except Unreadable as e:
                reason = str(e)
        if node is None:
            node_id = key if key < _BEYOND_INT64 else 0
            stable_id = identify(data)[1] or known_as
            if not stable_id:
                stable_id = f"id:{node_id}" if key < _BEYOND_INT64 else f"unreadable:{digest_of(data)}"
            node = quarantined_node(stable_id, node_id, data)
        claimed = own.claimed_by(node)
        if not claimed:
            return node, reason
        double = quarantined_node(f"double:{key}", node.id, data)
        return double, f"cannot use Node: its {claimed} is our own node's"

    def _take_out(self, record: Record) -> None:
        del self._by_key[record.key]
        self._expiries.forget(record.key)
        self._doubles.discard(record.key)
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

    def _differences(self) -> Generator[None, None, list[PeerUpsert | PeerRemoval]]:
        removed: list[PeerUpsert | PeerRemoval] = []
        upserted: list[PeerUpsert | PeerRemoval] = []

        def compare(item: tuple[str, Record | None]) -> None:
            stable_id, before = item
            now = self._by_stable_id.get(stable_id)
            if now is not None:
                if before is None or before.piece != now.piece:
                    upserted.append(PeerUpsert(stable_id, now.node_id, now.piece))
                else:
                    self.suppressed += 1
            elif before is not None:
                removed.append(PeerRemoval(stable_id, before.node_id))

        yield from each(self._before.items(), compare)
        self._before.clear()
        return removed + upserted


def likely_node_id(json: bytes) -> int:
    """The likely NodeID, cheaply: equal bytes prove it."""
    end = json.find(b",", _LEADING, _LEADING + _ID_DIGITS + 1)
    try:
        return int(json[_LEADING:end]) if end > 0 else 0
    except ValueError:
        return 0


def _unshared(value: Any) -> Any:
    """A copy without shared mutable values; the values of a dictionary are all of one type."""
    if isinstance(value, dict) and isinstance(next(iter(value.values()), None), list | set):
        return {key: inner.copy() for key, inner in value.items()}
    return value.copy()


def _shared(number: int) -> int:
    return _SHARED[number] if number < len(_SHARED) else number


def _position(piece: bytes, json: bytes) -> int:
    """Offset of the JSON in the piece, or -1. To look where it should be, and for its beginning, is much faster."""
    at = len(piece) - len(json) - _BEHIND
    if at >= 0 and piece.startswith(json, at):
        return at
    at = piece.find(json[:_BEGINNING])
    return at if at < 0 or piece.startswith(json, at) else piece.find(json)
