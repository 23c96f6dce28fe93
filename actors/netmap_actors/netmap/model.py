"""One node as published, decoded from the control server's JSON.

Rules: tailscale: tailcfg/tailcfg.go (type Node), control/controlclient/map.go (upgradeNode). Not here: the table
(`peer_table`) and patches (`node_json`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import msgspec

from netmap_actors.errors import escape
from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64, NotGoJson, decode, is_zero_key, is_zero_time

__all__ = [
    "NetmapNode",
    "NodeFields",
    "Unreadable",
    "digest_of",
    "identify",
    "node_of",
    "quarantined_node",
    "read_node",
]


class NetmapNode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A peer, or our own node. Times are RFC 3339 texts as they came, "" for none."""

    stable_id: str
    """StableID, or `id:<NodeID>` without one."""
    id: int
    name: str = ""
    """Without the trailing dot; may be empty."""
    addresses: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()
    online: bool | None = None
    """Connected to the control server; None: not sent."""
    last_seen: str = ""
    tags: tuple[str, ...] = ()
    user_id: int = 0
    sharer_id: int = 0
    """The user who shares it into this tailnet, 0 for none."""
    jailed: bool = False
    wireguard_only: bool = False
    os: str = ""
    hostname: str = ""
    routes: tuple[str, ...] = ()
    """PrimaryRoutes: subnets of which it is the chosen router."""
    key: str = ""
    key_expiry: str = ""
    expired: bool = False
    home_derp: int = 0
    endpoints: tuple[str, ...] = ()
    machine_key: str = ""
    disco_key: str = ""
    created: str = ""
    cap: int = 0
    json: bytes = b""
    """The server's Node with unknown fields and patches."""
    decoded: bool = True
    """False: in quarantine, only stable_id, id and json are valid."""


class Unreadable(ValueError):
    """JSON that is not a valid node; the text is fit for a log."""


class _HostFields(GoStruct, frozen=True, gc=False):
    os: str = ""
    hostname: str = ""


class NodeFields(GoStruct, frozen=True, gc=False):
    """The fields of a Node that are published or used; others are ignored."""

    id: Int64 = 0
    stable_id: str = ""
    name: str = ""
    user: Int64 = 0
    sharer: Int64 = 0
    key: str = ""
    key_expiry: str = ""
    machine: str = ""
    disco_key: str = ""
    addresses: tuple[str, ...] | None = None
    allowed_ips: tuple[str, ...] | None = None
    endpoints: tuple[str, ...] | None = None
    legacy_derp: str = msgspec.field(default="", name="DERP")
    home_derp: Int32 = 0
    hostinfo: _HostFields | None = None
    created: str = ""
    cap: Int32 = 0
    tags: tuple[str, ...] | None = None
    primary_routes: tuple[str, ...] | None = None
    last_seen: str = ""
    online: bool | None = None
    unsigned_peer_api_only: bool = False
    expired: bool = False
    machine_authorized: bool = False
    is_jailed: bool = False
    is_wireguard_only: bool = False


class _Identity(GoStruct, frozen=True):
    id: Int64 = 0
    stable_id: str = ""


class _NodeIdOnly(GoStruct, frozen=True):
    id: Int64 = 0


class _StableIdOnly(GoStruct, frozen=True):
    stable_id: str = ""


_HEX_KEY: Final = "[0-9a-fA-F]{64}"
_KEYS: Final = re.compile(f"(?:nodekey:{_HEX_KEY})? (?:mkey:{_HEX_KEY})? (?:discokey:{_HEX_KEY})?")
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PREFIX: Final = (
    rf"(?:{_OCTET}(?:\.{_OCTET}){{3}}/(?:3[0-2]|[12]?[0-9])"
    r"|[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]{1,41}/(?:12[0-8]|1[01][0-9]|[1-9]?[0-9]))"
)
_PREFIXES: Final = re.compile(rf"{_PREFIX}(?:,{_PREFIX})*")
_LEGACY_DERP: Final = re.compile(r"127\.3\.3\.40:([0-9]{1,9})")
_ZERO_KEY_END: Final = "00000000"
_NO_HOST: Final = _HostFields()
_DIGEST_CHARACTERS: Final = 16


def read_node(data: bytes) -> NodeFields:
    """The fields of a Node. Raises Unreadable for a wrong type, a malformed key or prefix."""
    try:
        fields = decode(NodeFields, data)
    except NotGoJson as e:
        raise Unreadable(escape(str(e))) from None
    if not _KEYS.fullmatch(f"{fields.key} {fields.machine} {fields.disco_key}"):
        raise Unreadable("cannot read Node: a key is not 64 hexadecimal digits behind its prefix")
    addresses, allowed_ips, routes = fields.addresses, fields.allowed_ips, fields.primary_routes
    if (
        (addresses and not _PREFIXES.fullmatch(",".join(addresses)))
        or (allowed_ips and allowed_ips != addresses and not _PREFIXES.fullmatch(",".join(allowed_ips)))
        or (routes and not _PREFIXES.fullmatch(",".join(routes)))
    ):
        raise Unreadable("cannot read Node: an address is not an IP prefix")
    return fields


def node_of(fields: NodeFields, data: bytes) -> NetmapNode:
    """The NetmapNode of `fields`, read from `data`."""
    addresses = fields.addresses or ()
    # A peer with an unsigned key is reachable but routes nothing (tailscale: map.go, upgradeNode).
    own_only = fields.allowed_ips is None or fields.unsigned_peer_api_only
    host = fields.hostinfo or _NO_HOST
    return NetmapNode(
        stable_id=fields.stable_id or f"id:{fields.id}",
        id=fields.id,
        name=fields.name.removesuffix("."),
        addresses=addresses,
        allowed_ips=addresses if own_only else fields.allowed_ips or (),
        online=fields.online,
        last_seen=_time(fields.last_seen),
        tags=fields.tags or (),
        user_id=fields.user,
        sharer_id=fields.sharer,
        jailed=fields.is_jailed,
        wireguard_only=fields.is_wireguard_only,
        os=host.os,
        hostname=host.hostname,
        routes=fields.primary_routes or (),
        key=_key(fields.key),
        key_expiry=_time(fields.key_expiry),
        expired=fields.expired,
        home_derp=fields.home_derp or _legacy_derp(fields.legacy_derp),
        endpoints=fields.endpoints or (),
        machine_key=_key(fields.machine),
        disco_key=_key(fields.disco_key),
        created=_time(fields.created),
        cap=fields.cap,
        json=data,
    )


def quarantined_node(stable_id: str, node_id: int, data: bytes) -> NetmapNode:
    """A NetmapNode of which only the identity is known."""
    return NetmapNode(stable_id=stable_id, id=node_id, json=data, decoded=False)


def identify(data: bytes | msgspec.Raw) -> tuple[int | None, str]:
    """(NodeID, StableID) of a Node as far as readable: None without a NodeID, "" without a StableID."""
    try:
        identity = decode(_Identity, data)
    except NotGoJson:
        return _node_id(data), _stable_id(data)
    return identity.id, identity.stable_id


def digest_of(data: bytes) -> str:
    """A short name for JSON without an identity."""
    return hashlib.sha256(data).hexdigest()[:_DIGEST_CHARACTERS]


def _node_id(data: bytes | msgspec.Raw) -> int | None:
    try:
        return decode(_NodeIdOnly, data).id
    except NotGoJson:
        return None


def _stable_id(data: bytes | msgspec.Raw) -> str:
    try:
        return decode(_StableIdOnly, data).stable_id
    except NotGoJson:
        return ""


def _time(text: str) -> str:
    return "" if text and is_zero_time(text) else text


def _key(text: str) -> str:
    return "" if text.endswith(_ZERO_KEY_END) and is_zero_key(text) else text


def _legacy_derp(text: str) -> int:
    match = _LEGACY_DERP.fullmatch(text) if text else None
    return int(match[1]) if match else 0
