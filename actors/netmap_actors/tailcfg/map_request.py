"""The request that opens a map session: MapRequest.

Not here: which fields our client fills (`control_connection.client`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct, Int32
from netmap_actors.tailcfg.hostinfo import Hostinfo  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = ["MapRequest"]


class MapRequest(GoStruct, frozen=True):
    """`POST /machine/map`, as far as we fill it."""

    version: Int32 = 0
    compress: str = ""
    """`zstd`, or "" for plain frames."""
    keep_alive: bool = False
    node_key: str = ""
    disco_key: str = ""
    stream: bool = False
    hostinfo: Hostinfo | None = None
