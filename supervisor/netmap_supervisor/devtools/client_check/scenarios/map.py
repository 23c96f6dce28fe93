"""Scenarios of what maps mean."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["MAP"]

MAP = (
    CheckScenario(
        "map/foreign-ping",
        "asks for a call to an address of somebody else",
        Shape.STEADY,
        "SHOULD never call there, and keep the connection for {look}",
        "A client that calls any URL it is told can be made to call into the network it stands in.",
        ("tailcfg.PingRequest.URL", "tailscale: control/controlclient/direct.go (calls any host)"),
        Level.SHOULD,
        "map/foreign-ping",
    ),
)
