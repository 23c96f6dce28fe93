"""What a server sent in a few words, for a timeline.

Not here: who wants them (`state`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from netmap_actors.errors import escape

__all__ = ["map_label", "register_label"]

_COUNTED = ("Peers", "PeersChanged", "PeersChangedPatch", "PeersRemoved", "OnlineChange", "PeerSeenChange")
_MAX_LABEL = 200


def map_label(json: bytes) -> str:
    """The fields of a MapResponse, with how many peers they concern; a full map is called one."""
    fields = _decoded(json)
    if fields is None:
        return "no JSON object"
    if "Node" in fields and "DERPMap" in fields:
        peers = fields.get("Peers")
        return f"full map, {len(peers) if isinstance(peers, list) else 0} peers"
    words = [
        f"{name} {len(value)}" if name in _COUNTED and isinstance(value, (list, dict)) else name
        for name, value in fields.items()
        if name != "ControlTime" or len(fields) == 1
    ]
    return escape(", ".join(words), _MAX_LABEL) or "nothing"


def register_label(json: bytes) -> str:
    """What a RegisterResponse tells its client."""
    fields = _decoded(json)
    if fields is None:
        return "no JSON object"
    if fields.get("Error"):
        return f"Error {escape(str(fields['Error']), _MAX_LABEL)}"
    if fields.get("AuthURL"):
        return "AuthURL"
    if fields.get("NodeKeyExpired"):
        return "NodeKeyExpired"
    return "MachineAuthorized" if fields.get("MachineAuthorized") else "waits for approval"


def _decoded(json: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(json, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
