"""Patches and compares the JSON of a node; values, unknown ones included, stay the bytes they came as.

Rules of a patch: tailscale: control/controlclient/map.go. Not here: the meaning of fields (`model`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.errors import escape
from netmap_actors.netmap.model import Unreadable
from netmap_actors.tailcfg.go_json import REFUSALS, NotGoJson, decode, encode, is_set, is_zero_time
from netmap_actors.tailcfg.peer_change import PeerChange

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["members", "patch_of", "same_json", "with_members"]

_OBJECT: Final[msgspec.json.Decoder[dict[str, msgspec.Raw]]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final[msgspec.json.Decoder[list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw])

_PATCHED: Final = (
    "CapMap",
    "Endpoints",
    "Key",
    "KeySignature",
    "DiscoKey",
    "Online",
    "LastSeen",
    "KeyExpiry",
)
"""Members of PeerChange that replace the member of Node; the numbers have rules of their own."""


def members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The members of an object that are not null. Raises Unreadable when it is no object."""
    return {key: value for key, value in _all_members(data).items() if is_set(value)}


def with_members(data: bytes, changed: Mapping[str, bytes | None]) -> bytes:
    """The object with these members set, or deleted (None). Raises Unreadable when it is no object."""
    out = _all_members(data)
    for key, value in changed.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = msgspec.Raw(value)
    return encode(out)


def patch_of(data: bytes | msgspec.Raw) -> tuple[int, dict[str, bytes | None]]:
    """The NodeID of a PeerChange, and the members of Node that it sets or deletes (None).

    Raises Unreadable for a wrong type.
    """
    try:
        patch = decode(PeerChange, data)
    except NotGoJson as e:
        raise Unreadable(escape(str(e))) from None
    given = members(data)
    changed: dict[str, bytes | None] = {name: bytes(given[name]) for name in _PATCHED if name in given}
    # A patch cannot clear a number: zero is absent.
    if patch.derp_region:
        changed["HomeDERP"] = encode(patch.derp_region)
    if patch.cap:
        changed["Cap"] = encode(patch.cap)
    if patch.key_expiry is not None and is_zero_time(patch.key_expiry):
        changed["KeyExpiry"] = None
    return patch.node_id, changed


def same_json(a: bytes, b: bytes) -> bool:
    """Whether two documents are equal but for white space and the order of members.

    Different spellings of a number or string count as different: a superfluous update is better than a lost one.
    """
    if a == b:
        return True
    try:
        return _same(msgspec.Raw(a), msgspec.Raw(b))
    except REFUSALS:
        return False


def _all_members(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _OBJECT.decode(data)
    except REFUSALS as e:
        raise Unreadable(f"cannot take apart an object: {escape(str(e))}") from None


def _same(a: msgspec.Raw, b: msgspec.Raw) -> bool:
    """As `same_json`, of two that are not the same bytes."""
    kind = bytes(memoryview(a)[:1])
    if kind != bytes(memoryview(b)[:1]):
        return False
    if kind == b"{":
        mine, others = _OBJECT.decode(a), _OBJECT.decode(b)
        if mine.keys() != others.keys():
            return False
        # Most members are the same bytes: to call for those, too, would take longer than to decode both.
        return all(value == others[key] or _same(value, others[key]) for key, value in mine.items())
    if kind == b"[":
        left, right = _LIST.decode(a), _LIST.decode(b)
        return len(left) == len(right) and all(
            one == other or _same(one, other) for one, other in zip(left, right, strict=True)
        )
    return False
