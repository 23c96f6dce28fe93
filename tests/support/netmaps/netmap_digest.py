"""A netmap as plain values and as one number, by which whole netmaps are compared cheaply.

A peer is read here from the control server's JSON by the tests' own rules, and from a subscriber through its public
fields; both readings give the same values, so that what is shown can be held against what was sent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from netmap_actors.subscriber import Netmap

Peer = dict[str, Any]


def number_of(value: Any) -> int:
    """128 bits that stand for a plain value, whatever the order of its keys."""
    text = msgspec.json.encode(value, order="deterministic")
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big")


def peer_sent(node: Mapping[str, Any]) -> Peer:
    """What a subscriber has to show for this node of a control server."""
    hostinfo = node.get("Hostinfo") or {}
    addresses = node.get("Addresses") or []
    allowed = node.get("AllowedIPs")
    return {
        "stable_id": node["StableID"],
        "id": node["ID"],
        "name": node["Name"].rstrip("."),
        "addresses": addresses,
        "allowed_ips": addresses if allowed is None else allowed,
        "online": node.get("Online"),
        "tags": node.get("Tags") or [],
        "user_id": node["User"],
        "os": hostinfo.get("OS", ""),
        "routes": node.get("PrimaryRoutes") or [],
        "key": node["Key"],
        "expired": node.get("Expired", False),
        "home_derp": node.get("HomeDERP", 0),
        "endpoints": node.get("Endpoints") or [],
        "machine_key": node.get("Machine", ""),
        "disco_key": node.get("DiscoKey", ""),
        "cap": node.get("Cap", 0),
        "cap_map": node.get("CapMap") or {},
        "decoded": True,
    }


_FIELDS = frozenset(peer_sent({"StableID": "", "ID": 0, "Name": "", "User": 0, "Key": ""}))


def peer_shown(peer: Mapping[str, Any]) -> Peer:
    """The same of a peer that a subscriber shows. Its login name is left out: it moves with the user profiles."""
    return {name: value for name, value in peer.items() if name in _FIELDS}


def rest_of(domain: str, dns: Any, users: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What is compared besides the peers; users as {id, login_name, display_name}."""
    named = {str(user["id"]): [user["login_name"], user["display_name"]] for user in users}
    return {"domain": domain, "dns": dns, "users": named}


def rest_shown(netmap: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a netmap as a subscriber writes it."""
    return rest_of(netmap["domain"], netmap["dns"], netmap["user_profiles"])


def rest_of_view(netmap: Netmap) -> dict[str, Any]:
    """The same of a netmap as a subscriber has it."""
    return rest_of(
        netmap.domain, netmap.dns, (profile.to_json() for profile in netmap.user_profiles.values())
    )


class PeersNumber:
    """One number for a set of peers, kept up while peers come, change and go."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.value = 0

    def put(self, stable_id: str, peer: Peer) -> None:
        self.drop(stable_id)
        self._numbers[stable_id] = number_of(peer)
        self.value = (self.value + self._numbers[stable_id]) % (1 << 128)

    def drop(self, stable_id: str) -> None:
        self.value = (self.value - self._numbers.pop(stable_id, 0)) % (1 << 128)


def digest(peers: int, rest: dict[str, Any]) -> str:
    """The whole netmap."""
    return f"{peers:032x}{number_of(rest):032x}"
