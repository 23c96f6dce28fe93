"""Scenarios of keys and identity: the server's, and the client's own."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

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
)
