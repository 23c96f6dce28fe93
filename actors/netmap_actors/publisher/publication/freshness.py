"""How far the netmap can be trusted: none, fresh or stale, and how old it is.

It becomes stale by time alone.
"""

from __future__ import annotations

from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.vocabulary import Trust

__all__ = ["FRESH", "NONE", "STALE", "Freshness", "name_of"]

NONE = netmap_pb2.NETMAP_STATE_NONE
FRESH = netmap_pb2.NETMAP_STATE_FRESH
STALE = netmap_pb2.NETMAP_STATE_STALE

_NAMES = {NONE: Trust.NONE, FRESH: Trust.FRESH, STALE: Trust.STALE}


def name_of(state: netmap_pb2.NetmapState) -> Trust:
    """The state's name in status and events."""
    return _NAMES[state]


class Freshness:
    """Fresh: this session's full map is applied, the session lives, the last MapResponse is younger than the limit."""

    def __init__(self, silence_limit: float) -> None:
        self._limit = silence_limit
        self._received_at: float | None = None
        self._have_netmap = False
        self._alive = False
        self._mapped = False

    @property
    def last_received_at(self) -> float | None:
        """When the last complete MapResponse arrived, seconds of CLOCK_BOOTTIME."""
        return self._received_at

    def session_began(self) -> None:
        """A new session: its full map has not come yet."""
        self._alive = True
        self._mapped = False

    def received(self, at: float) -> None:
        """A complete MapResponse, keep-alive or not."""
        # Stamped by another process of the same clock; it never makes the netmap younger than it was.
        self._received_at = at if self._received_at is None else max(self._received_at, at)

    def full_map_applied(self) -> None:
        """The session's first map is in."""
        self._have_netmap = True
        self._mapped = True

    def lost(self) -> None:
        """The session ended, or something of it is missing."""
        self._alive = False

    def state(self, now: float) -> netmap_pb2.NetmapState:
        """The state at this moment."""
        if not self._have_netmap or self._received_at is None:
            return NONE
        if self._alive and self._mapped and now < self._received_at + self._limit:
            return FRESH
        return STALE

    def age(self, now: float) -> float | None:
        """Seconds since the last complete MapResponse; None before the first."""
        return None if self._received_at is None else max(0.0, now - self._received_at)

    def deadline(self, now: float) -> float | None:
        """When the state changes if nothing comes; None when only an event can change it."""
        if self._received_at is None or not (self._alive and self._mapped and self._have_netmap):
            return None
        end = self._received_at + self._limit
        return end if now < end else None
