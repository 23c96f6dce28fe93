"""One node as published, decoded from the control server's JSON.

Rules: tailscale: tailcfg/tailcfg.go (type Node), control/controlclient/map.go (upgradeNode). Not here: the table
(`peer_table`) and patches (`node_json`).
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from netmap_actors.errors import escape
from netmap_actors.tailcfg.go_json import ZERO_TIME, GoStruct, Int32, Int64, NotGoJson, decode, is_zero_key

__all__ = [
    "NetmapNode",
    "Unreadable",
    "digest_of",
    "identify",
    "quarantined_node",
    "read_node",
]


class _HostFields(GoStruct, frozen=True, gc=False):
    os: str = ""
    hostname: str = ""


if TYPE_CHECKING:
    _Texts = tuple[str, ...]
else:
    _Texts = tuple[str, ...] | None  # null on the wire; `read_node` leaves no None

_NULL: Final[Any] = None


class NetmapNode(GoStruct, frozen=True, gc=False):
    """A peer, or our own node, as `read_node` leaves it. Times are RFC 3339 texts as they came, "" for none.

    It is decoded as it is: to copy thirty fields from one object to another takes longer than to decode them.
    """

    id: Int64 = 0
    stable_id: str = ""
    """StableID, or `id:<NodeID>` without one."""
    name: str = ""
    """Without the trailing dot; may be empty."""
    user_id: Int64 = msgspec.field(default=0, name="User")
    sharer_id: Int64 = msgspec.field(default=0, name="Sharer")
    """The user who shares it into this tailnet, 0 for none."""
    key: str = ""
    key_expiry: str = ""
    machine_key: str = msgspec.field(default="", name="Machine")
    disco_key: str = ""
    addresses: _Texts = ()
    allowed_ips: _Texts = _NULL
    endpoints: _Texts = ()
    legacy_derp: str = msgspec.field(default="", name="DERP")
    """Of old servers: the home region as an address; `home_derp` has it."""
    home_derp: Int32 = 0
    hostinfo: _HostFields | None = None
    created: str = ""
    cap: Int32 = 0
    tags: _Texts = ()
    routes: _Texts = msgspec.field(default=(), name="PrimaryRoutes")
    """Subnets of which it is the chosen router."""
    last_seen: str = ""
    online: bool | None = None
    """Connected to the control server; None: not sent."""
    unsigned_peer_api_only: bool = False
    expired: bool = False
    machine_authorized: bool = False
    jailed: bool = msgspec.field(default=False, name="IsJailed")
    wireguard_only: bool = msgspec.field(default=False, name="IsWireGuardOnly")
    json: bytes = msgspec.field(default=b"", name=" json")
    """The server's Node with unknown fields and patches. No server sends the name of this member and the next."""
    decoded: bool = msgspec.field(default=True, name=" decoded")
    """False: in quarantine, only stable_id, id and json are valid."""


class Unreadable(ValueError):
    """JSON that is not a valid node; the text is fit for a log."""


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
_set: Final = msgspec.structs.force_setattr
_DIGEST_CHARACTERS: Final = 16


def read_node(data: bytes) -> NetmapNode:
    """The node in a Node's JSON. Raises Unreadable for a wrong type, a malformed key or prefix."""
    try:
        node = decode(NetmapNode, data)
    except NotGoJson as e:
        raise Unreadable(escape(str(e))) from None
    keys = f"{node.key} {node.machine_key} {node.disco_key}"
    if not _KEYS.fullmatch(keys):
        raise Unreadable("cannot read Node: a key is not 64 hexadecimal digits behind its prefix")
    addresses, allowed_ips, routes = node.addresses, node.allowed_ips, node.routes
    if (
        (addresses and not _PREFIXES.fullmatch(",".join(addresses)))
        or (allowed_ips and allowed_ips != addresses and not _PREFIXES.fullmatch(",".join(allowed_ips)))
        or (routes and not _PREFIXES.fullmatch(",".join(routes)))
    ):
        raise Unreadable("cannot read Node: an address is not an IP prefix")
    _settle(node, data)
    if _ZERO_KEY_END in keys:
        _settle_keys(node)
    return node


def _settle(node: NetmapNode, data: bytes) -> None:
    """Turn what the server wrote, just decoded from `data`, into what is meant; not the keys."""
    _set(node, "json", data)
    if node.decoded is not True:
        _set(node, "decoded", True)
    if not node.stable_id:
        _set(node, "stable_id", f"id:{node.id}")
    if node.name.endswith("."):
        _set(node, "name", node.name[:-1])
    if node.addresses is _NULL:
        _set(node, "addresses", ())
    # A peer with an unsigned key is reachable but routes nothing (tailscale: map.go, upgradeNode).
    if node.allowed_ips is _NULL or node.unsigned_peer_api_only:
        _set(node, "allowed_ips", node.addresses)
    if node.endpoints is _NULL:
        _set(node, "endpoints", ())
    if node.tags is _NULL:
        _set(node, "tags", ())
    if node.routes is _NULL:
        _set(node, "routes", ())
    if node.key_expiry and node.key_expiry.startswith(ZERO_TIME):
        _set(node, "key_expiry", "")
    if node.created and node.created.startswith(ZERO_TIME):
        _set(node, "created", "")
    if node.last_seen and node.last_seen.startswith(ZERO_TIME):
        _set(node, "last_seen", "")
    if node.legacy_derp and not node.home_derp and (match := _LEGACY_DERP.fullmatch(node.legacy_derp)):
        _set(node, "home_derp", int(match[1]))


def _settle_keys(node: NetmapNode) -> None:
    for name, text in (("key", node.key), ("machine_key", node.machine_key), ("disco_key", node.disco_key)):
        if is_zero_key(text):
            _set(node, name, "")


def quarantined_node(stable_id: str, node_id: int, data: bytes) -> NetmapNode:
    """A NetmapNode of which only the identity is known."""
    return NetmapNode(stable_id=stable_id, id=node_id, allowed_ips=(), json=data, decoded=False)


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
