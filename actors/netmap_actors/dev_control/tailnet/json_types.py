"""The JSON this control server writes: nodes, patches and the fixed parts of a MapResponse, under Tailscale's names.

Not here: what is sent to whom (`tailnet.client_netmap`). Apart from `tailcfg` on purpose: a server that shared the
client's reading of the protocol could not find the client's mistakes.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "KEEP_ALIVE",
    "ZERO_TIME",
    "JsonNode",
    "JsonPeerChange",
    "JsonPingRequest",
    "JsonUser",
    "encode_json",
]

ZERO_TIME = "0001-01-01T00:00:00Z"
"""Go's zero time.Time; in a PeerChange it clears the key expiry."""
KEEP_ALIVE = b'{"KeepAlive":true}'
"""Exactly what headscale and the hosted server send."""

encode_json = msgspec.json.Encoder().encode


def _go_name(name: str) -> str:
    """`key_expiry` -> `KeyExpiry`, with Go's capitals where Tailscale has them."""
    return _EXCEPTIONS.get(name) or "".join(part.capitalize() for part in name.split("_"))


_EXCEPTIONS = {
    "id": "ID",
    "stable_id": "StableID",
    "allowed_ips": "AllowedIPs",
    "home_derp": "HomeDERP",
    "node_id": "NodeID",
    "derp_region": "DERPRegion",
    "profile_pic_url": "ProfilePicURL",
    "url": "URL",
    "url_is_noise": "URLIsNoise",
}


class JsonNode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=_go_name):
    """A node as its peers see it (tailscale: tailcfg/tailcfg.go, type Node). Times are RFC 3339 texts."""

    id: int
    stable_id: str
    name: str
    """Fully qualified, with the trailing dot."""
    user: int
    key: str
    key_expiry: str | None = None
    machine: str = ""
    disco_key: str = ""
    addresses: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    home_derp: int = 0
    hostinfo: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    created: str = ""
    cap: int = 0
    tags: tuple[str, ...] = ()
    primary_routes: tuple[str, ...] = ()
    last_seen: str | None = None
    online: bool | None = None
    machine_authorized: bool = False
    cap_map: dict[str, list[msgspec.Raw]] | None = None
    expired: bool = False


class JsonPeerChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=_go_name):
    """A patch of a node its peers know already (tailcfg.PeerChange). Absent means unchanged."""

    node_id: int
    derp_region: int = 0
    cap: int = 0
    # Not empty tuples by default: a present empty list means "none any more", and defaults are omitted.
    cap_map: dict[str, list[msgspec.Raw]] | msgspec.UnsetType = msgspec.UNSET
    endpoints: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    key: str | None = None
    disco_key: str | None = None
    online: bool | None = None
    last_seen: str | None = None
    key_expiry: str | None = None


class JsonUser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=_go_name):
    """tailcfg.UserProfile."""

    id: int
    login_name: str
    display_name: str
    profile_pic_url: str = ""


class JsonPingRequest(msgspec.Struct, frozen=True, kw_only=True, rename=_go_name):
    """tailcfg.PingRequest. `url_is_noise` and `types` are always there: strict clients want both (tailscale-rs)."""

    url: str
    url_is_noise: bool = False
    types: str = ""
    """Empty for a HEAD of `url`, or `c2n`."""
    payload: bytes | msgspec.UnsetType = msgspec.UNSET
    """Of c2n: an HTTP request."""
