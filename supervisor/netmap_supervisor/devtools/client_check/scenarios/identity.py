"""Scenarios of keys and identity: the server's, and the client's own."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Believes,
    Cut,
    Edit,
    KeepsHostname,
    KeepsNodeKey,
    RestartClient,
    Step,
    Traffic,
)

__all__ = ["IDENTITY"]

IDENTITY = (
    CheckScenario(
        "identity/deleted-but-fed",
        "deletes the node and feeds its stream on",
        Shape.TRUTH,
        "SHOULD ask anew, by registering or for a map, within {truth_latest}",
        "headscale has done this: the stream alone never tells, and the client shows a tailnet that it is not in.",
        ("juanfont/headscale#3410",),
        Level.SHOULD,
        "identity/deleted-but-fed",
    ),
    CheckScenario(
        "identity/server-key-changed",
        "has another Noise key, as an impostor has",
        Shape.KEY,
        "MUST make at most {too_many} connections in {refusal} and be back within {back} of the end; SHOULD send no "
        "register or map request to the new key: over plain http nothing vouches for it",
        "The key that /key names is the anchor of all trust. Over https the certificate vouches for it, and a client "
        "that asks for the key on each connect, as tailscale-rs does, may follow it; over plain http, as here, "
        "whoever answers may be an impostor. tsp and tailscaled stay with the key they know.",
        (
            "tailscale: control/controlclient/direct.go, control/tsp/nodefile.go",
            "tailscale-rs: ts_control/src/client/connect.rs",
        ),
        Level.MUST,
        "identity/server-key-changed",
        counted="accept",
        cut=True,
    ),
    CheckScenario(
        "identity/same-host-after-reconnect",
        "cuts the connection, twice",
        Shape.STEPS,
        "MUST have a map session again within {prompt_latest}, with the same node key, and the same Hostname in each "
        "Hostinfo",
        "Servers name a node after the Hostname of its latest map request: one that is missing or another in some of "
        "them renames the node for everybody.",
        ("tailcfg.MapRequest.Hostinfo", "tailscale/tailscale-rs#120", "juanfont/headscale#3432"),
        steps=tuple(
            Step(
                f"resets TCP, {word} time",
                (Cut(),),
                (BackInSession(), KeepsNodeKey(), KeepsHostname()),
                within="prompt_latest",
                watch=5.0,
            )
            for word in ("first", "second")
        ),
    ),
    CheckScenario(
        "identity/same-node-after-restart",
        "ends the client and starts it anew with the same directory; the auth key it has been given is spent",
        Shape.STEPS,
        "SHOULD have a map session again, as the same node, within {back}",
        "A client that keeps no keys is another node after each restart: a new name and address, an old node that "
        "stays in the list, and none at all where the auth key was for one use.",
        (
            "tailcfg.RegisterRequest.NodeKey",
            "tailscale/tailscale#11527",
            "tailscale/tailscale#9308",
            "lmagyar/homeassistant-addon-tailscale#59",
        ),
        Level.SHOULD,
        one_shot_key=True,
        steps=(
            Step(
                "starts the client anew",
                (RestartClient(),),
                (BackInSession(), KeepsNodeKey()),
                within="back",
                level=Level.SHOULD,
            ),
        ),
    ),
    CheckScenario(
        "identity/key-expired",
        "lets the node key expire, and extends it some seconds later",
        Shape.STEPS,
        "MUST make at most 50 register and 50 map requests in 10 s, whether it registers with another key or waits; "
        "SHOULD hear of a new node within {back} of the extension",
        "An administrator may extend the key of a node, and is often not where the node is. A client that has stopped "
        "to listen, or that asks without a pause, has to be restarted by hand.",
        (
            "tailcfg.Node.KeyExpiry",
            "tailscale/tailscale#19326",
            "tailscale/tailscale#2515",
            "juanfont/headscale#1721",
        ),
        steps=(
            Step(
                "lets the key expire",
                (Edit("expire", {"node": "{me}"}),),
                (Traffic("register", most=50), Traffic("map", most=50)),
                within=15.0,
                watch=10.0,
            ),
            Step(
                "extends it by an hour and adds birch",
                (
                    Edit("expire", {"node": "{me}", "in_seconds": 3600.0}),
                    Edit("add_node", {"name": "birch"}),
                ),
                (Believes("birch"),),
                within="back",
                level=Level.SHOULD,
            ),
        ),
    ),
    CheckScenario(
        "identity/deleted",
        "deletes the node, ends its map stream, and answers its map requests with 404",
        Shape.STEPS,
        "MUST make at most 100 map and 100 register requests in 10 s, SHOULD at most 20 of each in the 10 s "
        "behind them, whether it registers anew or waits",
        "The node is gone for good: asking for its map again and again is a load without end, and shows a tailnet that "
        "the client is not in.",
        (
            "tailscale/tailscale#20615",
            "tailscale/tailscale#12032",
            "juanfont/headscale#3449",
            "tailscale/tailscale#9025",
        ),
        steps=(
            Step(
                "deletes the node",
                (Edit("remove_node", {"node": "{me}", "end_stream": True}),),
                (Traffic("map", most=100), Traffic("register", most=100)),
                within=15.0,
                watch=10.0,
            ),
            Step(
                "says nothing",
                (),
                (Traffic("map", most=20), Traffic("register", most=20)),
                within=15.0,
                watch=10.0,
                level=Level.SHOULD,
            ),
        ),
    ),
)
