"""One node of the netmap, as a value that decodes what is read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError

from netmap_actors.rfc3339 import moment
from netmap_actors.subscriber.naming import is_meant, short_name
from netmap_actors.wire import netmap_pb2

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

__all__ = ["Peer", "UserProfile", "decoded_peer", "differences", "parse_json"]

_SHOWN_KEYS = frozenset(
    {
        "StableID", "ID", "Name", "Addresses", "AllowedIPs", "Online", "LastSeen", "Tags", "User", "PrimaryRoutes",
        "Key", "KeyExpiry", "Expired", "HomeDERP", "DERP", "LegacyDERPString", "Endpoints", "Machine", "DiscoKey",
        "Created", "Cap", "CapMap", "Sharer", "IsJailed", "IsWireGuardOnly",
    }
)  # fmt: skip
"""Keys of the control server's Node that `Peer.to_json` covers (tailscale: tailcfg/tailcfg.go)."""


class UserProfile(msgspec.Struct, frozen=True):
    """A user of the tailnet."""

    id: int
    login_name: str = ""
    display_name: str = ""
    profile_pic_url: str = ""

    def to_json(self) -> dict[str, Any]:
        """The profile as plain values."""
        return msgspec.structs.asdict(self)


class Peer:
    """A node: a peer of ours, or our own.

    Attributes carry the names and values of `to_json`; a value the control server did not give is None for a single
    value (`online` None means unknown, `key_expiry` None means never) and empty for a list.
    """

    __slots__ = ("_held", "_piece", "_profiles", "_suffix")

    def __init__(self, piece: bytes, profiles: Mapping[int, UserProfile], suffix: str | None = None) -> None:
        """`suffix`: what the names of our own tailnet end with (`naming.own_suffix`); None: not known."""
        self._piece = piece
        self._profiles = profiles
        self._suffix = suffix
        self._held: netmap_pb2.Peer | None = None

    # The piece stays encoded: a decoded one would take more memory than decoding takes time (some µs).
    @property
    def _message(self) -> netmap_pb2.Peer:
        return decoded_peer(self._piece) if self._held is None else self._held

    def held(self) -> Peer:
        """The same node decoded once, to read many of its fields; it takes more memory."""
        other = Peer(self._piece, self._profiles, self._suffix)
        other._held = decoded_peer(self._piece)
        return other

    @property
    def stable_id(self) -> str:
        """The persistent identity: StableID, or "id:<NodeID>" where the server gives none."""
        return self._message.stable_id

    @property
    def id(self) -> int:
        """NodeID, any int64."""
        return self._message.id

    @property
    def name(self) -> str:
        """Fully qualified, without the trailing dot; may be empty."""
        return self._message.name

    @property
    def short_name(self) -> str | None:
        """The first label of the name, for a node of our own tailnet; None for every other (`naming`)."""
        message = self._message
        return short_name(message.name, message.sharer_id, self._suffix)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Prefixes: "100.64.0.1/32"."""
        return tuple(self._message.addresses)

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses without prefix length."""
        return tuple(prefix.partition("/")[0] for prefix in self._message.addresses)

    @property
    def allowed_ips(self) -> tuple[str, ...]:
        """Prefixes whose packets this node may send and receive."""
        return tuple(self._message.allowed_ips)

    @property
    def online(self) -> bool | None:
        """Contact with the control server, not reachability; None: the server did not say."""
        message = self._message
        return message.online if message.HasField("online") else None

    @property
    def last_seen(self) -> str | None:
        """RFC 3339."""
        return self._message.last_seen or None

    @property
    def last_seen_at(self) -> datetime.datetime | None:
        """The same as a moment in UTC; None also for a text that is no time."""
        return moment(self.last_seen)

    @property
    def tags(self) -> tuple[str, ...]:
        """ "tag:web", ..."""
        return tuple(self._message.tags)

    @property
    def user(self) -> str | None:
        """Login name of the owner; None when the server gave no profile for `user_id`."""
        return self._login(self._message.user_id)

    @property
    def user_id(self) -> int:
        """UserID of the owner."""
        return self._message.user_id

    @property
    def shared_in(self) -> bool:
        """It belongs to another tailnet and is shared into ours."""
        return bool(self._message.sharer_id)

    @property
    def sharer(self) -> str | None:
        """Login name of the user who shares it in; None for none, or without a profile for `sharer_id`."""
        return self._login(self._message.sharer_id)

    @property
    def sharer_id(self) -> int:
        """UserID of the user who shares it in, 0 for none."""
        return self._message.sharer_id

    @property
    def jailed(self) -> bool:
        """It may not begin connections to us."""
        return self._message.jailed

    @property
    def wireguard_only(self) -> bool:
        """It speaks WireGuard and nothing of Tailscale's."""
        return self._message.wireguard_only

    @property
    def os(self) -> str:
        """ "linux", "macOS", ..."""
        return self._message.os

    @property
    def hostname(self) -> str:
        """What the machine calls itself."""
        return self._message.hostname

    @property
    def routes(self) -> tuple[str, ...]:
        """Subnet routes this node is primary for."""
        return tuple(self._message.routes)

    @property
    def key(self) -> str:
        """ "nodekey:" and 64 hex digits."""
        return self._message.key

    @property
    def key_expiry(self) -> str | None:
        """RFC 3339; None: never."""
        return self._message.key_expiry or None

    @property
    def key_expiry_at(self) -> datetime.datetime | None:
        """The same as a moment in UTC; None also for a text that is no time."""
        return moment(self.key_expiry)

    @property
    def expired(self) -> bool:
        """The key has expired: the server says so, or its moment has come."""
        return self._message.expired

    @property
    def home_derp(self) -> int:
        """DERP region, 0 = unknown."""
        return self._message.home_derp

    @property
    def endpoints(self) -> tuple[str, ...]:
        """ "192.0.2.1:41641", ..."""
        return tuple(self._message.endpoints)

    @property
    def machine_key(self) -> str:
        """ "mkey:" and 64 hex digits."""
        return self._message.machine_key

    @property
    def disco_key(self) -> str:
        """ "discokey:" and 64 hex digits."""
        return self._message.disco_key

    @property
    def created(self) -> str | None:
        """RFC 3339."""
        return self._message.created or None

    @property
    def created_at(self) -> datetime.datetime | None:
        """The same as a moment in UTC; None also for a text that is no time."""
        return moment(self.created)

    @property
    def cap(self) -> int:
        """Capability version of the client."""
        return self._message.cap

    @property
    def cap_map(self) -> dict[str, Any]:
        """Capabilities of the node and their arguments."""
        return _mapping(self.json.get("CapMap"))

    @property
    def decoded(self) -> bool:
        """False: the server's JSON did not decode as a node; only the two ids and `json` can be relied on."""
        return self._message.decoded

    @property
    def json(self) -> dict[str, Any]:
        """The node as the control server's JSON, with every field that is not above."""
        return _mapping(parse_json(self._message.json))

    def is_called(self, word: str) -> bool:
        """Whether this is its full or short name, an address, its stable id or node key; another node may be, too."""
        return is_meant(word, self)

    def to_json(self) -> dict[str, Any]:
        """The node as plain values; addresses, keys and times stay text."""
        message = self._message
        return {
            "stable_id": message.stable_id,
            "id": message.id,
            "name": message.name,
            "addresses": list(message.addresses),
            "allowed_ips": list(message.allowed_ips),
            "online": message.online if message.HasField("online") else None,
            "last_seen": message.last_seen or None,
            "tags": list(message.tags),
            "user": self._login(message.user_id),
            "user_id": message.user_id,
            "os": message.os,
            "hostname": message.hostname,
            "routes": list(message.routes),
            "key": message.key,
            "key_expiry": message.key_expiry or None,
            "expired": message.expired,
            "home_derp": message.home_derp,
            "endpoints": list(message.endpoints),
            "machine_key": message.machine_key,
            "disco_key": message.disco_key,
            "created": message.created or None,
            "cap": message.cap,
            "cap_map": _mapping(_mapping(parse_json(message.json)).get("CapMap")),
            "decoded": message.decoded,
            "sharer": self._login(message.sharer_id),
            "sharer_id": message.sharer_id,
            "jailed": message.jailed,
            "wireguard_only": message.wireguard_only,
        }

    def _login(self, user_id: int) -> str | None:
        profile = self._profiles.get(user_id)
        return profile.login_name if profile is not None else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Peer):
            return NotImplemented
        return self._piece == other._piece

    def __hash__(self) -> int:
        return hash(self._piece)

    def __repr__(self) -> str:
        message = self._message
        return f"<Peer {message.stable_id} {message.name!r}>"


def decoded_peer(piece: bytes) -> netmap_pb2.Peer:
    """The message in a piece; an empty one for bytes that do not decode."""
    try:
        return netmap_pb2.Peer.FromString(piece)
    except DecodeError:
        return netmap_pb2.Peer()


def differences(old: Peer, new: Peer) -> dict[str, Any]:
    """Old values of what is different: names of `to_json`, then "node.<Key>" for keys of the server's JSON beyond them.

    Empty when only the way of writing differs.
    """
    before, after = old.to_json(), new.to_json()
    # A login name may have come or gone with a profile, without any change of the peer.
    same = {login for login in ("user", "sharer") if before[f"{login}_id"] == after[f"{login}_id"]}
    found = {name: before[name] for name in before if before[name] != after[name] and name not in same}
    raw_before, raw_after = old.json, new.json
    for key in sorted(raw_before.keys() | raw_after.keys()):
        if key not in _SHOWN_KEYS and raw_before.get(key) != raw_after.get(key):
            found[f"node.{key}"] = raw_before.get(key)
    return found


def parse_json(data: bytes) -> Any:
    """The value of a JSON document; None for an empty or invalid one."""
    if not data:
        return None
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
