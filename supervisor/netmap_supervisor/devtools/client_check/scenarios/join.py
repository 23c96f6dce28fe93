"""Scenarios of joining."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["JOIN"]

JOIN = (
    CheckScenario(
        "join/first-map",
        "does what it should",
        Shape.JOIN,
        "MUST register and have a map within {join}",
        "Nothing else can be seen of a client that does not join: the rest of the course is skipped.",
        (
            "tailcfg.RegisterRequest, tailcfg.MapRequest (Stream, capability version 68)",
            "tailscale: control/controlclient/direct.go",
        ),
    ),
)
