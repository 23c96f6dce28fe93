"""The addresses of a tailnet's nodes: one place in both ranges each, given out again when it is free.

Not here: who has which (`tailnet`).
"""

from __future__ import annotations

import heapq
import ipaddress

__all__ = ["LAST_PLACE", "Places", "addresses_at", "registered_places", "simulated_places"]

_V4_BASE = int(ipaddress.IPv4Address("100.64.0.0"))
LAST_PLACE = 0x3F_FFFF
"""Of 100.64.0.0/10."""
_SIMULATED = range(0x4000, 0x20_0000)
"""Registered nodes live in 100.64.0.0/18, simulated ones above; the 16 384th that registers has one beyond these."""
_MAGIC_DNS = 0x24_6464  # 100.100.100.100


class Places:
    """Offsets into the address ranges; freed ones are given out again, the lowest first."""

    def __init__(self, first: int, others: range = range(0)) -> None:
        """`others`: not to be given out here."""
        self._next = first
        self._others = others
        self._free: list[int] = []

    def take(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        place = self._usable(self._next)
        self._next = place + 1
        return place

    def _usable(self, place: int) -> int:
        """This place, or the first one above that may be given out."""
        if place in self._others:
            place = self._others.stop
        return place + 1 if place == _MAGIC_DNS else place

    def claim(self, place: int) -> None:
        """This one is in use already."""
        while (skipped := self._usable(self._next)) < place:
            heapq.heappush(self._free, skipped)
            self._next = skipped + 1
        if place in self._free:
            self._free.remove(place)
            heapq.heapify(self._free)
        self._next = max(self._next, place + 1)

    def give_back(self, place: int) -> None:
        heapq.heappush(self._free, place)


def registered_places() -> Places:
    """For registered nodes."""
    return Places(1, _SIMULATED)


def simulated_places() -> Places:
    """For simulated nodes."""
    return Places(_SIMULATED.start)


def addresses_at(place: int) -> tuple[str, str]:
    """The IPv4 and the IPv6 address of a place, as prefixes."""
    # By hand: `ipaddress` would be half of the time it takes to make a tailnet of 50 000.
    v4 = _V4_BASE + place
    high, low = place >> 16, place & 0xFFFF
    v6 = f"fd7a:115c:a1e0::{high:x}:{low:x}" if high else f"fd7a:115c:a1e0::{low:x}"
    return f"{v4 >> 24}.{v4 >> 16 & 255}.{v4 >> 8 & 255}.{v4 & 255}/32", f"{v6}/128"
