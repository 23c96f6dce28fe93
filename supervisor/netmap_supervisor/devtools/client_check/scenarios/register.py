"""Scenarios of registration."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape
from netmap_supervisor.devtools.client_check.scenarios.steps import (
    BackInSession,
    Cut,
    Heal,
    Inject,
    KeepsNodeKey,
    Step,
    Traffic,
)

__all__ = ["REGISTER"]

REGISTER = (
    CheckScenario(
        "register/null",
        "answers each register request with null",
        Shape.REFUSED,
        "SHOULD make at most {attempts} attempts in {refusal}, not more than {too_many}, and be back within {back} of "
        "the end",
        "null is no answer: Go decodes it as success without a user, and goes on to ask for maps that are refused.",
        (
            "tailcfg.RegisterResponse",
            "headscale: hscontrol/auth.go (null for a node that was removed meanwhile)",
        ),
        Level.SHOULD,
        "register/null",
        counted="register",
        before=True,
    ),
    CheckScenario(
        "register/status-429",
        "answers each register request with 429 and Retry-After: 7",
        Shape.REFUSED,
        "SHOULD wait 7 s between attempts; MUST not make more than {too_many} in {refusal}; "
        "MUST be back within {back} of the end",
        "The server says when it can be asked again; all the clients of a tailnet may be waiting.",
        (
            "tailcfg.CapabilityVersion (137: 429 from register)",
            "RFC 6585, section 4",
            "RFC 9110, section 10.2.3",
        ),
        Level.MUST,
        "refusal/status",
        {"status": 429, "retry_after": "7", "moment": "register"},
        counted="register",
        before=True,
        gap=7.0,
    ),
    CheckScenario(
        "register/status-500",
        "answers each register request with 500",
        Shape.REFUSED,
        "SHOULD make at most {attempts} attempts in {refusal}, MUST not make more than {too_many}; "
        "MUST be back within {back} of the end",
        "A server that starts may not find its database yet. Who gives up then is not there when it does.",
        ("RFC 9110, section 15.6.1", "tailscale/tailscale-rs#297"),
        Level.MUST,
        "refusal/status",
        {"status": 500, "moment": "register"},
        counted="register",
        before=True,
    ),
    CheckScenario(
        "register/one-shot-key-not-replayed",
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
    CheckScenario(
        "register/one-shot-key-when-refused",
        "cuts the connection of a client that has joined with a one-shot auth key, and refuses its map requests with "
        "401 for a while",
        Shape.STEPS,
        "MUST have a map session again with the same node key within {back} of the end; SHOULD not send the spent key",
        "A refused map request says nothing of the key that the client once joined with: to register anew with it, or "
        "with a new node key, turns a short refusal into a lasting one.",
        ("tailcfg.RegisterRequest.Auth", "RFC 9110, section 15.5.2", "tailscale/tailscale#19501"),
        one_shot_key=True,
        steps=(
            Step(
                "refuses map requests and resets TCP",
                (Inject("refusal/status", {"status": 401}), Cut()),
                (
                    Traffic("map", least=1),
                    Traffic("register", "auth", most=0, what="register request with the spent auth key"),
                ),
                within="back",
                watch=8.0,
                level=Level.SHOULD,
            ),
            Step("answers them again", (Heal(),), (BackInSession(), KeepsNodeKey()), within="back"),
        ),
    ),
)
