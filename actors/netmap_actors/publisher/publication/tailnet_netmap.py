"""The delta engine as the publication needs it: its changes as encoded updates, its state as encoded pieces."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.boot import MAX_PEERS
from netmap_actors.netmap import changes
from netmap_actors.netmap.changes import Document
from netmap_actors.netmap.delta import NetmapEngine
from netmap_actors.tailcfg import decoding_map_response
from netmap_actors.wire import internal_pb2, netmap_pb2
from netmap_actors.wire.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from netmap_actors.netmap.arriving import ArrivingDocument
    from netmap_actors.netmap.changes import Profile
    from netmap_actors.netmap.delta import Statistics
    from netmap_actors.netmap.model import NetmapNode
    from netmap_actors.web_url import UrlPolicy

__all__ = ["MAX_UPDATES", "Applied", "EncodedUpdate", "TailnetNetmap", "encode_peer"]

MAX_UPDATES = 500
"""Updates of one transaction that are sent one by one. Of a larger one only the commit goes out: its seq shows the
gap, and subscribers ask for a snapshot, which costs less than that many messages and passes no high-water mark."""


class EncodedUpdate(NamedTuple):
    """One true difference."""

    kind: Kind
    body: bytes
    """The encoded message of the kind's field in BusMessage.body."""


class Applied(NamedTuple):
    """What one MapResponse did."""

    updates: list[EncodedUpdate]
    many: Mapping[Kind, int]
    """How many of each kind there are when there are more than MAX_UPDATES: they are not encoded."""
    keep_alive: bool = False
    """It said only that the session lives."""


_DOCUMENT_KINDS = {
    Document.DNS: Kind.DNS_CHANGED,
    Document.PACKET_FILTER: Kind.PACKET_FILTER_CHANGED,
    Document.DERP_MAP: Kind.DERP_MAP_CHANGED,
    Document.SSH_POLICY: Kind.SSH_POLICY_CHANGED,
    Document.HEALTH: Kind.HEALTH_CHANGED,
    Document.SETTINGS: Kind.SETTINGS_CHANGED,
}
_KINDS = {
    changes.PeerUpsert: Kind.PEER_UPSERTED,
    changes.PeerRemoval: Kind.PEER_REMOVED,
    changes.SelfUpdate: Kind.SELF_CHANGED,
    changes.DomainUpdate: Kind.DOMAIN_CHANGED,
    changes.ProfilesUpdate: Kind.USER_PROFILES_CHANGED,
}


def encode_peer(peer: NetmapNode) -> bytes:
    """The published piece of a peer: a Peer message. Its stable id comes first."""
    message = netmap_pb2.Peer(
        stable_id=peer.stable_id,
        id=peer.id,
        addresses=peer.addresses,
        allowed_ips=peer.allowed_ips,
        user_id=peer.user_id,
        key=peer.key,
        machine_key=peer.machine_key,
        disco_key=peer.disco_key,
        jailed=peer.jailed,
        wireguard_only=peer.wireguard_only,
        json=peer.json,
        decoded=peer.decoded,
    )
    # What is often zero: to hand over that, too, would take half as long again.
    if peer.name:
        message.name = peer.name
    if peer.online is not None:
        message.online = peer.online
    if peer.last_seen:
        message.last_seen = peer.last_seen
    if peer.tags:
        message.tags.extend(peer.tags)
    if peer.hostinfo is not None:
        message.os, message.hostname = peer.hostinfo.os, peer.hostinfo.hostname
    if peer.routes:
        message.routes.extend(peer.routes)
    if peer.key_expiry:
        message.key_expiry = peer.key_expiry
    if peer.expired:
        message.expired = True
    if peer.home_derp:
        message.home_derp = peer.home_derp
    if peer.endpoints:
        message.endpoints.extend(peer.endpoints)
    if peer.created:
        message.created = peer.created
    if peer.cap:
        message.cap = peer.cap
    if peer.sharer_id:
        message.sharer_id = peer.sharer_id
    return message.SerializeToString()


class TailnetNetmap:
    """The netmap of the publisher, over `netmap.delta`."""

    def __init__(self, urls: UrlPolicy, *, max_peers: int = MAX_PEERS) -> None:
        self._max_peers = max_peers
        self._netmap = NetmapEngine(encode_peer, urls, max_peers=max_peers)

    @property
    def statistics(self) -> Statistics:
        """Counters of the delta engine."""
        return self._netmap.statistics

    @property
    def arriving(self) -> ArrivingDocument:
        """What comes of a large MapResponse before it is whole."""
        return self._netmap.arriving

    def applying(
        self, document: bytes, *, first: bool, wall: float, unread: float = 0.0, waited: float = 0.0
    ) -> Generator[None, None, Applied]:
        """Take in one MapResponse; `first`: the first of a session that is no keep-alive, authoritative for everything.

        In slices: until its end, and when it is dropped before, the netmap is what it was. `wall` is our wall clock in
        UNIX seconds, `unread` and `waited` how many seconds ago the message came and was sent, at most. Raises
        BadMapResponse, with the netmap unchanged.
        """
        decoding = decoding_map_response(document, max_peers=self._max_peers)
        del document
        # No name for the response: `applying` gives it up as soon as it can.
        done = yield from self._netmap.applying(
            (yield from decoding), first=first, wall=wall, unread=unread, waited=waited
        )
        return _applied(done.updates, keep_alive=done.keep_alive)

    @property
    def figures(self) -> tuple[int, int, int, int, float]:
        """Peers, quarantined, hidden, messages left out, and the clock skew in seconds: see the delta engine."""
        return self._netmap.figures

    @property
    def clock_skew_s(self) -> float:
        """The server's wall clock minus ours, as its messages prove; 0 when they may agree within a minute."""
        return self._netmap.clock_skew_s

    def wall_clock(self, wall: float, boottime: float) -> None:
        """Our clocks at this moment, UNIX and CLOCK_BOOTTIME seconds: the wall clock may have been set."""
        self._netmap.wall_clock(wall, boottime)

    def passing_time(self, wall: float) -> Generator[None, None, Applied]:
        """Mark the keys that have expired at `wall`, our wall clock in UNIX seconds, in slices if they are many."""
        return _applied((yield from self._netmap.passing_time(wall)))

    def next_expiry(self) -> float | None:
        """When to pass time again, UNIX seconds of our wall clock; None: no key is going to expire."""
        return self._netmap.next_expiry()

    def peer_pieces(self) -> Sequence[bytes]:
        """Every peer as an encoded Peer, in a sequence that later changes leave alone."""
        return self._netmap.pieces()

    def rest(self) -> bytes:
        """Everything but the peers, as an encoded SnapshotChunk."""
        documents, node = self._netmap.documents, self._netmap.self_node
        chunk = netmap_pb2.SnapshotChunk(
            dns=documents.get(Document.DNS, b""),
            packet_filter=documents.get(Document.PACKET_FILTER, b""),
            derp_map=documents.get(Document.DERP_MAP, b""),
            ssh_policy=documents.get(Document.SSH_POLICY, b""),
            health=documents.get(Document.HEALTH, b""),
            settings=documents.get(Document.SETTINGS, b""),
            domain=self._netmap.domain,
            user_profiles=[_profile(profile) for profile in self._netmap.user_profiles.values()],
        )
        if node is not None:
            chunk.self.MergeFromString(encode_peer(node))
        return chunk.SerializeToString()

    def facts(self) -> internal_pb2.PublisherStatistics:
        """What status shows of the netmap; the rest of the message is left empty."""
        statistics, node = self._netmap.statistics, self._netmap.self_node
        return internal_pb2.PublisherStatistics(
            peers=statistics.peers,
            peers_online=statistics.online,
            peers_unknown=statistics.unknown,
            quarantined=statistics.quarantined,
            domain=self._netmap.domain,
            self_name=node.name if node else "",
            self_stable_id=node.stable_id if node else "",
            self_addresses=[a.partition("/")[0] for a in node.addresses] if node else (),
            self_key_expiry=node.key_expiry if node else "",
            self_machine_authorized=self._netmap.self_machine_authorized,
        )


def _applied(updates: Sequence[changes.NetmapUpdate], *, keep_alive: bool = False) -> Applied:
    if len(updates) <= MAX_UPDATES:
        return Applied([_encoded(update) for update in updates], {}, keep_alive)
    many = {_KINDS[kind]: number for kind, number in Counter(map(type, updates)).items() if kind in _KINDS}
    documents = (update for update in updates if isinstance(update, changes.DocumentUpdate))
    many.update((_DOCUMENT_KINDS[update.document], 1) for update in documents)
    return Applied([], many, keep_alive)


def _encoded(update: changes.NetmapUpdate) -> EncodedUpdate:
    match update:
        case changes.PeerUpsert(encoded=encoded):
            return EncodedUpdate(Kind.PEER_UPSERTED, encoded)
        case changes.PeerRemoval(stable_id=stable_id, id=node_id):
            removed = netmap_pb2.PeerRemoved(stable_id=stable_id, id=node_id)
            return EncodedUpdate(Kind.PEER_REMOVED, removed.SerializeToString())
        case changes.SelfUpdate(node=node):
            return EncodedUpdate(Kind.SELF_CHANGED, encode_peer(node))
        case changes.DocumentUpdate(document=document, json=json):
            return EncodedUpdate(
                _DOCUMENT_KINDS[document], netmap_pb2.Document(json=json).SerializeToString()
            )
        case changes.DomainUpdate(domain=domain):
            return EncodedUpdate(
                Kind.DOMAIN_CHANGED, netmap_pb2.DomainChanged(domain=domain).SerializeToString()
            )
        case changes.ProfilesUpdate(upserted=upserted, removed=gone):
            profiles = netmap_pb2.UserProfilesChanged(upserted=[_profile(p) for p in upserted], removed=gone)
            return EncodedUpdate(Kind.USER_PROFILES_CHANGED, profiles.SerializeToString())


def _profile(profile: Profile) -> netmap_pb2.UserProfile:
    return netmap_pb2.UserProfile(
        id=profile.id,
        login_name=profile.login_name,
        display_name=profile.display_name,
        profile_pic_url=profile.profile_pic_url,
        json=profile.json,
    )
