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
)
