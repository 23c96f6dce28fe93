"""The identity of our own node, which no peer may have."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.tailcfg.go_json import GoStruct, NotGoJson, decode

if TYPE_CHECKING:
    from netmap_actors.netmap.model import NetmapNode

__all__ = ["OwnNode"]

_GROUP: Final = "[1-9a-f][0-9a-f]{0,3}"
_USUAL: Final = re.compile(rf"(?:(?:{_GROUP}:){{1,3}}(?::{_GROUP}){{1,3}}|(?:{_GROUP}:){{7}}{_GROUP})/[0-9]+")
"""IPv6 prefixes in canonical form, as nearly all are; to format one takes ten times as long."""


class _Claims(GoStruct, frozen=True):
    stable_id: str = ""
    key: str = ""
    addresses: tuple[str, ...] | None = None


class OwnNode(msgspec.Struct, frozen=True):
    """Our ids, key and addresses as far as known; empty ones match nothing. In canonical form."""

    stable_id: str = ""
    id: int = 0
    key: str = ""
    addresses: frozenset[str] = frozenset()

    @classmethod
    def of(cls, node: NetmapNode | None) -> OwnNode:
        """The identity of this node; of one in quarantine the ids only."""
        if node is None:
            return cls()
        return cls(node.stable_id, node.id, node.key.lower(), frozenset(map(_canonical, node.addresses)))

    def claimed_by(self, peer: NetmapNode) -> str:
        """What of ours this peer has, "" for nothing."""
        if peer.stable_id == self.stable_id:
            return "stable id"
        if peer.id == self.id != 0:
            return "NodeID"
        if peer.key.lower() == self.key != "":
            return "node key"
        return "" if self.addresses.isdisjoint(map(_canonical, peer.addresses)) else "address"

    def may_be_in(self, json: bytes) -> bool:
        """Whether the peer with this JSON may have our key, stable id or address; faster than to decode it."""
        try:
            claims = decode(_Claims, json)
        except NotGoJson:
            return True
        if claims.key.lower() == self.key != "" or claims.stable_id == self.stable_id != "":
            return True
        return not self.addresses.isdisjoint(map(_canonical, claims.addresses or ()))


def _canonical(prefix: str) -> str:
    """The canonical form: "fd7a:0::1/128" is fd7a::1/128, "::ffff:100.64.0.1/128" is 100.64.0.1/32."""
    if ":" not in prefix or _USUAL.fullmatch(prefix):
        return prefix
    bare, _, bits = prefix.partition("/")
    try:
        address = ipaddress.IPv6Address(bare)
    except ValueError:
        return prefix
    mapped = address.ipv4_mapped if bits == "128" else None
    return f"{mapped}/32" if mapped else f"{address}/{bits}"
