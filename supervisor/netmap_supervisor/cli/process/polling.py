"""Waiting for a fact that no event announces."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.clock import Clock

__all__ = ["wait_until"]

_STEP = 0.05


def wait_until(fact: Callable[[], bool], limit: float, clock: Clock) -> bool:
    """Poll until it holds; False after `limit` seconds."""
    end = clock.monotonic() + limit
    while not fact():
        if clock.monotonic() >= end:
            return False
        select.select([], [], [], _STEP)
    return True
