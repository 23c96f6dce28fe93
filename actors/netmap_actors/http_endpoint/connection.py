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
PARTS_PER_TURN = 4
"""Of a long answer, some ten milliseconds each, before others get their turn."""
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
        self._said_all = False
        """The client has closed its side."""
        self._held: list[bytes] = []
        """Events that came while the first ones are still being sent."""
        self._held_bytes = 0
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

    def begin_events(self, content_type: str, first: Iterator[bytes]) -> None:
        """Answer the request in hand with a stream of events: `first`, made as the client takes it, then the pushed."""
        if self.closed:
            return
        self._server.begin(200, [("Content-Type", content_type), *_HEADERS])
        self._following = True
        self._parts = first
        self._flush()

    def push(self, data: bytes) -> None:
        """Send one event, after the first ones. Who has let too much pile up is cut off."""
        if self.closed:
            return
        if len(self._out) + self._held_bytes + len(data) > MAX_WAITING:
            self.close()
            return
        if self._parts is not None:
            self._held.append(data)
            self._held_bytes += len(data)
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
        self._held.clear()
        self._on_end(self)

    def _on_ready(self) -> None:
        if self._out or self._parts is not None:
            self._flush()
        if self.closed or self._said_all:
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
                self._said_all = True
                self._server.eof()
                self._watch()
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
        for _ in range(PARTS_PER_TURN):
            self._make_part(following)
            if not self._write() or self._parts is None:
                break
        if self.closed:
            return
        if self._server.closed and not self._out:
            self.close()
            return
        self._watch()
        self._take(following)

    def _make_part(self, following: list[HttpRequest]) -> None:
        """Go on with a long answer, if there is room; at its end the next request may be there."""
        if self._parts is not None and len(self._out) < ENOUGH:
            part = next(self._parts, None)
            if part:
                self._server.send_body(part)
            elif part is None:
                self._parts = None
                if self._following:
                    held, self._held, self._held_bytes = self._held, [], 0
                    for data in held:
                        self._server.send_body(data)
                else:
                    following += self._server.end()
        self._out += self._server.data_to_send()

    def _write(self) -> bool:
        """Send what the client takes; False when it takes no more now."""
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return False
            except OSError:
                self.close()
                return False
            del self._out[:sent]
            self._moved_at = self._loop.now()
        return True

    def _watch(self) -> None:
        writing = bool(self._out) or self._parts is not None
        self._loop.watch(self._socket.fileno(), self._on_ready, read=not self._said_all, write=writing)

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
