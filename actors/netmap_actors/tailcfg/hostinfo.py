"""Hostinfo, the node's description of its host: the fields that we send.

Not here: how it is gathered and kept stable (`registration.hostinfo`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct

__all__ = ["Hostinfo"]


class Hostinfo(GoStruct, frozen=True):
    """Visible to every peer; each change is sent to all of them."""

    ipn_version: str = ""
    backend_log_id: str = ""
    os: str = ""
    os_version: str = ""
    app: str = ""
    hostname: str = ""
    request_tags: tuple[str, ...] | None = None
