"""Key expiry by the server's clock, for nodes that the server has not yet marked.

Rules: tailscale: ipn/ipnlocal/expiry.go; but the node key stays, which tailscale overwrites to prevent sending. Not
here: any clock, the time is an argument.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.rfc3339 import unix_seconds

if TYPE_CHECKING:
    from netmap_actors.netmap.model import NetmapNode

__all__ = ["EPOCH", "Expiries", "expiry_of", "has_passed", "marked_expired"]

EPOCH: Final = 1673373066.0
"""UNIX seconds; a clock before this is not set, and nothing expires by it."""
_SLACK: Final = 64
"""Outdated heap entries that are always tolerated."""


def expiry_of(node: NetmapNode) -> float | None:
    """When the node's key expires, UNIX seconds of the server's clock; None: never, or marked by the server."""
    return unix_seconds(node.key_expiry) if node.key_expiry and not node.expired else None


def has_passed(expiry: float | None, control_now: float) -> bool:
    """Whether `expiry` has passed at `control_now`, UNIX seconds of the server's clock."""
    return expiry is not None and expiry <= control_now and control_now >= EPOCH


def marked_expired(node: NetmapNode) -> NetmapNode:
    """The node with its key expired: without endpoints and home region."""
    return msgspec.structs.replace(node, expired=True, endpoints=(), home_derp=0)


class Expiries:
    """The next key to expire. A change of one node costs O(log n)."""

    def __init__(self) -> None:
        self._moments: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []
        """Entries that differ from `_moments` are outdated."""
        self._passed: dict[int, float] = {}
        self._control_now = 0.0

    def copy(self) -> Expiries:
        """An independent copy."""
        new = Expiries()
        new._moments, new._heap, new._passed = self._moments.copy(), self._heap.copy(), self._passed.copy()
        new._control_now = self._control_now
        return new

    def put(self, key: int, moment: float | None) -> None:
        """Set when the node with this key expires; None: never."""
        self.forget(key)
        if moment is None:
            return
        if has_passed(moment, self._control_now):
            self._passed[key] = moment
            return
        self._moments[key] = moment
        heapq.heappush(self._heap, (moment, key))
        if len(self._heap) > 2 * len(self._moments) + _SLACK:
            self._heap = [(at, whose) for whose, at in self._moments.items()]
            heapq.heapify(self._heap)

    def forget(self, key: int) -> None:
        """The node is gone."""
        self._moments.pop(key, None)
        self._passed.pop(key, None)

    def turn(self, control_now: float) -> list[int]:
        """The nodes whose key has expired by `control_now`, since the last call.

        Also those whose key is valid again, as the clock was set back.
        """
        changed: list[int] = []
        if control_now < self._control_now:
            changed = [key for key, moment in self._passed.items() if not has_passed(moment, control_now)]
            self._control_now = control_now
            for key in changed:
                self.put(key, self._passed[key])
        self._control_now = control_now
        while (moment := self.following()) is not None and has_passed(moment, control_now):
            _, key = heapq.heappop(self._heap)
            self._passed[key] = self._moments.pop(key)
            changed.append(key)
        return changed

    def due(self, control_now: float, most: int) -> int:
        """How many `turn` would return, counted up to `most` and a little more."""
        if control_now < self._control_now:
            return len(self._passed)
        found, places = 0, [0]
        while places and found <= most:
            place = places.pop()
            if place < len(self._heap) and has_passed(self._heap[place][0], control_now):
                found += 1
                places += (2 * place + 1, 2 * place + 2)
        return found

    def following(self) -> float | None:
        """The next expiry, UNIX seconds of the server's clock; None when no key will expire."""
        while self._heap:
            moment, key = self._heap[0]
            if self._moments.get(key) == moment:
                return moment
            heapq.heappop(self._heap)
        return None
