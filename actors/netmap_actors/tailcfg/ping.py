"""PingRequest of the control server.

Not here: the answer (`client.ping`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct

__all__ = ["PingRequest"]


class PingRequest(GoStruct, frozen=True):
    """`types` is "" for a HEAD of `url`, `c2n`, or kinds of ping separated by commas."""

    url: str = ""
    url_is_noise: bool = False
    log: bool = False
    types: str = ""
    ip: str = ""
    payload: bytes | None = None
