"""One pair of sockets for subscribers, XPUB for updates and ROUTER for snapshots, and their connections.

Not here: what is published and what an answer holds (`publication`), where the sockets lie, access to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq
from google.protobuf.message import DecodeError

from netmap_actors.bus.admission import Admission
from netmap_actors.bus.monitor import close_monitor, next_event, open_monitor
from netmap_actors.bus.peers import hang_up, hang_up_on_all, hang_up_on_floods, origin_of_descriptor
from netmap_actors.bus.sockets import send_now
from netmap_actors.publisher.publication.answers import Answers
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import SCHEMA, Kind, topic_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop
    from netmap_actors.bus.sockets import Protect, Sockets
    from netmap_actors.publisher.publication.core import Publication
    from netmap_actors.publisher.publication.ring import Published

__all__ = ["Front"]

SEND_HWM = 2000
"""Messages that wait for one subscriber; one further behind has a gap and asks for a snapshot."""
PARTS_HWM = 4
"""Parts of an answer that wait for one subscriber, of a quarter of a mebibyte each."""
MAX_SNAPSHOT_REQUEST = 64 * 1024
MAX_TOPIC = 512
"""Bytes of a subscription; ours have some thirty, CURVE's handshake some three hundred."""
MAX_TOPICS = 2 * 1024 * 1024
"""Bytes of all different topics that are subscribed to; libzmq keeps a tree of them, at some fifty bytes for each."""
_MESSAGES_PER_TURN = 50
_HEARTBEAT = topic_of(Kind.HEARTBEAT)
PARTS_PER_TURN = 4
"""Of answers, before updates get their turn: 1 MiB, a few milliseconds."""
FAREWELL_MS = 200
"""Time for the last message, that the netmap is stale from now on, to leave."""
EVENTS_PER_TURN = 500
"""Monitor events read in one turn: a flood of connections is read no slower than it is accepted."""
_COMINGS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_REFUSALS = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL


class Front:
    """Serves the subscribers of one pair of sockets. Raises zmq.ZMQError when an endpoint cannot be bound."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        publication: Publication,
        *,
        updates: str,
        requests: str,
        on_count: Callable[[], object],
        on_arrival: Callable[[], object],
        on_flood: Callable[[], object],
        capacity: int,
        on_cut: Callable[[str], object],
        protect: Protect | None = None,
        on_mismatch: Callable[[], object] | None = None,
    ) -> None:
        """`on_count`: the number of subscribers changed. `on_arrival`: one connected. `on_flood`: there are topics
        beyond MAX_TOPICS, which only a new socket is rid of. `capacity`: connections to each socket; above it the
        origin that holds most loses one, reported by `on_cut(origin)`. `on_mismatch`: a client used another security
        mechanism, or none."""
        self._loop = loop
        self._sockets = sockets
        self._publication = publication
        self._on_count = on_count
        self._on_arrival = on_arrival
        self._on_flood = on_flood
        self._topic_bytes = 0
        self._beats_wanted: set[bytes] = set()
        """The subscriptions that take heartbeats."""
        self._on_mismatch = on_mismatch
        self._answers = Answers()
        self._answer_deadline = loop.deadline(self._serve)
        self._on_cut = on_cut
        self._connected: Admission[int] = Admission(capacity)
        self._asking: Admission[int] = Admission(capacity)
        self._malformed = 0
        self._protect = protect
        self._monitors: list[tuple[zmq.Socket[bytes], zmq.Socket[bytes], Admission[int]]] = []
        try:
            self._updates = sockets.xpub_bind(
                updates, hwm=SEND_HWM, max_size=MAX_TOPIC, protect=self._watched(self._connected)
            )
            self._requests = sockets.router_bind(
                requests, max_size=MAX_SNAPSHOT_REQUEST, hwm=PARTS_HWM, protect=self._watched(self._asking)
            )
        except Exception:
            for socket, monitor, _ in self._monitors:
                if socket.closed:
                    monitor.close()
                else:
                    close_monitor(socket, monitor)
                    sockets.close_one(socket)
            raise
        loop.watch(self._updates, self._on_subscriptions)
        loop.watch(self._requests, self._on_requests)
        for _, monitor, _ in self._monitors:
            loop.watch(monitor, self._on_monitors)

    @property
    def subscribers(self) -> int:
        """Connections to the updates socket; XPUB itself merges equal subscriptions and cannot say."""
        return len(self._connected)

    @property
    def wants_heartbeats(self) -> bool:
        """Somebody takes them: whoever hears of our end in another way does not."""
        return bool(self._beats_wanted)

    @property
    def refused(self) -> int:
        """Requests that were malformed or one too many."""
        return self._answers.refused + self._malformed

    @property
    def answers_completed(self) -> int:
        """Answers sent to their end."""
        return self._answers.completed

    @property
    def answers_stalled(self) -> int:
        """Answers given up because their reader took nothing."""
        return self._answers.stalled

    def send(self, published: Published) -> None:
        """To the subscribers of its topic; one that does not keep up loses it, and sees that by the numbers."""
        send_now(self._updates, published.topic, published.message)

    def _watched(self, admission: Admission[int]) -> Protect:
        """Before its bind: connections may wait for a socket already, and each has to be counted."""

        def arm(socket: zmq.Socket[bytes]) -> None:
            if self._protect is not None:
                self._protect(socket)
            events = _COMINGS if self._on_mismatch is None else _COMINGS | _REFUSALS
            self._monitors.append((socket, open_monitor(socket, events), admission))

        return arm

    def close(self) -> None:
        """Close every connection; the last message may still leave."""
        self._answer_deadline.set(None)
        for socket, monitor, _ in self._monitors:
            self._loop.unwatch(monitor)
            close_monitor(socket, monitor)
            self._loop.unwatch(socket)
        self._updates.setsockopt(zmq.LINGER, FAREWELL_MS)
        self._sockets.close_one(self._updates)
        self._sockets.close_one(self._requests)

    def _on_subscriptions(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            try:
                subscription = self._updates.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            # XPUB reports a topic's first subscriber, and that its last one is gone.
            sign = {b"\x01": 1, b"\x00": -1}.get(subscription[:1], 0)
            self._topic_bytes += sign * len(subscription)
            if _HEARTBEAT.startswith(subscription[1:]) and sign:
                (self._beats_wanted.add if sign > 0 else self._beats_wanted.discard)(subscription[1:])
                self._on_count()
            if self._topic_bytes > MAX_TOPICS:
                self._on_flood()
                return

    def _on_requests(self) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            try:
                frames = self._requests.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self._on_request(frames)
        self._serve()

    def _on_request(self, frames: list[bytes]) -> None:
        try:
            requester, data = frames
            request = netmap_pb2.Request.FromString(data)
        except (ValueError, DecodeError):
            self._malformed += 1
            return
        if request.schema != SCHEMA or len(request.token) > 64:
            self._malformed += 1
            return
        token, epoch, seq = request.token, request.epoch, request.seq
        self._answers.request(requester, lambda: self._publication.answer(token, epoch, seq, self._loop.now))

    def _serve(self) -> None:
        """Send some parts; the rest in a later turn, so that updates are never far behind."""
        now = self._loop.now()
        for _ in range(PARTS_PER_TURN):
            following = self._answers.next(now)
            if following is None:
                break
            requester, part = following
            try:
                self._requests.send_multipart([requester, part], zmq.DONTWAIT)
                self._answers.sent(requester)
            except zmq.Again:
                self._answers.blocked(requester, now)
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self._answers.gone(requester)
        self._answer_deadline.set(self._answers.deadline(now))

    def hang_up_on_floods(self) -> int:
        """See `peers.hang_up_on_floods`."""
        return sum(map(hang_up_on_floods, (self._connected, self._asking)))

    def hang_up_on_all(self) -> int:
        """See `peers.hang_up_on_all`."""
        return sum(map(hang_up_on_all, (self._connected, self._asking)))

    def _on_monitors(self) -> None:
        for _, monitor, admission in self._monitors:
            for _ in range(EVENTS_PER_TURN):
                event = next_event(monitor)
                if event is None:
                    break
                # Not HANDSHAKE_SUCCEEDED: libzmq does not say of which connection.
                if event.event == zmq.EVENT_ACCEPTED:
                    self._admit(admission, event.value)
                    if admission is self._connected:
                        self._on_arrival()
                elif event.event == zmq.EVENT_DISCONNECTED:
                    admission.left(event.value)
                elif self._on_mismatch is not None:
                    self._on_mismatch()
        self._on_count()

    def _admit(self, admission: Admission[int], descriptor: int) -> None:
        """Count a connection, and hang up on one if there are too many: libzmq sees its end and closes it."""
        peer = origin_of_descriptor(descriptor)
        if peer is None:
            return  # it has left already
        victim = admission.arrived(descriptor, peer)
        if victim is not None:
            hang_up(*victim)
            self._on_cut(str(victim[1]))
