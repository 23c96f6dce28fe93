"""Key expiry by the clock, for nodes whose expiry passes before the server says so.

Not here: any clock; callers say what time it is. Rules: tailscale: ipn/ipnlocal/expiry.go. The node key stays as
it is: the reference overwrites it to keep itself from sending, we only tell what is so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from netmap_actors.netmap.documents import unix_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from netmap_actors.netmap.model import Peer

__all__ = ["EPOCH", "FAST_CLOCK_DELAY", "flag_expired", "next_expiry"]

EPOCH: Final = 1673373066.0
"""UNIX seconds; a clock that shows less is not set, and nothing expires by it."""
FAST_CLOCK_DELAY: Final = 30.0
"""Seconds to wait when a fast clock has passed a moment that is still to come by the server's."""


def flag_expired(node: Peer, *, now: float, skew: float = 0.0) -> Peer:
    """The node as it is at `now` (UNIX seconds of our clock): expired, then without endpoints and home region.

    `skew`: the server's clock minus ours. A node the server calls expired stays so.
    """
    expiry = unix_seconds(node.key_expiry) if node.key_expiry else None
    control_now = now + skew
    if expiry is None or node.expired or expiry > control_now or control_now < EPOCH:
        return node
    return msgspec.structs.replace(node, expired=True, endpoints=(), home_derp=0)


def next_expiry(nodes: Iterable[Peer], *, now: float, skew: float = 0.0) -> float | None:
    """When, by our clock in UNIX seconds, to look for expired nodes again; None when no key is going to expire."""
    control_now = now + skew
    if control_now < EPOCH:
        return None
    moments = (unix_seconds(node.key_expiry) for node in nodes if node.key_expiry and not node.expired)
    soonest = min(
        (moment for moment in moments if moment is not None and moment >= control_now), default=None
    )
    if soonest is None:
        return None
    return soonest if soonest >= now else now + FAST_CLOCK_DELAY
