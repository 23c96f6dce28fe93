"""Scenarios of the network between client and server."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    BelievesServer,
    Cut,
    Edit,
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
    CheckScenario(
        "network/server-restart-with-other-nodes",
        "ends, and is there again after 10 s with fewer nodes than before",
        Shape.STEPS,
        "MUST have a map session again, and list the nodes that the server has then, within {back}",
        "What happened while nobody was listening stands in no delta. A client that joins both tailnets shows nodes "
        "that are gone.",
        ("tailcfg.MapResponse.Peers", "tailscale/tailscale#21068", "SagerNet/sing-box#4371"),
        steps=(
            Step(
                "adds birch and elm",
                (Edit("add_node", {"name": "birch"}), Edit("add_node", {"name": "elm"})),
                (BelievesServer(),),
            ),
            # Nodes that were added to a server are not kept by it.
            Step(
                "is away for 10 s",
                (ServerAway(10.0),),
                (BackInSession(), KeepsNodeKey(), BelievesServer()),
                within="back",
            ),
        ),
    ),
    CheckScenario(
        "network/idle-cut",
        "closes TCP in good order whenever a map session has been idle for some seconds, as a proxy does",
        Shape.STEPS,
        "MUST have a map session again, as the same node, within {prompt_latest} each time",
        "A proxy with an idle limit below the keep-alive interval ends each session. Reconnecting has to go on as well "
        "the fourth time as the first.",
        ("RFC 9112, section 9.5", "juanfont/headscale#56"),
        steps=tuple(
            Step(
                f"closes the idle connection, {word} time",
                (Cut(reset=False),),
                (BackInSession(), KeepsNodeKey()),
                within="prompt_latest",
                watch=3.0,
            )
            for word in ("first", "second", "third", "fourth")
        ),
    ),
    CheckScenario(
        "network/backend-gone",
        "accepts each connection and resets it, as a balancer without a server does",
        Shape.REFUSED,
        "SHOULD make at most {attempts} connections in {refusal}, MUST not make more than {too_many}; "
        "MUST be back within {back} of the end",
        "Connecting works, so that a pause that only follows a failed connect is never made.",
        ("RFC 9293, section 3.10.7.4", "tailscale/tailscale-rs#296"),
        Level.MUST,
        "session/cut",
        {"moment": "accept", "scope": "all"},
        counted="accept",
    ),
    CheckScenario(
        "network/proxy-error-page",
        "answers the upgrade with 502 and a page of HTML, as a proxy without a server does",
        Shape.REFUSED,
        "SHOULD make at most {attempts} connections in {refusal}, MUST not make more than {too_many}; "
        "MUST be back within {back} of the end",
        "The page is not the server's: it is nothing to be read as Noise or JSON, and no reason to give up.",
        ("RFC 9110, section 15.6.3", "netbirdio/netbird#1688"),
        Level.MUST,
        "refusal/status",
        {"status": 502, "moment": "upgrade", "body": "<html><body><h1>502 Bad Gateway</h1></body></html>"},
        counted="accept",
        cut=True,
    ),
)
