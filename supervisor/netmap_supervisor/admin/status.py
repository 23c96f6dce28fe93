"""The shapes of the status under the name the Supervisor's rooms know them by.

Not here: what they are (`wire.status`), and where the figures come from (`daemon.status_report`).
"""

from __future__ import annotations

from netmap_actors.wire.status import (
    ActorStatus,
    ConnectionStatus,
    ControlStatus,
    DegradedStatus,
    HttpStatus,
    LastEnd,
    LivenessStatus,
    NetmapStatus,
    NurseryStatus,
    SelfStatus,
    StatusReport,
    WebhookStatus,
)

__all__ = [
    "ActorStatus",
    "ConnectionStatus",
    "ControlStatus",
    "DegradedStatus",
    "HttpStatus",
    "LastEnd",
    "LivenessStatus",
    "NetmapStatus",
    "NurseryStatus",
    "SelfStatus",
    "StatusReport",
    "WebhookStatus",
]
