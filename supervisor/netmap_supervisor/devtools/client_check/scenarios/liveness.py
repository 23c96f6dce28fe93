"""Scenarios of liveness: which signs of life count, and what a client does when they are missing."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["LIVENESS"]

_WANTED = (
    "MUST have a new TCP connection with a map session within {latest} and the time it took to join, SHOULD not "
    "before {earliest} without a reason: an HTTP/2 PING of its own that was not answered is one"
)
_SOONER = (
    "MUST have a new TCP connection with a map session within {latest} and the time it took to join; sooner is right, "
    "too"
)
_WATCHDOG = "tailscale: control/controlclient/direct.go (watchdog of 120 s over map responses)"
_KEEP_ALIVE = "tailcfg.MapResponse.KeepAlive (capability version 4)"


def _watchdog(
    name: str, does: str, why: str, *sources: str, impatient: bool = False, cut: bool = False
) -> CheckScenario:
    return CheckScenario(
        name,
        does,
        Shape.WATCHDOG,
        _SOONER if impatient else _WANTED,
        why,
        (*sources, _WATCHDOG),
        fault=name,
        impatient=impatient,
        cut=cut,
    )


LIVENESS = (
    CheckScenario(
        "liveness/healthy",
        "sends keep-alives only",
        Shape.STEADY,
        "MUST keep the connection and the map session for {healthy}",
        "A server that has nothing to tell is not dead; keep-alives are messages like others.",
        (_KEEP_ALIVE, "tailscale: control/controlclient/direct.go"),
    ),
    _watchdog(
        "liveness/silence",
        "sends nothing more; TCP stays open and acknowledges",
        "TCP that acknowledges proves a kernel, not a control server: after a suspend or a server's fault the client "
        "would show an old netmap for ever.",
        _KEEP_ALIVE,
        "tailscale/tailscale-rs#210",
        "tailscale/tailscale#21106",
    ),
    _watchdog(
        "liveness/black-hole",
        "is gone without a word: packets get lost both ways",
        "A kernel gives such a connection up after some 16 minutes, and only if the client writes. A new request on "
        "it is lost as well; only a new TCP connection helps.",
        "RFC 9293, section 3.8.3",
        "tailscale/tailscale#13379",
        "tailscale/tailscale#12021",
        impatient=True,
    ),
    _watchdog(
        "liveness/pings-only",
        "sends HTTP/2 PINGs and nothing else",
        "A PING proves the front of the server or a proxy, not that maps come.",
        "RFC 9113, section 6.7",
        "Csontikka/esphome-tailscale#32",
    ),
    _watchdog(
        "liveness/empty-records",
        "sends Noise records without content and nothing else",
        "An empty record is no message: it says nothing about the map.",
        "Noise Protocol Framework, revision 34, section 13",
        "tailscale: control/controlbase/conn.go",
    ),
    _watchdog(
        "liveness/headers-never",
        "takes a map request and never answers it",
        "The watchdog has to run before the answer begins, too.",
        "tailscale/tailscale#11542",
        cut=True,
    ),
    _watchdog(
        "liveness/slow-drip",
        "sends a map frame byte by byte",
        "A byte is not a message: a time limit for each read never ends this.",
        "encode/httpx#1450",
        "aio-libs/aiohttp#9547",
    ),
    _watchdog(
        "liveness/half-frame",
        "sends half of a map frame, then nothing",
        "Half a message is none.",
        "tailscale: control/controlclient/direct.go (frames of a 4-byte length)",
    ),
    CheckScenario(
        "liveness/clock-wrong",
        "has a clock that is a year ahead",
        Shape.STEADY,
        "MUST keep the connection for {look}",
        "Deadlines are measured on the client's own clock, which the server's time does not move.",
        ("tailcfg.MapResponse.ControlTime", "circus-tent/circus#1231"),
        fault="liveness/clock-wrong",
    ),
)
