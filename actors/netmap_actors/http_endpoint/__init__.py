"""The HTTP endpoint process: the netmap for programs that speak HTTP, to read only.

`actor` follows the bus and listens, `connection` is one client, `guard` says who may ask, `pages` what there is,
`metrics` and `event_stream` how two of the pages are written.
"""

from __future__ import annotations

from netmap_actors.http_endpoint.actor import HttpEndpoint

__all__ = ["HttpEndpoint"]
