"""A node with what its peers do not see.

Not here: which nodes there are (`tailnet`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from netmap_actors.errors import NetmapError

if TYPE_CHECKING:
    from netmap_actors.dev_control.tailnet.json_types import JsonNode

__all__ = ["Entry", "TailnetError"]


class TailnetError(NetmapError):
    """An edit of the tailnet that cannot be made; the text says why."""


@dataclasses.dataclass(slots=True)
class Entry:
    """A node with what its peers do not see."""

    node: JsonNode
    label: str
    """First label of its name, unique."""
    real: bool
    """It registered over the wire; False: it is simulated or was added by hand."""
    owner: int
    """The user who added it; `node.user` is another one while it is tagged."""
    ephemeral: bool = False
    hostinfo: dict[str, Any] | None = None
    """As last reported by a registered node."""
    place: int = 0
    """Offset of its addresses in both address ranges."""
