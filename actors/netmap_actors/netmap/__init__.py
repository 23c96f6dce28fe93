"""The netmap and its deltas: a pure engine that turns MapResponses into true differences.

Not here: sessions, sequence numbers, the bus (`publisher.publication`).
"""

from __future__ import annotations

from netmap_actors.netmap.changes import (
    Changes,
    Document,
    DocumentChanged,
    DomainChanged,
    PeerRemoved,
    PeerUpserted,
    Profile,
    SelfChanged,
    Update,
    UserProfilesChanged,
)
from netmap_actors.netmap.delta import Netmap, Statistics
from netmap_actors.netmap.model import Peer

__all__ = [
    "Changes",
    "Document",
    "DocumentChanged",
    "DomainChanged",
    "Netmap",
    "Peer",
    "PeerRemoved",
    "PeerUpserted",
    "Profile",
    "SelfChanged",
    "Statistics",
    "Update",
    "UserProfilesChanged",
]
