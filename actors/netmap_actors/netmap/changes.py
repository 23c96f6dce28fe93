"""What one MapResponse changed, as values: true differences only.

Not here: their numbers and their encoding for the bus (`publication`).
"""

from __future__ import annotations

import enum

import msgspec

from netmap_actors.netmap.model import Peer  # noqa: TC001 - msgspec reads the annotations

__all__ = [
    "Changes",
    "Document",
    "DocumentChanged",
    "DomainChanged",
    "PeerRemoved",
    "PeerUpserted",
    "Profile",
    "SelfChanged",
    "Update",
    "UserProfilesChanged",
]


class Document(enum.Enum):
    """A part of the netmap that is kept and shown as one JSON document."""

    DNS = "dns"
    """DNSConfig."""
    PACKET_FILTER = "packet_filter"
    """Chunk name -> rules; no chunk at all denies everything."""
    DERP_MAP = "derp_map"
    """DERPMap, its deltas folded."""
    SSH_POLICY = "ssh_policy"
    """SSHPolicy."""
    HEALTH = "health"
    """Id -> DisplayMessage."""
    SETTINGS = "settings"
    """CollectServices, TKAInfo, DomainDataPlaneAuditLogID, ControlDialPlan, ClientVersion, DefaultAutoUpdate."""


class PeerUpserted(msgspec.Struct, frozen=True, gc=False):
    """A peer is new or not what it was."""

    stable_id: str
    id: int
    encoded: bytes
    """What the encoder made of the Peer; the table keeps the same object."""


class PeerRemoved(msgspec.Struct, frozen=True, gc=False):
    """A peer is gone."""

    stable_id: str
    id: int


class SelfChanged(msgspec.Struct, frozen=True):
    """Our own node is not what it was."""

    node: Peer


class DocumentChanged(msgspec.Struct, frozen=True):
    """A document is not what it was."""

    document: Document
    json: bytes
    """b"" means there is none."""


class DomainChanged(msgspec.Struct, frozen=True):
    """The tailnet's display name."""

    domain: str


class Profile(msgspec.Struct, frozen=True):
    """A user that a node of the netmap refers to."""

    id: int
    login_name: str
    display_name: str
    profile_pic_url: str
    json: bytes


class UserProfilesChanged(msgspec.Struct, frozen=True):
    """Profiles that came or changed, and those nobody refers to any more."""

    upserted: tuple[Profile, ...]
    removed: tuple[int, ...]


Update = PeerUpserted | PeerRemoved | SelfChanged | DocumentChanged | DomainChanged | UserProfilesChanged


class Changes(msgspec.Struct, frozen=True):
    """The outcome of one MapResponse."""

    updates: list[Update]
    """In an order that can be applied one by one: removed peers before the ones that take their place."""
    keep_alive: bool = False
    """The message said nothing of the netmap; settings may have changed all the same."""
