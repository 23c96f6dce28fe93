"""One HTTP client: bytes in and out, with a bound on everything that waits for it and on the time it may take."""

from __future__ import annotations

import collections
import contextlib
import socket
from typing import TYPE_CHECKING

from netmap_actors.protocol.http1_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netmap_actors.bus.loop import Loop
    from netmap_actors.protocol.http1_server import HttpRequest
    from netmap_actors.transport.tls_server import TlsLayer

__all__ = ["Connection", "Turns"]

READ_SIZE = 64 * 1024
ENOUGH = 256 * 1024
"""Bytes queued for the client at which no further part of a long answer is made."""
REQUESTS_PER_TURN = 3
"""Of those a client has sent ahead."""
MAX_WAITING = 8 * 1024 * 1024
"""Bytes of events queued for a client that does not read; with more it is cut off."""
REQUEST_LIMIT = 10.0
"""Seconds from the first byte of a request to its last; of the first one with the TLS handshake before it."""
IDLE_LIMIT = 60.0
"""Seconds a connection may do nothing: begin no request, or take nothing of an answer."""
LINGER_LIMIT = 2.0
"""Seconds in which a client may take the last answer, and MOST_DROPPED bytes that it may send meanwhile."""
MOST_DROPPED = 4 * 1024 * 1024
_HEADERS = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]


class Turns:
    """Makes one part of one long answer, of some ten milliseconds, in a turn of the loop; so a small request waits for
    one part and not for one of each long answer."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: collections.deque[Connection] = collections.deque()

    def wait(self, connection: Connection) -> None:
        """Its `go_on` is called when it is its turn."""
        if not self._waiting:
            self._loop.call_soon(self._next)
        self._waiting.append(connection)

    def _next(self) -> None:
        connection = self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._next)
        connection.go_on()


class Connection:
    """`on_request(connection, request)` answers, at once or later: `answer`, `answer_in_parts` or `begin_events`."""

    def __init__(
        self,
        loop: Loop,
        turns: Turns,
        sock: socket.socket,
        on_request: Callable[[Connection, HttpRequest], object],
        on_end: Callable[[Connection], object],
        on_error: Callable[[Exception], object],
        on_progress: Callable[[Connection], object],
        tls: TlsLayer | None = None,
    ) -> None:
        """`on_progress`: a whole request came, some of an answer was taken, or one is complete; see `waits`."""
        sock.setblocking(False)
        self._loop = loop
        self._turns = turns
        self._in_line = False
        """For a part of its answer."""
        self._socket = sock
        self._on_request = on_request
        self._on_end = on_end
        self._on_error = on_error
        self._on_progress = on_progress
        self._server = HttpServer()
        self.tls = tls
        """None: none is spoken."""
        self._out = bytearray()
        """Bytes for the socket."""
        self._parts: Iterator[bytes] | None = None
        self._following = False
        self._requests: list[HttpRequest] = []
        """At most one: the next one, sent ahead, comes out when this one is answered."""
        self._said_all = False
        """The client has closed its side."""
        self._held: list[bytes] = []
        """Events that came while the first ones are still being sent."""
        self._held_bytes = 0
        self._deadline = loop.deadline(self._on_time)
        self._moved_at = loop.now()
        self._began_at: float | None = self._moved_at
        """When the request that is not complete began; the first one begins with the connection."""
        self._told_waits = True
        self._dropped: int | None = None
        """Bytes that came after our end, which is said; None: it is not."""
        self.closed = False
        loop.watch(sock.fileno(), self._on_ready)
        self._arm()

    @property
    def waits(self) -> bool:
        """It is the client's turn: to ask, or to take what is there for it."""
        return self.behind or not (self._following or self._server.waiting)

    @property
    def behind(self) -> bool:
        """It has not taken all that is there for it."""
        return bool(self._out) or self._parts is not None

    @property
    def busy(self) -> bool:
        """It has a request that is being answered, or follows events."""
        # Of a handshake that is not taken nothing is being answered.
        answering = bool(self._out) and (self.tls is None or self.tls.established)
        return self._following or self._server.waiting or answering

    def answer(
        self, status: int, content_type: str, body: bytes, headers: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer the request in hand; `headers` come besides, or in the place of ours."""
        if self.closed:
            return
        self._requests += self._server.respond(status, _fields(content_type, headers), body)
        self._watch()

    def answer_in_parts(self, content_type: str, parts: Iterator[bytes]) -> None:
        """Answer the request in hand with what `parts` gives, made as the client takes it."""
        if self.closed:
            return
        self._server.begin(200, _fields(content_type, None))
        self._parts = parts
        self._watch()

    def begin_events(
        self, content_type: str, first: Iterator[bytes], headers: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer the request in hand with a stream of events: `first`, made as the client takes it, then the pushed."""
        if self.closed:
            return
        self._server.begin(200, _fields(content_type, headers))
        self._following = True
        self._parts = first
        self._watch()

    def push(self, data: bytes) -> None:
        """Send one event, after the first ones; a client with more than MAX_WAITING to read is cut off."""
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
        self._queue()
        self._write()
        if not self.closed:
            self._watch()

    def end_events(self, last: bytes) -> None:
        """Send one more event, and end the answer behind it."""
        self.push(last)
        if self.closed or self._parts is not None:
            self.close()  # it has not even taken the first ones
            return
        self._following = False
        self._requests += self._server.end()
        self._watch()

    def close(self) -> None:
        """Close the socket."""
        if self.closed:
            return
        self.closed = True
        self._deadline.set(None)
        self._loop.unwatch(self._socket.fileno())
        if not self._out and self._dropped is None:
            self._say_end()
        self._socket.close()
        self._parts = None
        self._held.clear()
        self._requests.clear()
        self._out.clear()
        self._on_end(self)
        # Not when the collector comes to the rest: it counts objects, and OpenSSL's memory is none.
        self.tls = None

    def _say_end(self) -> None:
        if self.tls is not None:
            self.tls.close()
            with contextlib.suppress(OSError):
                self._socket.send(self.tls.send(b""))

    def _end(self) -> None:
        """Close in stages (RFC 9112, 9.6): what is not read when a socket is closed makes a client's kernel throw away
        the answer that it has not read."""
        if self._said_all or (self.tls is not None and self.tls.failure):
            self.close()
            return
        self._say_end()
        self._dropped = 0
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._deadline.set(self._loop.now() + LINGER_LIMIT)
        self._loop.watch(self._socket.fileno(), self._on_ready)

    def _drop(self, dropped: int) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._dropped = dropped + len(data)
        if not data or self._dropped > MOST_DROPPED:
            self.close()

    def go_on(self) -> None:
        """Make the next part of its answer."""
        self._in_line = False
        if not self.closed:
            self._guarded(self._make_part)

    def _on_ready(self) -> None:
        self._guarded(lambda: None)

    def _guarded(self, before: Callable[[], object]) -> None:
        try:
            before()
            self._work()
        except Exception as error:  # noqa: BLE001  # what one client brought about must not end it for all
            self._on_error(error)
            self.close()

    def _work(self) -> None:
        if self._dropped is not None:
            self._drop(self._dropped)
            return
        self._write()
        if not self.closed and not self._said_all and not self._requests:
            self._read()
        for _ in range(REQUESTS_PER_TURN):
            # The next one only when the client has taken the answer before: it cannot make us pile them up.
            if self.closed or not self._requests or self._out or self._parts is not None:
                break
            self._on_request(self, self._requests.pop())
            if not self.closed:
                self._queue()
                self._write()
        if self.closed:
            return
        if self._ends and not self._out and self._parts is None:
            self._end()
            return
        self._watch()

    def _read(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        ended = not data
        if self.tls is not None and data:
            data = self.tls.receive(data)
            ended = self.tls.ended
        if data:
            self._take(data)
        if ended:
            self._said_all = True
            # A client that has said all may still read; one that follows events, or waits for nothing, has gone.
            # One whose handshake failed is told why.
            if not self._ends and (self._following or not self.busy):
                self.close()
                return
            self._server.eof()
        self._queue()

    def _take(self, data: bytes) -> None:
        if self._began_at is None and not self._server.waiting:
            self._began_at = self._loop.now()
        self._requests += self._server.receive(data)
        if self._requests:
            self._began_at = None
            self._tell_progress()

    @property
    def _ends(self) -> bool:
        """Whether to close when all is sent."""
        return self._server.closed or (self.tls is not None and bool(self.tls.failure))

    def _queue(self) -> None:
        """What the layers have for the socket."""
        data = self._server.data_to_send()
        self._out += data if self.tls is None else self.tls.send(data)

    def _make_part(self) -> None:
        if self._parts is None:
            return
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
                self._requests += self._server.end()
        self._queue()

    def _write(self) -> None:
        """Send what the client takes."""
        while self._out:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            del self._out[:sent]
            self._moved_at = self._loop.now()
            self._tell_progress()

    def _watch(self) -> None:
        """Readable unless it has said all or has to wait; writable, and thus soon, when we have something to do."""
        self._queue()
        if self._parts is not None and len(self._out) < ENOUGH and not self._in_line:
            self._in_line = True
            self._turns.wait(self)
        sends = bool(self._out)
        writing = sends or (self._parts is None and (bool(self._requests) or self._ends))
        reading = not self._said_all and not self._requests
        if self.waits != self._told_waits:
            self._tell_progress()
        self._loop.watch(self._socket.fileno(), self._on_ready, read=reading, write=writing)

    def _tell_progress(self) -> None:
        self._told_waits = self.waits
        self._on_progress(self)

    def _arm(self) -> None:
        times = [self._moved_at + IDLE_LIMIT]
        if self._began_at is not None:
            times.append(self._began_at + REQUEST_LIMIT)
        self._deadline.set(max(min(times), self._loop.now() + 1.0))

    def _on_time(self) -> None:
        now = self._loop.now()
        if self._dropped is not None:
            self.close()
            return
        if self._began_at is not None and now >= self._began_at + REQUEST_LIMIT and not self.busy:
            self.close()
            return
        if now >= self._moved_at + IDLE_LIMIT:
            if self._out or not self._following:
                self.close()
                return
            self._moved_at = now
        self._arm()


def _fields(content_type: str, headers: list[tuple[str, str]] | None) -> list[tuple[str, str]]:
    """Those of every answer, and `headers` besides or in their place."""
    given = headers or []
    named = {name for name, _ in given}
    fields = [("Content-Type", content_type)] if content_type else []
    return [*fields, *(one for one in _HEADERS if one[0] not in named), *given]
