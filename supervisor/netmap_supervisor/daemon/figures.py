"""Bounds for the figures a child reports of itself, which become labels of metrics and fields of status.

The child may be compromised.
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
    """The same heartbeat; without its counters or confinement, if they are not within bounds."""
    for field in ("counters", "confinement"):
        figures = getattr(heartbeat, field)
        if len(figures) > MAX_FIGURES or not all(map(_NAME.fullmatch, figures)):
            heartbeat.ClearField(field)
    return heartbeat
