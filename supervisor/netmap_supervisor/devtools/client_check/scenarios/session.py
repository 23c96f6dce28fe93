"""Scenarios of a session that ends."""

from __future__ import annotations

from netmap_supervisor.devtools.client_check.outcome import Level
from netmap_supervisor.devtools.client_check.scenarios.scenario import CheckScenario, Shape

__all__ = ["SESSION"]

_WANTED = "SHOULD have a new map session within {prompt}, MUST have one by {prompt_latest}"


def _soon(name: str, does: str, why: str, *sources: str) -> CheckScenario:
    return CheckScenario(name, does, Shape.PROMPT, _WANTED, why, sources, fault=name)


SESSION = (
    _soon(
        "session/goaway",
        "sends GOAWAY and leaves TCP open",
        "Nothing new is answered on that connection: a client that waits for its watchdog is deaf until then.",
        "RFC 9113, section 6.8",
        "tailscale/tailscale#4388",
    ),
    _soon(
        "session/rst-stream",
        "resets the map stream",
        "The session is over although the connection is well; a new request on it will do.",
        "RFC 9113, section 6.4",
        "kubernetes/kubernetes#87615",
    ),
    _soon(
        "session/cut",
        "resets TCP",
        "Servers restart and proxies reset: a client that stays away is out of the tailnet.",
        "RFC 9293, section 3.10.7.4",
        "SagerNet/sing-box#4371",
    ),
    _soon(
        "session/cut-mid-record",
        "closes TCP inside a Noise record",
        "The end of a connection may come at any byte.",
        "tailscale: control/controlbase/conn.go",
    ),
    _soon(
        "session/end-stream",
        "ends the map stream in good order",
        "The server has no more to say on this stream, as at a restart; a new request on the connection will do.",
        "RFC 9113, section 8.1",
        "tailscale/tailscale-rs#296",
    ),
    CheckScenario(
        "session/map-then-close",
        "sends the whole first map and closes TCP, each time",
        Shape.REFUSED,
        "SHOULD make at most {attempts} attempts in {refusal}, MUST not make more than {too_many}; "
        "MUST be back within {back} of the end",
        "A good first map is no reason to begin anew at full speed: a whole tailnet doing so keeps the server down.",
        ("tailscale/tailscale-rs#296", "juanfont/headscale#3293"),
        Level.MUST,
        "session/map-then-close",
    ),
)
