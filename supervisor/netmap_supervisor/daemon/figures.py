"""The figures a child tells of itself: so many, and under such names, as any of ours has.

They become labels of metrics and fields of status, and the child may have been taken over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netmap_actors.wire import internal_pb2

__all__ = ["MAX_FIGURES", "bounded"]

MAX_FIGURES: Final = 64
"""Ours have twenty."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def bounded(heartbeat: internal_pb2.Heartbeat) -> internal_pb2.Heartbeat:
    """The same heartbeat; without its counters and what holds the process, if those are none of ours."""
    for field in ("counters", "confinement"):
        told = getattr(heartbeat, field)
        if len(told) > MAX_FIGURES or not all(map(_NAME.fullmatch, told)):
            heartbeat.ClearField(field)
    return heartbeat
