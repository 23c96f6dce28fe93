"""Applies transactions and snapshots to what a replica holds, and yields the true changes.

Another encoding of the same values is no change; so a snapshot after a gap, or a new publisher's first one, yields
only what is different.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

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
from netmap_actors.wire.fields import BadPieces, cut, first_text
from netmap_actors.wire.topics import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from netmap_actors.wire import netmap_pb2
    from netmap_actors.wire.vocabulary import Trust

__all__ = [
    "DOCUMENT_KINDS",
    "Stamp",
    "apply_transaction",
    "body_bytes",
    "difference",
    "profile_of",
    "stable_id_of",
    "unlike",
]

DOCUMENT_KINDS = {f"{name}_changed": name for name in DOCUMENTS}
"""Kinds that carry a Document, with the name of what they replace."""

_FIRST = frozenset(
    kind.value for kind in (Kind.USER_PROFILES_CHANGED, Kind.DOMAIN_CHANGED, Kind.SELF_CHANGED)
)
"""Applied first: the peers of the same transaction refer to them."""


class Stamp(NamedTuple):
    """What all events of one transaction carry."""

    epoch: int
    seq: int
    state: Trust
    age_s: float | None


def stable_id_of(piece: bytes) -> str:
    """The stable id of an encoded Peer. Raises BadPieces when it has none."""
    stable_id = first_text(piece, 1)
    if stable_id is None:
        # Any order of fields is legal; ours is only the usual one.
        found, _ = cut(piece, 1)
        stable_id = found[-1].decode("utf-8", "replace") if found else ""
    if not stable_id:
        raise BadPieces("cannot use a peer without a stable id")
    return stable_id


def profile_of(message: netmap_pb2.UserProfile) -> UserProfile:
    """The user behind a UserProfile."""
    return UserProfile(
        id=message.id,
        login_name=message.login_name,
        display_name=message.display_name,
        profile_pic_url=message.profile_pic_url,
    )


def body_bytes(message: netmap_pb2.BusMessage) -> bytes:
    """The encoded Peer of a peer_upserted or self_changed."""
    peer = message.peer_upserted if message.HasField("peer_upserted") else message.self_changed
    return peer.SerializeToString()


def apply_transaction(
    contents: Contents, messages: Iterable[netmap_pb2.BusMessage], stamp: Stamp
) -> list[Event]:
    """Apply the updates of one transaction; the true changes."""
    ordered = sorted(messages, key=lambda m: m.WhichOneof("body") not in _FIRST)
    users = contents.profiles
    events = (_apply(contents, users, message, stamp) for message in ordered)
    return [event for event in events if event is not None]


def _apply(
    contents: Contents, users: Mapping[int, UserProfile], message: netmap_pb2.BusMessage, stamp: Stamp
) -> Event | None:
    """`users`: those from before the transaction, to whom the old peers belonged."""
    match message.WhichOneof("body"):
        case "peer_upserted":
            piece = body_bytes(message)
            stable_id = message.peer_upserted.stable_id
            return _upserted(contents, users, contents.upsert(stable_id, piece), piece, stamp)
        case "peer_removed":
            gone = contents.remove(message.peer_removed.stable_id)
            if gone is None:
                return None
            return PeerRemoved(peer=contents.view(gone, users), **stamp._asdict())
        case "self_changed":
            old, contents.self_node = contents.self_node, body_bytes(message)
            return _self_changed(contents, users, old, stamp)
        case "user_profiles_changed":
            profiles = dict(contents.profiles)
            for user_id in message.user_profiles_changed.removed:
                profiles.pop(user_id, None)
            for profile in message.user_profiles_changed.upserted:
                profiles[profile.id] = profile_of(profile)
            before = contents.profiles
            contents.profiles = profiles
            return _profiles_changed(contents, before, stamp)
        case "domain_changed":
            previous, contents.domain = contents.domain, message.domain_changed.domain
            return _domain_changed(contents, previous, stamp)
        case kind if kind in DOCUMENT_KINDS:
            name = DOCUMENT_KINDS[kind]
            before_json = contents.documents.get(name, b"")
            contents.documents[name] = getattr(message, kind).json
            return _document_changed(contents, name, before_json, stamp)
        case _:
            return None  # state_changed is no part of the netmap


def difference(old: Contents, new: Contents, stamp: Stamp) -> Iterator[Event]:
    """The true changes from one netmap to another."""
    candidates = [
        _profiles_changed(new, old.profiles, stamp),
        _domain_changed(new, old.domain, stamp),
        _self_changed(new, old.profiles, old.self_node, stamp),
    ]
    candidates += [_document_changed(new, name, old.documents.get(name, b""), stamp) for name in DOCUMENTS]
    yield from (event for event in candidates if event is not None)
    for stable_id, piece in old.peers.items():
        if stable_id not in new.peers:
            yield PeerRemoved(peer=old.view(piece), **stamp._asdict())
    for stable_id, piece in new.peers.items():
        before = old.peers.get(stable_id)
        if before != piece:
            event = _upserted(new, old.profiles, before, piece, stamp)
            if event is not None:
                yield event


def unlike(old: Contents, new: Contents) -> int:
    """How many peers differ at most: those in one netmap only, and those with other bytes."""
    gone = sum(stable_id not in new.peers for stable_id in old.peers)
    return gone + sum(old.peers.get(stable_id) != piece for stable_id, piece in new.peers.items())


def _upserted(
    contents: Contents, users: Mapping[int, UserProfile], old: bytes | None, new: bytes, stamp: Stamp
) -> Event | None:
    peer = contents.view(new)
    previous = None
    if old is not None:
        previous = _previous(users, old, peer)
        if not previous:
            return None
    return PeerUpserted(
        peer=peer, previous=previous, epoch=stamp.epoch, seq=stamp.seq, state=stamp.state, age_s=stamp.age_s
    )


def _self_changed(
    contents: Contents, users: Mapping[int, UserProfile], old: bytes, stamp: Stamp
) -> Event | None:
    new = contents.self_node
    if old == new:
        return None
    node = contents.view(new) if new else None
    previous = _previous(users, old, node) if old and node is not None else None
    if previous is not None and not previous:
        return None
    return SelfChanged(node=node, previous=previous, **stamp._asdict())


def _previous(users: Mapping[int, UserProfile], old: bytes, new: Peer) -> dict[str, object]:
    before = Peer(old, users)
    return {} if before == new else differences(before, new)


def _profiles_changed(contents: Contents, old: Mapping[int, UserProfile], stamp: Stamp) -> Event | None:
    new = contents.profiles
    upserted = tuple(profile for user_id, profile in new.items() if old.get(user_id) != profile)
    removed = tuple(profile for user_id, profile in old.items() if user_id not in new)
    if not upserted and not removed:
        return None
    return UserProfilesChanged(upserted=upserted, removed=removed, **stamp._asdict())


def _domain_changed(contents: Contents, old: str, stamp: Stamp) -> Event | None:
    if contents.domain == old:
        return None
    return DomainChanged(domain=contents.domain, previous=old, **stamp._asdict())


def _document_changed(contents: Contents, name: str, old: bytes, stamp: Stamp) -> Event | None:
    new = contents.documents.get(name, b"")
    if new == old:
        return None
    value, previous = parse_json(new), parse_json(old)
    if value == previous:
        return None
    return DocumentChanged(document=name, value=value, previous=previous, **stamp._asdict())
