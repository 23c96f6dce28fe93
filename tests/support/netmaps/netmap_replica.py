"""A netmap under test together with a replica that is fed its differences only."""

from __future__ import annotations

from typing import Any

import msgspec

from netmap_actors.netmap.changes import (
    Changes,
    Document,
    DocumentUpdate,
    DomainUpdate,
    PeerRemoval,
    PeerUpsert,
    Profile,
    ProfilesUpdate,
    SelfUpdate,
)
from netmap_actors.netmap.delta import NetmapEngine
from netmap_actors.netmap.model import NetmapNode
from netmap_actors.rfc3339 import unix_seconds
from netmap_actors.slices import complete
from netmap_actors.tailcfg import decode_map_response, encode

__all__ = ["BAR", "FOO", "NOW", "Replica", "moment", "n", "netmap_of", "peer_in"]

NOW = "2026-01-02T03:04:05Z"

_decoder = msgspec.msgpack.Decoder(NetmapNode)


def peer_in(piece: bytes) -> NetmapNode:
    """The peer an encoded piece holds; msgpack, as it holds the JSON as it is, like protobuf does."""
    return _decoder.decode(piece)


def moment(text: str) -> float:
    """UNIX seconds of an RFC 3339 time."""
    seconds = unix_seconds(text)
    assert seconds is not None
    return seconds


class Replica:
    """Applies messages given as plain values; every difference is checked to be one."""

    def __init__(self, **options: Any) -> None:
        self.netmap = NetmapEngine(msgspec.msgpack.encode, **options)
        self.peers: dict[str, NetmapNode] = {}
        self.self_node: NetmapNode | None = None
        self.documents = dict.fromkeys(Document, b"")
        self.domain = ""
        self.profiles: dict[int, Profile] = {}

    def first(self, **message: Any) -> Changes:
        """Begin a session with this message; it gets a Node if it has none."""
        return self.apply(
            {"Node": {"ID": 1000, "StableID": "self", "Name": "self.example."}, **message}, first=True
        )

    def then(self, **message: Any) -> Changes:
        """Go on with this message."""
        return self.apply(message)

    def apply(self, message: dict[str, Any] | bytes, *, first: bool = False, now_text: str = NOW) -> Changes:
        document = message if isinstance(message, bytes) else encode(message)
        changes = complete(
            self.netmap.applying(decode_map_response(document), first=first, wall=moment(now_text))
        )
        self.fold(changes)
        return changes

    def fold(self, changes: Changes) -> None:
        seen: set[str] = set()
        for update in changes.updates:
            match update:
                case PeerUpsert():
                    peer = peer_in(update.encoded)
                    assert (update.stable_id, update.id) == (peer.stable_id, peer.id)
                    assert self.peers.get(peer.stable_id) != peer, "no difference"
                    assert peer.stable_id not in seen
                    seen.add(peer.stable_id)
                    self.peers[peer.stable_id] = peer
                case PeerRemoval():
                    assert update.stable_id not in seen
                    seen.add(update.stable_id)
                    assert self.peers.pop(update.stable_id).id == update.id
                case SelfUpdate():
                    assert self.self_node != update.node
                    self.self_node = update.node
                case DocumentUpdate():
                    assert self.documents[update.document] != update.json
                    self.documents[update.document] = update.json
                case DomainUpdate():
                    assert self.domain != update.domain
                    self.domain = update.domain
                case ProfilesUpdate():
                    for profile in update.upserted:
                        assert self.profiles.get(profile.id) != profile
                        self.profiles[profile.id] = profile
                    for user in update.removed:
                        del self.profiles[user]

    def pass_time(self, now_text: str) -> list[str]:
        """Set the wall clock; the StableIDs of the nodes that changed, our own as "self"."""
        updates = complete(self.netmap.passing_time(moment(now_text)))
        self.fold(Changes(updates))
        return [getattr(update, "stable_id", "self") for update in updates]

    def check(self) -> None:
        """The differences led to exactly what the netmap holds, and its figures and indexes are what a count gives."""
        netmap, table = self.netmap, self.netmap._table
        assert {peer_in(piece).stable_id: peer_in(piece) for piece in netmap.pieces()} == self.peers
        assert {stable_id: netmap.peer(stable_id) for stable_id in self.peers} == self.peers
        assert netmap.self_node == self.self_node
        assert dict(netmap.documents) == self.documents
        assert netmap.domain == self.domain
        assert dict(netmap.user_profiles) == self.profiles
        everyone = list(table._by_key.values())
        assert table._by_key == {record.key: record for record in everyone}
        # Of several with one stable id the one of the highest rank is shown, and the others wait for its end.
        records = list(table._by_stable_id.values())
        assert table._by_stable_id == {
            stable_id: max((one for one in everyone if one.stable_id == stable_id), key=lambda one: one.rank)
            for stable_id in {record.stable_id for record in everyone}
        }
        hidden = [record for record in everyone if table._by_stable_id[record.stable_id] is not record]
        waiting = [(stable_id, rank) for stable_id, ranks in table._namesakes.items() for rank in ranks]
        assert sorted(waiting) == sorted((record.stable_id, record.rank) for record in hidden)
        assert all(ranks == sorted(ranks) for ranks in table._namesakes.values())
        assert {r.stable_id: peer_in(r.piece).json for r in records} == {r.stable_id: r.json for r in records}
        references: dict[int, int] = {}
        for record in records:
            for user in {record.user, record.sharer} - {0}:
                references[user] = references.get(user, 0) + 1
        assert table.user_references == references
        statistics = netmap.statistics
        assert statistics.peers == len(self.peers)
        assert statistics.online == sum(peer.online is True for peer in self.peers.values())
        assert statistics.unknown == sum(peer.online is None for peer in self.peers.values())
        bad = {peer.stable_id for peer in self.peers.values() if not peer.decoded}
        if self.self_node is not None and not self.self_node.decoded:
            bad.add(self.self_node.stable_id)
        assert set(netmap.quarantined) == bad
        assert statistics.quarantined == len(bad)

    def named(self) -> dict[int, str]:
        """Name by NodeID."""
        return {peer.id: peer.name for peer in self.peers.values()}

    def by_id(self, node_id: int) -> NetmapNode:
        """The peer with this NodeID."""
        (found,) = [peer for peer in self.peers.values() if peer.id == node_id]
        return found


def netmap_of(*, peers: list[dict[str, Any]], **message: Any) -> Replica:
    """A session that began with these peers."""
    replica = Replica()
    replica.first(Peers=peers, **message)
    return replica


def n(node_id: int, name: str = "", **fields: Any) -> dict[str, Any]:
    """A node as a server sends it."""
    return {"ID": node_id, "StableID": f"s{node_id}", "Name": name, **fields}


FOO, BAR = n(1, "foo"), n(2, "bar")
