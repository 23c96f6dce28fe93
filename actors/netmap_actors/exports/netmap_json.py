"""The netmap as one JSON object: what `netmap --json` prints.

Not here: the events of `watch --json` (`subscriber.events`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors import shown_json
from netmap_actors.exports.nodes import is_chosen, shown_tags

if TYPE_CHECKING:
    from typing import Unpack

    from netmap_actors.exports.nodes import NodeChoice
    from netmap_actors.subscriber import Snapshot

__all__ = ["json_object", "same", "text"]


def json_object(snapshot: Snapshot, **choice: Unpack[NodeChoice]) -> dict[str, Any]:
    """The object; `self` stays in it whatever the choice of peers."""
    values = snapshot.netmap.to_json()
    wanted, online_only = shown_tags(choice.get("tags", ())), choice.get("online_only", False)
    values["peers"] = [
        peer
        for peer in values["peers"]
        if is_chosen(peer["tags"], peer["online"], wanted=wanted, online_only=online_only)
    ]
    # Not the order in which they came, which is another one after each snapshot.
    values["peers"].sort(key=lambda peer: (peer["name"].lower(), peer["stable_id"]))
    return snapshot.head_json() | values


def text(shown: dict[str, Any]) -> str:
    """One line."""
    return shown_json.encode(shown).decode() + "\n"


def same(old: bytes, new: bytes) -> bool:
    """Whether two such texts say the same of the netmap: its age alone, another one at every moment, is no change."""
    return old == new or _ageless(old) == _ageless(new)


def _ageless(data: bytes) -> object:
    try:
        values = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if not isinstance(values, dict):
        return data
    values.pop("age_s", None)
    return values
