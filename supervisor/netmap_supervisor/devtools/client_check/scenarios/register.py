"""Scenarios of registration."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

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
)
