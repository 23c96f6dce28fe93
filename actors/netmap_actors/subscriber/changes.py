"""True differences between two commits: folded in message by message, or found between two whole netmaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.subscriber.events import (
    DocumentChanged,
    DomainChanged,
    Event,
    PeerRemoved,
    PeerUpserted,
    SelfChanged,
    UserProfilesChanged,
)
from netmap_actors.subscriber.netmap_view import DOCUMENTS, Contents
from netmap_actors.subscriber.peer import Peer, UserProfile, differences, parse_json

if TYPE_CHECKING:
    from netmap_actors.wire import netmap_pb2

__all__ = ["Applier", "compare"]


class Applier:
    """Changes Contents and remembers what stood there before."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._peers: dict[str, bytes | None] = {}
        self._self: bytes | None = None
        self._documents: dict[str, bytes] = {}
        self._domain: str | None = None
        self._profiles: dict[int, UserProfile] | None = None
        self._profiles_before = contents.profiles

    def apply(self, message: netmap_pb2.BusMessage) -> None:
        """One update of a transaction."""
        contents = self._contents
        kind = message.WhichOneof("body")
        match kind:
            case "peer_upserted":
                stable_id = message.peer_upserted.stable_id
                old = contents.upsert(stable_id, message.peer_upserted.SerializeToString())
                self._peers.setdefault(stable_id, old)
            case "peer_removed":
                stable_id = message.peer_removed.stable_id
                self._peers.setdefault(stable_id, contents.remove(stable_id))
            case "self_changed":
                if self._self is None:
                    self._self = contents.self_node
                contents.self_node = message.self_changed.SerializeToString()
            case "domain_changed":
                if self._domain is None:
                    self._domain = contents.domain
                contents.domain = message.domain_changed.domain
            case "user_profiles_changed":
                profiles = dict(contents.profiles)
                for profile in message.user_profiles_changed.upserted:
                    profiles[profile.id] = _profile(profile)
                for gone in message.user_profiles_changed.removed:
                    profiles.pop(gone, None)
                contents.profiles = profiles
            case str() if kind.removesuffix("_changed") in DOCUMENTS:
                name = kind.removesuffix("_changed")
                self._documents.setdefault(name, contents.documents.get(name, b""))
                contents.documents[name] = getattr(message, kind).json

    def fill(self, chunk: netmap_pb2.SnapshotChunk) -> None:
        """One part of a snapshot."""
        contents = self._contents
        for peer in chunk.peers:
            contents.peers[peer.stable_id] = peer.SerializeToString()
        if chunk.HasField("self"):
            contents.self_node = chunk.self.SerializeToString()
        for name in DOCUMENTS:
            if value := getattr(chunk, name):
                contents.documents[name] = value
        contents.domain = chunk.domain or contents.domain
        if chunk.user_profiles:
            contents.profiles = dict(contents.profiles) | {p.id: _profile(p) for p in chunk.user_profiles}

    def events(self, epoch: int, seq: int, state: str, age_s: float | None) -> list[Event]:
        """What is not as it was before the first `apply`."""
        before = Contents()
        before.peers = {stable_id: old for stable_id, old in self._peers.items() if old is not None}
        after = Contents()
        after.peers = {key: self._contents.peers[key] for key in self._peers if key in self._contents.peers}
        before.profiles, after.profiles = self._profiles_before, self._contents.profiles
        after.self_node = self._contents.self_node
        before.self_node = after.self_node if self._self is None else self._self
        after.domain = self._contents.domain
        before.domain = after.domain if self._domain is None else self._domain
        before.documents = dict(self._documents)
        after.documents = {name: self._contents.documents[name] for name in self._documents}
        return compare(before, after, epoch=epoch, seq=seq, state=state, age_s=age_s)


def compare(
    old: Contents, new: Contents, *, epoch: int, seq: int, state: str, age_s: float | None
) -> list[Event]:
    """One event for each thing that differs; removals first, so that names and addresses are free again."""
    events: list[Event] = []
    for stable_id in old.peers:
        if stable_id not in new.peers:
            gone = Peer(old.peers[stable_id], old.profiles)
            events.append(PeerRemoved(epoch=epoch, seq=seq, state=state, age_s=age_s, peer=gone))
    for stable_id, piece in new.peers.items():
        before = old.peers.get(stable_id)
        if before == piece:
            continue
        peer = Peer(piece, new.profiles)
        previous = None if before is None else differences(Peer(before, old.profiles), peer)
        events.append(
            PeerUpserted(epoch=epoch, seq=seq, state=state, age_s=age_s, peer=peer, previous=previous)
        )
    if old.self_node != new.self_node:
        node = Peer(new.self_node, new.profiles) if new.self_node else None
        was = Peer(old.self_node, old.profiles) if old.self_node else None
        previous = differences(was, node) if was is not None and node is not None else None
        events.append(
            SelfChanged(epoch=epoch, seq=seq, state=state, age_s=age_s, node=node, previous=previous)
        )
    for name in DOCUMENTS:
        was_json, now_json = old.documents.get(name, b""), new.documents.get(name, b"")
        if was_json != now_json:
            events.append(
                DocumentChanged(
                    epoch=epoch,
                    seq=seq,
                    state=state,
                    age_s=age_s,
                    document=name,
                    value=parse_json(now_json),
                    previous=parse_json(was_json),
                )
            )
    if old.domain != new.domain:
        events.append(
            DomainChanged(
                epoch=epoch, seq=seq, state=state, age_s=age_s, domain=new.domain, previous=old.domain
            )
        )
    if old.profiles is not new.profiles and old.profiles != new.profiles:
        events.append(
            UserProfilesChanged(
                epoch=epoch,
                seq=seq,
                state=state,
                age_s=age_s,
                upserted=tuple(p for key, p in new.profiles.items() if old.profiles.get(key) != p),
                removed=tuple(p for key, p in old.profiles.items() if key not in new.profiles),
            )
        )
    return events


def _profile(message: netmap_pb2.UserProfile) -> UserProfile:
    return UserProfile(
        id=message.id,
        login_name=message.login_name,
        display_name=message.display_name,
        profile_pic_url=message.profile_pic_url,
    )
