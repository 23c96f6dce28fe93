"""Scenarios of what maps mean."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import Believes, BelievesServer, Edit, Step

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
    CheckScenario(
        "map/peers-removed",
        "adds a node and removes it",
        Shape.STEPS,
        "MUST list the new node and then no longer, each within {belief}",
        "PeersRemoved is a list of integers, the IDs of nodes. A peer that is kept goes on being trusted, and its "
        "address may be another's by then.",
        (
            "tailcfg.MapResponse.PeersRemoved (capability version 5)",
            "juanfont/headscale#1384",
            "tailscale/tailscale#20796",
        ),
        steps=(
            Step("says nothing", (), (BelievesServer(),)),
            Step("adds birch", (Edit("add_node", {"name": "birch"}),), (Believes("birch"), BelievesServer())),
            Step(
                "removes birch",
                (Edit("remove_node", {"node": "birch"}),),
                (Believes("birch", present=False), BelievesServer()),
            ),
        ),
    ),
)
