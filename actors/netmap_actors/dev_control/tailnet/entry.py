"""A node with what its peers do not see.

Not here: which nodes there are (`tailnet`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.dev_control.tailnet.routes import is_exit
from netmap_actors.errors import NetmapError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.dev_control.tailnet.json_types import JsonNode

__all__ = ["Entry", "TailnetError", "carrying"]


class TailnetError(NetmapError):
    """An edit of the tailnet that cannot be made; the text says why."""


class Entry(msgspec.Struct):
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
    routes: tuple[str, ...] = ()
    """Approved by hand. Those of `node` are the ones it carries."""
    approved: tuple[str, ...] = ()
    """Those it offers and a policy's autoApprovers approve."""


def carrying(node: JsonNode, routes: Iterable[str]) -> JsonNode:
    """A node to which these routes lead."""
    chosen = tuple(routes)
    return msgspec.structs.replace(
        node,
        allowed_ips=node.addresses + chosen,
        primary_routes=tuple(route for route in chosen if not is_exit(route)),
    )
