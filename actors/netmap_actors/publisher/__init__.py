"""The publisher process: the publication behind the doors its subscribers come through.

`actor` carries MapResponses in and numbered messages out, `front` serves the subscribers of one pair of sockets,
`remote` opens a second pair over TCP and decides with CURVE keys who may use it.
"""

from __future__ import annotations

from netmap_actors.publisher.actor import Publisher

__all__ = ["Publisher"]
