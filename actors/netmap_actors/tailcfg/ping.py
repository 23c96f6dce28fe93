"""The control server's question whether we are there, and the answer: PingRequest, PingResponse.

Not here: answering (`client.ping`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct, Int32

__all__ = ["PingRequest", "PingResponse"]


class PingRequest(GoStruct, frozen=True):
    """`types` is "" for a HEAD of `url`, `c2n`, or kinds of ping separated by commas."""

    url: str = ""
    url_is_noise: bool = False
    log: bool = False
    types: str = ""
    ip: str = ""
    payload: bytes | None = None


class PingResponse(GoStruct, frozen=True):
    """The outcome of one ping."""

    type: str = ""
    ip: str = ""
    node_ip: str = ""
    node_name: str = ""
    err: str = ""
    latency_seconds: float = 0
    endpoint: str = ""
    peer_relay: str = ""
    derp_region_id: Int32 = 0
    derp_region_code: str = ""
    peer_api_port: Int32 = 0
    is_local_ip: bool = False
