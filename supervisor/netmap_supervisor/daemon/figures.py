"""Bounds for the figures a child reports of itself, which become labels of metrics and fields of status.

The child may be compromised.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from netmap_actors.boot import MAX_WEBHOOKS

if TYPE_CHECKING:
    from netmap_actors.wire import internal_pb2

__all__ = ["MAX_FIGURES", "bounded"]

MAX_FIGURES: Final = 64
"""Ours have twenty."""
_WEBHOOK: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_MAX_TIME: Final = 253_402_300_800.0
"""UNIX seconds that RFC 3339 can no longer write."""
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def _fits(one: internal_pb2.WebhookStatistics) -> bool:
    return _WEBHOOK.fullmatch(one.name) is not None and 0.0 <= one.delivered_at < _MAX_TIME


def bounded(heartbeat: internal_pb2.Heartbeat) -> internal_pb2.Heartbeat:
    """The same heartbeat; without its counters, confinement or webhooks, if they are not within bounds."""
    for field in ("counters", "confinement"):
        figures = getattr(heartbeat, field)
        if len(figures) > MAX_FIGURES or not all(map(_NAME.fullmatch, figures)):
            heartbeat.ClearField(field)
    if len(heartbeat.webhooks) > MAX_WEBHOOKS or not all(map(_fits, heartbeat.webhooks)):
        heartbeat.ClearField("webhooks")
    return heartbeat
