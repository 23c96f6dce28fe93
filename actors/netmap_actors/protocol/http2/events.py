"""Events of HTTP/2: requests to a server, responses to a client, and the connection's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from netmap_actors.protocol.headers import Headers

__all__ = [
    "ClientEvent",
    "GoAway",
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


class PingAcked(msgspec.Struct, frozen=True):
    """The answer to our PING with these eight bytes."""

    opaque: bytes


class PingReceived(msgspec.Struct, frozen=True):
    """A PING of the client's with these eight bytes. Its answer waits behind what is to be sent."""

    opaque: bytes


class GoAway(msgspec.Struct, frozen=True):
    """GOAWAY of the other side; nothing after it is read. `debug` is escaped and bounded."""

    code: int
    debug: str


class ResponseHeaders(msgspec.Struct, frozen=True):
    """The final status and headers of a response; 1xx are not reported."""

    stream_id: int
    status: int
    headers: Headers


class ResponseData(msgspec.Struct, frozen=True):
    """A piece of a response body, never empty."""

    stream_id: int
    data: bytes


class ResponseEnded(msgspec.Struct, frozen=True):
    """The response is complete."""

    stream_id: int


class ResponseReset(msgspec.Struct, frozen=True):
    """RST_STREAM of the server with this error code."""

    stream_id: int
    code: int


class RequestReceived(msgspec.Struct, frozen=True):
    """Method, path with query, and headers of a new request."""

    stream_id: int
    method: str
    path: str
    headers: Headers


class RequestData(msgspec.Struct, frozen=True):
    """A piece of a request body, never empty."""

    stream_id: int
    data: bytes


class RequestEnded(msgspec.Struct, frozen=True):
    """The request is complete."""

    stream_id: int


class RequestReset(msgspec.Struct, frozen=True):
    """The exchange ended before its response: cancelled by the client, or refused and reset by us."""

    stream_id: int
    code: int
    why: str = ""
    """Why we refused it, escaped; empty when the client cancelled."""


ClientEvent = ResponseHeaders | ResponseData | ResponseEnded | ResponseReset | PingAcked | GoAway
ServerEvent = RequestReceived | RequestData | RequestEnded | RequestReset | PingReceived | PingAcked | GoAway
