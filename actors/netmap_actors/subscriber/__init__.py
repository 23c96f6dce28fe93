"""The client library: the netmap in another program, with its state.

Importing it loads nothing of the daemon.
"""

from __future__ import annotations

from netmap_actors.subscriber.client import Subscriber, SubscriberClosed, WrongThread
from netmap_actors.subscriber.event_filter import EventFilter
from netmap_actors.subscriber.events import (
    DocumentChanged,
    DomainChanged,
    Event,
    EventKind,
    PeerRemoved,
    PeerUpserted,
    SelfChanged,
    Snapshot,
    StateChanged,
    UserProfilesChanged,
)
from netmap_actors.subscriber.mirror import Mirror
from netmap_actors.subscriber.naming import AmbiguousName, NoSuchNode
from netmap_actors.subscriber.netmap_view import Netmap, Peers
from netmap_actors.subscriber.peer import Peer, UserProfile
from netmap_actors.subscriber.readiness import NotReady
from netmap_actors.subscriber.store import NetmapStore
from netmap_actors.wire.vocabulary import Trust

__all__ = [
    "AmbiguousName",
    "DocumentChanged",
    "DomainChanged",
    "Event",
    "EventFilter",
    "EventKind",
    "Mirror",
    "Netmap",
    "NetmapStore",
    "NoSuchNode",
    "NotReady",
    "Peer",
    "PeerRemoved",
    "PeerUpserted",
    "Peers",
    "SelfChanged",
    "Snapshot",
    "StateChanged",
    "Subscriber",
    "SubscriberClosed",
    "Trust",
    "UserProfile",
    "UserProfilesChanged",
    "WrongThread",
]
