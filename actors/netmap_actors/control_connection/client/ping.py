"""Decides how a PingRequest is answered: by HEAD to the control server, by `/echo`, or not at all. Pure.

Not here: the answer itself. The reference fetches any URL; we ask the control server only.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.errors import escape
from netmap_actors.protocol.http1_server import HttpServer
from netmap_actors.web_url import BadUrl, WebUrl

if TYPE_CHECKING:
    from netmap_actors.control_connection.client.server.control_url import ControlUrl
    from netmap_actors.tailcfg import PingRequest

__all__ = ["Declined", "HeadToControl", "OverNoise", "PingAnswerer"]

PINGS_PER_WINDOW = 20
PING_WINDOW = 60.0
"""Seconds. headscale's prober asks every ten."""
REMEMBERED = 64
"""Pings remembered, so that none is answered twice; each comes again with a new session."""


class HeadToControl(msgspec.Struct, frozen=True):
    """HEAD this URL over an ordinary connection to the control server."""

    url: str


class OverNoise(msgspec.Struct, frozen=True):
    """A request over the session's connection."""

    method: str
    path: str
    body: bytes = b""


class Declined(msgspec.Struct, frozen=True):
    """No answer; `why` is escaped."""

    why: str


class PingAnswerer:
    """Remembers what was answered, and how often."""

    def __init__(self, url: ControlUrl) -> None:
        self._url = url
        self._seen: collections.deque[tuple[str, str]] = collections.deque(maxlen=REMEMBERED)
        self._times: collections.deque[float] = collections.deque(maxlen=PINGS_PER_WINDOW)

    def decide(self, request: PingRequest, now: float) -> HeadToControl | OverNoise | Declined | None:
        """None for a request that was seen before or has no URL."""
        if not request.url or (request.url, request.types) in self._seen:
            return None
        self._seen.append((request.url, request.types))
        answer = self._answer(request)
        if isinstance(answer, Declined):
            return answer
        if len(self._times) == PINGS_PER_WINDOW and now - self._times[0] < PING_WINDOW:
            return Declined("too many pings")
        self._times.append(now)
        return answer

    def _answer(self, request: PingRequest) -> HeadToControl | OverNoise | Declined:
        path = _path_of(request.url)
        if path is None:
            return Declined(f"malformed URL {escape(request.url, 80)}")
        if request.types == "c2n":
            return _c2n(path, request.payload or b"")
        if request.types:
            return Declined(f"no answer to pings of type {escape(request.types, 40)}")
        if request.url_is_noise:
            return OverNoise("HEAD", path)
        if self._url.is_origin_of(request.url):
            return HeadToControl(request.url)
        return Declined(f"URL leads away from the control server: {escape(request.url, 80)}")


def _path_of(url: str) -> str | None:
    """Path and query of a URL whose host does not matter."""
    try:
        return WebUrl.parse(url).target
    except BadUrl:
        return None


def _c2n(path: str, payload: bytes) -> OverNoise | Declined:
    """A request of control to node, in HTTP/1.1: only `/echo` is known (tailscale: feature/c2n/c2n.go)."""
    server = HttpServer()
    requests = server.receive(payload)
    if not requests:
        return Declined("the c2n payload is no HTTP request")
    request = requests[0]
    if request.target.partition("?")[0] == "/echo":
        server.respond(200, [], request.body)
    else:
        server.respond(400, [("Content-Type", "text/plain")], b"unknown c2n path\n")
    return OverNoise("POST", path, server.data_to_send())
