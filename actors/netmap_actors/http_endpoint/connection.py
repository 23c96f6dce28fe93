"""One HTTP client: bytes in and out, with a bound on everything that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.protocol.http1_server import HttpServer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.protocol.http1_server import HttpRequest

__all__ = ["Connection"]

READ_SIZE = 64 * 1024
ENOUGH = 256 * 1024
"""Bytes waiting for the client at which no further part of a long answer is made."""
MAX_WAITING = 8 * 1024 * 1024
"""Bytes of events waiting for a client that does not read; it is cut off, and comes back to a new snapshot."""
IDLE_LIMIT = 60.0
"""Seconds a connection may do nothing: send no request, or take nothing of an answer."""
_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]


class Connection:
    """`on_request(connection, request)` answers, at once or later: `answer`, `answer_in_parts` or `begin_events`."""

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        on_request: Callable[[Connection, HttpRequest], object],
        on_end: Callable[[Connection], object],
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._socket = sock
        self._on_request = on_request
        self._on_end = on_end
        self._server = HttpServer()
        self._out = bytearray()
        self._parts: Iterator[bytes] | None = None
        self._following = False
        self._timer: Timer | None = None
        self._moved_at = loop.now()
        self.closed = False
        loop.watch(sock.fileno(), self._on_ready)
        self._arm()

    @property
    def follows(self) -> bool:
        """It reads events."""
        return self._following

    def answer(
        self, status: int, content_type: str, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer the request in hand."""
        if self.closed:
            return
        fields = [("Content-Type", content_type), *_HEADERS, *(headers or [])]
        following = self._server.respond(status, fields, body)
        self._flush()
        self._take(following)

    def answer_in_parts(self, content_type: str, parts: Iterator[bytes]) -> None:
        """Answer the request in hand with what `parts` gives, made as the client takes it."""
        if self.closed:
            return
        self._server.begin(200, [("Content-Type", content_type), *_HEADERS])
        self._parts = parts
        self._flush()

    def begin_events(self, content_type: str) -> None:
        """Answer the request in hand with a stream of events, from now on."""
        if self.closed:
            return
        self._server.begin(200, [("Content-Type", content_type), *_HEADERS])
        self._following = True
        self._flush()

    def push(self, data: bytes) -> None:
        """Send one event. Who has let too much pile up is cut off."""
        if self.closed:
            return
        if len(self._out) + len(data) > max(MAX_WAITING, len(data)):
            self.close()
            return
        self._server.send_body(data)
        self._flush()

    def close(self) -> None:
        """Let go of the client."""
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        self._parts = None
        self._on_end(self)

    def _on_ready(self) -> None:
        if self._out or self._parts is not None:
            self._flush()
        if self.closed:
            return
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            # A client that has said all may still read; one that follows events, or waits for nothing, has gone.
            if self._following or not (self._out or self._parts is not None):
                self.close()
            else:
                self._server.eof()
                self._watch(read=False)
            return
        if not self._out:
            self._moved_at = self._loop.now()
        self._take(self._server.receive(data))
        self._flush()

    def _take(self, requests: list[HttpRequest]) -> None:
        for request in requests:
            if not self.closed:
                self._on_request(self, request)

    def _flush(self) -> None:
        following: list[HttpRequest] = []
        while not self.closed:
            self._out += self._server.data_to_send()
            if self._parts is not None and len(self._out) < ENOUGH:
                part = next(self._parts, None)
                if part is None:
                    self._parts = None
                    following = self._server.end()
                elif part:
                    self._server.send_body(part)
                continue
            if not self._out:
                break
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            del self._out[:sent]
            self._moved_at = self._loop.now()
        if self.closed:
            return
        if self._server.closed and not self._out:
            self.close()
            return
        self._watch(read=True)
        self._take(following)

    def _watch(self, *, read: bool) -> None:
        self._loop.watch(self._socket.fileno(), self._on_ready, read=read, write=bool(self._out))

    def _arm(self) -> None:
        self._timer = self._loop.at(self._moved_at + IDLE_LIMIT, self._on_idle)

    def _on_idle(self) -> None:
        quiet = self._loop.now() >= self._moved_at + IDLE_LIMIT
        if quiet and (self._out or not self._following):
            self.close()
            return
        if quiet:
            self._moved_at = self._loop.now()
        self._arm()
