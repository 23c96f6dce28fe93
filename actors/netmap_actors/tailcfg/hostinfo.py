"""What our node tells about its host: the fields of Hostinfo that we send.

Not here: how it is gathered and kept stable (`registration.hostinfo`). Names: tailscale: tailcfg/tailcfg.go.
"""

from __future__ import annotations

from netmap_actors.tailcfg.go_json import GoStruct

__all__ = ["Hostinfo"]


class Hostinfo(GoStruct, frozen=True):
    """A node's description of itself. Every peer sees it, and hears of every change."""

    ipn_version: str = ""
    backend_log_id: str = ""
    os: str = ""
    os_version: str = ""
    app: str = ""
    hostname: str = ""
    request_tags: tuple[str, ...] | None = None
