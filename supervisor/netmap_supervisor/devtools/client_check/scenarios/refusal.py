"""Scenarios of map requests that are refused."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["REFUSAL"]

_PATIENT = (
    "SHOULD make at most {attempts} attempts in {refusal}, MUST not make more than {too_many}; "
    "MUST be back within {back} of the end"
)


def _status(status: int, why: str, *sources: str, retry_after: str = "", gap: float = 0.0) -> CheckScenario:
    does = f"answers each map request with {status}"
    wanted = _PATIENT
    if retry_after:
        does += f" and Retry-After: {retry_after}"
        wanted = f"SHOULD wait {gap:g} s between attempts; " + _PATIENT.partition("; ")[2]
    return CheckScenario(
        f"refusal/status-{status}",
        does,
        Shape.REFUSED,
        wanted,
        why,
        sources,
        Level.MUST,
        "refusal/status",
        {"status": status, "retry_after": retry_after},
        cut=True,
        gap=gap,
    )


REFUSAL = (
    _status(
        401,
        "The refusal may be a mistake that is mended: a client that gives up needs somebody who starts it, one that "
        "insists is a load.",
        "RFC 9110, section 15.5.2",
        "tailscale/tailscale-rs#297",
    ),
    _status(
        404,
        "headscale answers so for a node it does not know, also for a moment at its start.",
        "RFC 9110, section 15.5.5",
        "tailscale/tailscale#12032",
    ),
    _status(
        429,
        "The server says when it can be asked again.",
        "RFC 6585, section 4",
        "RFC 9110, section 10.2.3",
        "tailscale: tailcfg/tailcfg.go (capability version 137: 429 from register)",
        retry_after="7",
        gap=7.0,
    ),
    _status(
        500,
        "A server in trouble comes back sooner when it is not asked at full speed.",
        "RFC 9110, section 15.6.1",
        "Csontikka/esphome-tailscale#33",
    ),
)
