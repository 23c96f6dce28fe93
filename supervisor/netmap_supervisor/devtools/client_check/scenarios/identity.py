"""Scenarios of keys and identity: the server's, and the client's own."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Cut,
    KeepsNodeKey,
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
        "identity/one-shot-key-not-replayed",
        "cuts the connection of a client that has joined with a one-shot auth key",
        Shape.STEPS,
        "MUST have a map session again with the same node key within {prompt_latest}; SHOULD not send the spent key",
        "The node is registered and needs no key. A spent key with a new node key is refused for good, and the "
        "client is locked out until somebody makes a new one.",
        (
            "tailcfg.RegisterRequest.Auth",
            "tailscale/tailscale#19501",
            "lmagyar/homeassistant-addon-tailscale#59",
        ),
        one_shot_key=True,
        steps=(
            Step(
                "resets TCP",
                (Cut(),),
                (BackInSession(), KeepsNodeKey()),
                within="prompt_latest",
            ),
            Step(
                "resets TCP once more",
                (Cut(),),
                (
                    BackInSession(),
                    Traffic("register", "auth", most=0, what="register request with the spent auth key"),
                ),
                within="prompt_latest",
                watch=3.0,
                level=Level.SHOULD,
            ),
        ),
    ),
)
