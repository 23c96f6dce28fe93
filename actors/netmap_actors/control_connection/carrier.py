"""Carries bytes between one stream and the control session, and keeps the session's deadlines.

Not here: what an event leads to (`actor`), and every decision about the protocol (`client.session`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netmap_actors.errors import RemoteProtocolError
from netmap_actors.transport.black_hole import BlackHole
from netmap_actors.transport.byte_stream import why_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.control_connection.client.events import SessionEvent
    from netmap_actors.control_connection.client.session import ControlSession
    from netmap_actors.control_connection.reports import Reports
    from netmap_actors.transport.byte_stream import ByteStream

__all__ = ["Carrier"]

READS_PER_TURN = 8
"""Reads of the network before timers and other sources get their turn."""
READS_AT_DEADLINE = 64
"""Reads to find the socket empty at a deadline; a server that sends faster than this is found hung."""


class Carrier:
    """Owns the stream. `on_event` may call `close`, after which nothing is read or sent."""

    def __init__(
        self,
        loop: Loop,
        stream: ByteStream,
        session: ControlSession,
        reports: Reports,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        self.session = session
        self.bytes_received = 0
        self._loop = loop
        self._stream = stream
        self._reports = reports
        self._on_event = on_event
        self._interest = (False, False)
        self._deadline = loop.deadline(self._on_deadline)
        self._closed = False

    def read(self, most: int = READS_PER_TURN) -> None:
        """Take in what the network has, up to so many reads; then send what that leads to."""
        session = self.session
        if self._over():
            return
        self._reports.reading(self._loop.last_stop)
        for _ in range(most):
            if self._reports.paused:
                session.unread()
                break
            try:
                data = self._stream.receive()
            except (OSError, RemoteProtocolError) as error:
                self.handle(session.broken(why_broken(error)))
                return
            now = self._loop.now()
            if data is None:
                self._reports.drained(now)
                session.drained(now)
                break
            self.bytes_received += len(data)
            self.handle(session.receive(data, now) if data else session.eof())
            if self._over():
                return
        else:
            session.unread()
            # TLS may hold more that is ready, of which the socket knows nothing.
            self._loop.call_soon(self.read)
        self._send()

    def handle(self, events: Iterable[SessionEvent]) -> None:
        """Carry out the session's events, in order, before anything is sent."""
        for event in events:
            self._on_event(event)
            if self._closed:
                return
        self._send()

    def lose_packets(self, seconds: float) -> bool:
        """As if a firewall forgot this flow, for so long (0: for ever); False if it is so already, or closed."""
        if self._closed or isinstance(self._stream, BlackHole):
            return False
        hole = BlackHole(self._stream)
        self._change_stream(hole)
        if seconds:
            self._loop.at(self._loop.now() + seconds, lambda: self._find_packets(hole))
        return True

    def close(self) -> None:
        """Close the stream. Closing twice is allowed."""
        if not self._closed:
            self._closed = True
            self._loop.unwatch(self._stream.fileno())
            self._stream.close()

    def _over(self) -> bool:
        return self._closed or self.session.over

    def _send(self) -> None:
        session, stream = self.session, self._stream
        if self._over():
            return
        try:
            stream.flush()
            while not stream.wants_write and (data := session.data_to_send()):
                stream.send(data)
        except (OSError, RemoteProtocolError) as error:
            self.handle(session.broken(why_broken(error)))
            return
        interest = (not self._reports.paused, stream.wants_write)
        if interest != self._interest:
            if interest[0] > self._interest[0]:
                # What came while nothing was read is looked at, also when nothing more comes.
                self._loop.call_soon(self.read)
            self._interest = interest
            if any(interest):
                self._loop.watch(stream.fileno(), self.read, read=interest[0], write=interest[1])
            else:
                self._loop.unwatch(stream.fileno())
        deadlines = (session.deadline(), self._reports.standing.proof_due)
        self._deadline.set(min((at for at in deadlines if at is not None), default=None))

    def _on_deadline(self) -> None:
        # An answer that lies in the socket already is in time, and only an empty socket proves silence.
        self.read(READS_AT_DEADLINE)
        if not self._over():
            self._reports.expire(self._loop.now())
            self.handle(self.session.expire(self._loop.now()))

    def _find_packets(self, hole: BlackHole) -> None:
        if self._closed or self._stream is not hole:
            return
        self._change_stream(hole.below)
        try:
            hole.heal()
        except (OSError, RemoteProtocolError) as error:
            self.handle(self.session.broken(why_broken(error)))

    def _change_stream(self, stream: ByteStream) -> None:
        self._loop.unwatch(self._stream.fileno())
        self._stream, self._interest = stream, (False, False)
        self._loop.call_soon(self.read)
