"""A node of the tailnet as the control server describes it, and the patch to one.

Not here: what the publisher makes of a node (`netmap.model`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from typing import Any

import msgspec

from netmap_actors.tailcfg.dns import Resolver  # noqa: TC001 - msgspec reads the annotations when it decodes
from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64
from netmap_actors.tailcfg.hostinfo import Hostinfo  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = ["Node", "PeerChange"]


class Node(GoStruct, frozen=True):
    """A node: ourselves in `MapResponse.Node`, a peer elsewhere."""

    id: Int64 = 0
    stable_id: str = ""
    name: str = ""
    """Fully qualified, with the trailing dot; testcontrol sends bare names, and none for its fake nodes."""
    user: Int64 = 0
    sharer: Int64 = 0
    key: str = ""
    key_expiry: str = ""
    key_signature: bytes | None = None
    machine: str = ""
    disco_key: str = ""
    addresses: tuple[str, ...] | None = None
    allowed_ips: tuple[str, ...] | None = None
    """None means the same as `addresses`; empty means empty."""
    endpoints: tuple[str, ...] | None = None
    legacy_derp: str = msgspec.field(default="", name="DERP")
    """`127.3.3.40:<region>`, from before `home_derp`."""
    home_derp: Int32 = 0
    hostinfo: Hostinfo | None = None
    created: str = ""
    cap: Int32 = 0
    tags: tuple[str, ...] | None = None
    primary_routes: tuple[str, ...] | None = None
    last_seen: str = ""
    online: bool | None = None
    machine_authorized: bool = False
    capabilities: tuple[str, ...] | None = None
    cap_map: dict[str, list[Any] | None] | None = None
    """A capability is there when its key is, whatever the value."""
    unsigned_peer_api_only: bool = False
    computed_name: str = ""
    computed_name_with_host: str = ""
    data_plane_audit_log_id: str = ""
    expired: bool = False
    self_node_v4_masq_addr_for_this_peer: str = ""
    self_node_v6_masq_addr_for_this_peer: str = ""
    is_wireguard_only: bool = False
    is_jailed: bool = False
    exit_node_dns_resolvers: tuple[Resolver | None, ...] | None = None


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
