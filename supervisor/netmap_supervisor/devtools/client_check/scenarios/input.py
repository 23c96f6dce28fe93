"""Scenarios of input that no client can use."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["INPUT"]

_WANTED = (
    "MUST live on, end the session (SHOULD at once, else with its watchdog) and have a new one within {latest} and the "
    "time it took to join"
)


def _nonsense(name: str, does: str, why: str, *sources: str, zstd: bool = False) -> CheckScenario:
    return CheckScenario(name, does, Shape.NONSENSE, _WANTED, why, sources, fault=name, zstd=zstd)


INPUT = (
    _nonsense(
        "input/oversized-frame",
        "announces a map frame of 4 GiB",
        "A length is checked before memory is set aside for it, and before it is waited for.",
        "tailscale: control/controlclient/direct.go (size of a map response)",
    ),
    _nonsense(
        "input/zero-frame",
        "sends a map frame of length zero",
        "No message is empty; what follows cannot be trusted.",
        "RFC 8259, section 2",
    ),
    _nonsense(
        "input/zstd-bomb",
        "sends a small zstd frame that holds a gigabyte",
        "Without a bound on what comes out, a few bytes take all memory of the machine. Skipped for a client that "
        "does not ask for zstd.",
        "tailcfg.MapRequest.Compress (capability version 4)",
        "RFC 8878, section 7",
        "indygreg/python-zstandard#332",
        zstd=True,
    ),
    _nonsense(
        "input/bad-json",
        "sends a map frame whose JSON is broken",
        "What follows broken input cannot be trusted: only a new session has the whole map.",
        "RFC 8259, section 2",
    ),
    _nonsense(
        "input/corrupt-record",
        "sends a Noise record that cannot be authenticated",
        "Nobody who cannot authenticate one record can read any behind it.",
        "Noise Protocol Framework, revision 34, section 5.1",
        "tailscale: control/controlbase/conn.go",
    ),
)
