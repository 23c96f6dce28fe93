"""HTTP/2 over an established Noise connection, by prior knowledge, for client and server.

Not here: frames and HPACK (h2), records below, map framing above.
"""

from __future__ import annotations

from netmap_actors.protocol.http2.client import MAX_RESPONSE_BODY, Http2Client
from netmap_actors.protocol.http2.events import (
    ClientEvent,
    GoAway,
    PingAcked,
    PingReceived,
    RequestData,
    RequestEnded,
    RequestReceived,
    RequestReset,
    ResponseData,
    ResponseEnded,
    ResponseHeaders,
    ResponseReset,
    ServerEvent,
)
from netmap_actors.protocol.http2.frame_guard import FLOOD_LIMIT, FLOOD_WINDOW
from netmap_actors.protocol.http2.server import MAX_REQUEST_BODY, Http2Server

__all__ = [
    "FLOOD_LIMIT",
    "FLOOD_WINDOW",
    "MAX_REQUEST_BODY",
    "MAX_RESPONSE_BODY",
    "ClientEvent",
    "GoAway",
    "Http2Client",
    "Http2Server",
    "PingAcked",
    "PingReceived",
    "RequestData",
    "RequestEnded",
    "RequestReceived",
    "RequestReset",
    "ResponseData",
    "ResponseEnded",
    "ResponseHeaders",
    "ResponseReset",
    "ServerEvent",
]
