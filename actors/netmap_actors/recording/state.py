"""What the MapResponses of a session add up to, as one MapResponse: for a client that comes in the middle of a replay.

Pure, and on plain dicts: fields this program does not know are kept. Rules: tailscale, tailcfg/tailcfg.go, type
MapResponse. Not here: the client's own reading of them (`netmap`), which a player must not share.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = ["UNPLAYED", "SessionState"]

UNPLAYED: Final = frozenset({"PingRequest", "PopBrowserURL", "ControlDialPlan"})
"""Orders to the client that was recorded, at places of its own network."""
_OF_THE_MOMENT: Final = UNPLAYED | {"KeepAlive", "Seq", "MapSessionHandle"}
_MERGED: Final = {"PacketFilters", "DisplayMessages"}
"""By name: null removes one, `*` with null all."""
_OF_PEERS: Final = {
    "Peers", "PeersChanged", "PeersRemoved", "PeersChangedPatch", "PeerSeenChange", "OnlineChange", "UserProfiles",
}  # fmt: skip
_MAX_DIGITS: Final = 19
"""Of an int64."""
_PATCHED: Final = {"DERPRegion": "HomeDERP", "NodeID": ""}
"""Fields of a PeerChange that have another name in a Node, or none."""


class SessionState:
    """One session so far."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._peers: dict[int, dict[str, Any]] = {}
        self._users: dict[int, dict[str, Any]] = {}

    def apply(self, response: dict[str, Any]) -> None:
        """The next MapResponse. What is no netmap in it is passed over, as a client would have refused it."""
        if response.get("KeepAlive") is True:
            return
        for name, value in response.items():
            if value is None or name in _OF_THE_MOMENT or name in _OF_PEERS:
                continue
            if name in _MERGED:
                if isinstance(value, dict):
                    self._fields[name] = _merged(self._fields.get(name, {}), value)
            else:
                self._fields[name] = value
        self._users |= _by_id(response.get("UserProfiles"))
        if whole := _by_id(response.get("Peers")):
            self._peers = whole
        self._peers |= _by_id(response.get("PeersChanged"))
        for number in _list(response.get("PeersRemoved")):
            if isinstance(number, int):
                self._peers.pop(number, None)
        for patch in _list(response.get("PeersChangedPatch")):
            if isinstance(patch, dict):
                self._patch(patch.get("NodeID"), _of_node(patch))
        for number, online in _switches(response.get("OnlineChange")):
            self._patch(number, {"Online": online})
        for number, seen in _switches(response.get("PeerSeenChange")):
            self._patch(number, {"LastSeen": self._fields.get("ControlTime") if seen else None})

    def whole(self) -> dict[str, Any]:
        """One MapResponse with everything."""
        whole = dict(self._fields)
        if self._users:
            whole["UserProfiles"] = list(self._users.values())
        if self._peers:
            whole["Peers"] = [self._peers[number] for number in sorted(self._peers)]
        return whole

    def _patch(self, number: object, fields: dict[str, Any]) -> None:
        node = self._fields.get("Node")
        if isinstance(number, int) and number in self._peers:
            self._peers[number] = self._peers[number] | fields
        elif isinstance(node, dict) and number is not None and node.get("ID") == number:
            self._fields["Node"] = node | fields


def _of_node(patch: dict[str, Any]) -> dict[str, Any]:
    named = ((_PATCHED.get(name, name), value) for name, value in patch.items() if value is not None)
    fields = {name: value for name, value in named if name}
    if region := fields.get("HomeDERP"):
        # What servers wrote before, and may write still beside it.
        fields["DERP"] = f"127.3.3.40:{region}"
    return fields


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    kept = {} if "*" in new and new["*"] is None else dict(old)
    kept.update(new)
    return {name: value for name, value in kept.items() if value is not None}


def _by_id(nodes: object) -> dict[int, dict[str, Any]]:
    return {
        node["ID"]: node
        for node in _list(nodes)
        if isinstance(node, dict) and isinstance(node.get("ID"), int)
    }


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _switches(value: object) -> list[tuple[int, bool]]:
    if not isinstance(value, dict):
        return []
    return [
        (int(name), on is True)
        for name, on in value.items()
        if name.isascii() and name.isdecimal() and len(name) <= _MAX_DIGITS
    ]
