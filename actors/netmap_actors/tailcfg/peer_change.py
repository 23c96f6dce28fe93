"""The patch to a peer: PeerChange.

Not here: what it does to a node (`netmap.node_json`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64

__all__ = ["PeerChange", "PeerChangeHead"]


class PeerChange(GoStruct, frozen=True):
    """A patch to one peer. A field that is absent (or zero, for the numbers) changes nothing."""

    node_id: Int64 = msgspec.field(default=0, name="NodeID")
    derp_region: Int32 = 0
    cap: Int32 = 0
    cap_map: dict[str, list[Any] | None] | None = None
    endpoints: tuple[str, ...] | None = None
    key: str | None = None
    key_signature: bytes | None = None
    disco_key: str | None = None
    online: bool | None = None
    last_seen: str | None = None
    key_expiry: str | None = None
    """Go's zero time clears the expiry."""


class PeerChangeHead(GoStruct, frozen=True):
    """The node of a PeerChange whose other fields may be invalid."""

    node_id: Int64 = msgspec.field(default=0, name="NodeID")
