"""Which node has which approved route, and which of several with the same one carries it.

Not here: who is told of it (`visibility`). A subnet route has one carrier, the node with the lowest id, so that it is
the same one after a restart; an exit route (0.0.0.0/0, ::/0) is carried by every node that has it.
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import KeysView

__all__ = ["Routes", "is_exit", "offered"]


def is_exit(route: str) -> bool:
    """Whether it leads everywhere."""
    return route.endswith("/0")


class Routes:
    """The approved routes of all nodes, as prefixes."""

    def __init__(self) -> None:
        self._approved: dict[int, tuple[str, ...]] = {}
        self._holders: dict[str, set[int]] = {}
        """Of each subnet route."""

    def put(self, node_id: int, routes: tuple[str, ...]) -> set[int]:
        """These are its routes from now on. Returns the nodes that may carry others than before."""
        changed = {node_id}
        for route in {*self._approved.pop(node_id, ()), *routes}:
            if is_exit(route):
                continue
            holders = self._holders.setdefault(route, set())
            changed.add(min(holders, default=node_id))
            if route in routes:
                holders.add(node_id)
            else:
                holders.discard(node_id)
            changed.add(min(holders, default=node_id))
            if not holders:
                del self._holders[route]
        if routes:
            self._approved[node_id] = routes
        return changed

    @property
    def nodes(self) -> KeysView[int]:
        """Those that have any."""
        return self._approved.keys()

    def approved(self, node_id: int) -> tuple[str, ...]:
        return self._approved.get(node_id, ())

    def carried(self, node_id: int) -> tuple[str, ...]:
        """Those of its routes that lead to it."""
        return tuple(
            route
            for route in self.approved(node_id)
            if is_exit(route) or min(self._holders[route]) == node_id
        )


def offered(hostinfo: dict[str, Any] | None) -> tuple[str, ...]:
    """The routes that a host says it could carry (tailcfg.Hostinfo.RoutableIPs); what is no prefix is passed over."""
    found = (hostinfo or {}).get("RoutableIPs")
    routes: dict[str, None] = {}
    for route in found if isinstance(found, list) else []:
        with contextlib.suppress(ValueError):
            routes[str(ipaddress.ip_network(str(route)))] = None
    return tuple(routes)
