"""What the HTTP/2 machines report: requests to a server, responses to a client, and the connection's own events.

Not here: any behaviour.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.protocol.headers import Headers

__all__ = [
    "ClientEvent",
    "GoAway",
    "PingAcked",
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
    """The other side answered our PING that carried these eight bytes."""

    opaque: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class GoAway:
    """The other side ends the connection; nothing after it is read. `debug` is escaped and bounded."""

    code: int
    debug: str


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseHeaders:
    """The final status and headers of a response; 1xx ones are not reported."""

    stream_id: int
    status: int
    headers: Headers


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseData:
    """A piece of a response body, never empty, wherever the server happened to cut it."""

    stream_id: int
    data: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseEnded:
    """The response is complete."""

    stream_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseReset:
    """The server gave the response up (RST_STREAM with this error code)."""

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
    """The exchange is over before its response was: cancelled by the client, or too large and reset by us."""

    stream_id: int
    code: int


ClientEvent = ResponseHeaders | ResponseData | ResponseEnded | ResponseReset | PingAcked | GoAway
ServerEvent = RequestReceived | RequestData | RequestEnded | RequestReset | PingAcked | GoAway
