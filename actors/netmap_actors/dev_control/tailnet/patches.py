"""The PeerChange between two states of a node, computed once for all clients that get it.

Not here: which clients those are, and what else a message says (`tailnet.client_netmap`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.tailnet.json_types import ZERO_TIME

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.json_types import JsonNode

__all__ = ["Patches"]

_PATCHABLE = frozenset(
    {"home_derp", "cap", "cap_map", "endpoints", "key", "disco_key", "online", "last_seen", "key_expiry"}
)
"""Fields of a node a PeerChange can carry (tailscale: tailcfg/tailcfg.go)."""
_MAX_KEPT = 4096


class Patches:
    """Cache of recent patches by the two states: a thousand clients need the same one."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], tuple[JsonNode, JsonNode, dict[str, Any] | None]] = {}

    def between(self, sent: JsonNode, node: JsonNode) -> dict[str, Any] | None:
        """The fields of a PeerChange that turns one into the other, none where peers see no difference; None when
        nothing but the whole node will do.
        """
        key = (id(sent), id(node))
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _MAX_KEPT:
                self._made.clear()
            # Both are kept with it, so that no other node can have their ids.
            made = self._made[key] = (sent, node, _patch(sent, node))
        return made[2]


def _patch(sent: JsonNode, node: JsonNode) -> dict[str, Any] | None:
    fields: dict[str, Any] = {}
    for name in node.__struct_fields__:
        old, new = getattr(sent, name), getattr(node, name)
        if old == new:
            continue
        if name == "hostinfo" and _shown_hostinfo(old) == _shown_hostinfo(new):
            continue
        if name == "last_seen" and node.online:
            continue  # it says nothing of a node that is online (tailscale: tailcfg/tailcfg.go, Node.LastSeen)
        if name not in _PATCHABLE:
            return None
        if name == "key_expiry":
            new = new or ZERO_TIME
        elif name == "cap_map":
            new = new or {}
        elif name != "endpoints" and not new and name != "online":
            return None  # a patch cannot clear it
        if new is None:
            return None
        fields["derp_region" if name == "home_derp" else name] = new
    return fields


def _shown_hostinfo(hostinfo: msgspec.Raw | msgspec.UnsetType) -> dict[str, msgspec.Raw]:
    """The fields peers are sent at once. Latencies to relays change all the time, and the home relay has a field of
    its own: headscale sends no whole node for them.
    """
    fields = {} if hostinfo is msgspec.UNSET else msgspec.json.decode(hostinfo, type=dict[str, msgspec.Raw])
    fields.pop("NetInfo", None)
    return fields
