"""The request that opens a map session or updates the node: MapRequest.

Not here: which fields our client fills (`control_connection.client`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct, Int32, Int64
from netmap_actors.tailcfg.hostinfo import Hostinfo  # noqa: TC001 - msgspec reads the annotations when it decodes

__all__ = ["MapRequest"]


class MapRequest(GoStruct, frozen=True):
    """`POST /machine/map`. stream: a session; omit_peers without stream: a lite update."""

    version: Int32 = 0
    compress: str = ""
    """`zstd`, or "" for plain frames."""
    keep_alive: bool = False
    node_key: str = ""
    disco_key: str = ""
    hardware_attestation_key: str = ""
    hardware_attestation_key_signature: bytes | None = None
    hardware_attestation_key_signature_timestamp: str = ""
    stream: bool = False
    hostinfo: Hostinfo | None = None
    map_session_handle: str = ""
    map_session_seq: Int64 = 0
    endpoints: tuple[str, ...] | None = None
    endpoint_types: tuple[Int32, ...] | None = None
    tka_head: str = ""
    read_only: bool = False
    omit_peers: bool = False
    debug_flags: tuple[str, ...] | None = None
    connection_handle_for_test: str = ""
