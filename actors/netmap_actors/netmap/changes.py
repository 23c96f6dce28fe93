"""The true differences made by one MapResponse, as values.

Not here: their sequence numbers and encoding for the bus (`publisher.publication`).
"""

from __future__ import annotations

import enum

import msgspec

from netmap_actors.netmap.model import NetmapNode  # noqa: TC001 - msgspec reads the annotations

__all__ = [
    "Changes",
    "Document",
    "DocumentUpdate",
    "DomainUpdate",
    "NetmapUpdate",
    "PeerRemoval",
    "PeerUpsert",
    "Profile",
    "ProfilesUpdate",
    "SelfUpdate",
]


class Document(enum.Enum):
    """A part of the netmap that is one JSON document."""

    DNS = "dns"
    """DNSConfig."""
    PACKET_FILTER = "packet_filter"
    """Chunk name -> rules; without any chunk everything is denied."""
    DERP_MAP = "derp_map"
    """DERPMap, its deltas folded."""
    SSH_POLICY = "ssh_policy"
    """SSHPolicy."""
    HEALTH = "health"
    """Id -> DisplayMessage."""
    SETTINGS = "settings"
    """CollectServices, TKAInfo, DomainDataPlaneAuditLogID, ControlDialPlan, ClientVersion, DefaultAutoUpdate."""


class PeerUpsert(msgspec.Struct, frozen=True, gc=False):
    """A peer is new or has changed."""

    stable_id: str
    id: int
    encoded: bytes
    """The encoded NetmapNode, the same object as in the table."""


class PeerRemoval(msgspec.Struct, frozen=True, gc=False):
    """A peer is gone."""

    stable_id: str
    id: int


class SelfUpdate(msgspec.Struct, frozen=True):
    """Our own node has changed."""

    node: NetmapNode


class DocumentUpdate(msgspec.Struct, frozen=True):
    """A document has changed."""

    document: Document
    json: bytes
    """b"": there is none."""


class DomainUpdate(msgspec.Struct, frozen=True):
    """The tailnet's display name has changed."""

    domain: str


class Profile(msgspec.Struct, frozen=True):
    """A user that a node of the netmap refers to."""

    id: int
    login_name: str
    display_name: str
    profile_pic_url: str
    json: bytes


class ProfilesUpdate(msgspec.Struct, frozen=True):
    """Profiles that are new or have changed, and those no longer referred to."""

    upserted: tuple[Profile, ...]
    removed: tuple[int, ...]


NetmapUpdate = PeerUpsert | PeerRemoval | SelfUpdate | DocumentUpdate | DomainUpdate | ProfilesUpdate


class Changes(msgspec.Struct, frozen=True):
    """The outcome of one MapResponse."""

    updates: list[NetmapUpdate]
    """In an order to be applied one by one: removed peers before those that replace them."""
    keep_alive: bool = False
    """The message held nothing of the netmap; settings may still have changed."""
