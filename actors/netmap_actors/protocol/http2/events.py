"""Events of HTTP/2: requests to a server, responses to a client, and the connection's own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

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


@dataclasses.dataclass(frozen=True, slots=True)
class PingAcked:
    """The answer to our PING with these eight bytes."""

    opaque: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class PingReceived:
    """A PING of the client's with these eight bytes. Its answer waits behind what is to be sent."""

    opaque: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class GoAway:
    """GOAWAY of the other side; nothing after it is read. `debug` is escaped and bounded."""

    code: int
    debug: str


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """The final status and headers of a response; 1xx are not reported."""

    stream_id: int
    status: int
    headers: Headers


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseData:
    """A piece of a response body, never empty."""

    stream_id: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The response is complete."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseReset:
    """RST_STREAM of the server with this error code."""

    stream_id: int
    code: int


@dataclasses.dataclass(frozen=True, slots=True)
class RequestReceived:
    """Method, path with query, and headers of a new request."""

    stream_id: int
    method: str
    path: str
    headers: Headers


@dataclasses.dataclass(frozen=True, slots=True)
class RequestData:
    """A piece of a request body, never empty."""

    stream_id: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class RequestEnded:
    """The request is complete."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class RequestReset:
    """The exchange ended before its response: cancelled by the client, or refused and reset by us."""

    stream_id: int
    code: int
    why: str = ""
    """Why we refused it, escaped; empty when the client cancelled."""


ClientEvent = ResponseHeaders | ResponseData | ResponseEnded | ResponseReset | PingAcked | GoAway
ServerEvent = RequestReceived | RequestData | RequestEnded | RequestReset | PingReceived | PingAcked | GoAway
