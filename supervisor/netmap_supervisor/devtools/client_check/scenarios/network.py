"""Scenarios of the network between client and server."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    KeepsNodeKey,
    ServerAway,
    Step,
)

__all__ = ["NETWORK"]

NETWORK: tuple[CheckScenario, ...] = (
    CheckScenario(
        "network/server-restart",
        "ends, and is there again after 5 s with the same state",
        Shape.STEPS,
        "MUST have a map session again, as the same node, within {back}",
        "Servers are updated: a client that survives the outage but never asks again has to be restarted by hand.",
        ("SagerNet/sing-box#4371", "tailscale/tailscale#13906"),
        steps=(
            Step("is away for 5 s", (ServerAway(5.0),), (BackInSession(), KeepsNodeKey()), within="back"),
        ),
    ),
)
