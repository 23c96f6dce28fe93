"""One pair of sockets for subscribers, XPUB for updates and ROUTER for snapshots, and who is at them.

Not here: what is published and what an answer holds (`publication`), where the sockets lie and who may reach them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq
from google.protobuf.message import DecodeError

from netmap_actors.publication.answers import Answers
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.door import Doors
    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.bus.sockets import Protect, Sockets
    from netmap_actors.publication.core import Publication
    from netmap_actors.publication.ring import Published

__all__ = ["Front"]

UPDATES_HWM = 2000
"""Messages that wait for one subscriber; who is further behind has a gap and asks for a snapshot."""
REQUESTS_HWM = 4
"""Parts of an answer that wait for one subscriber, of a quarter of a mebibyte each."""
MAX_REQUEST = 64 * 1024
MAX_TOPIC = 512
"""Bytes of a subscription; ours have some thirty, CURVE's handshake some three hundred."""
MAX_TOPICS = 2 * 1024 * 1024
"""Bytes of all different topics that are subscribed to; libzmq keeps a tree of them, at some fifty bytes for each."""
MESSAGES_PER_TURN = 50
PARTS_PER_TURN = 4
"""Of answers, before updates get their turn: 1 MiB, a few milliseconds."""
FAREWELL_MS = 200
"""How long the last word, that the netmap is stale from now on, may take to reach the subscribers."""


class Front:
    """Serves whoever comes through one pair of sockets. Raises OSError when an endpoint cannot be listened at."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        doors: Doors,
        publication: Publication,
        *,
        updates: str,
        requests: str,
        on_count: Callable[[], object],
        on_arrival: Callable[[], object],
        on_flood: Callable[[], object],
        max_connected: int,
        protect: Protect | None = None,
        on_mismatch: Callable[[], object] | None = None,
    ) -> None:
        """`on_count`: the number of subscribers changed. `on_arrival`: somebody came. `on_flood`: there are topics
        beyond MAX_TOPICS, which only a new socket is rid of. `max_connected`: at each of the two sockets.
        `on_mismatch`: somebody spoke another security mechanism, or none."""
        self._loop = loop
        self._sockets = sockets
        self._publication = publication
        self._on_flood = on_flood
        self._topic_bytes = 0
        self._answers = Answers()
        self._answer_timer: Timer | None = None
        self._malformed = 0
        self._subscribers = doors.door(
            capacity=max_connected, on_arrival=on_arrival, on_change=on_count, on_refusal=on_mismatch
        )
        self._requesters = doors.door(capacity=max_connected, on_refusal=on_mismatch)
        self._updates = sockets.xpub_bind(
            updates, hwm=UPDATES_HWM, max_size=MAX_TOPIC, protect=protect, door=self._subscribers
        )
        try:
            self._requests = sockets.router_bind(
                requests, max_size=MAX_REQUEST, hwm=REQUESTS_HWM, protect=protect, door=self._requesters
            )
        except (zmq.ZMQError, OSError):
            sockets.close_one(self._updates)
            raise
        loop.watch(self._updates, self._on_subscriptions)
        loop.watch(self._requests, self._on_requests)

    @property
    def subscribers(self) -> int:
        """Connections to the updates socket, as of the last `sweep`; XPUB itself merges equal subscriptions."""
        return len(self._subscribers)

    @property
    def refused(self) -> int:
        """Requests that were no requests, or one too many."""
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
        """To everybody who subscribes to its topic; who does not keep up loses it, and sees that by the numbers."""
        self._updates.send_multipart([published.topic, published.message], zmq.DONTWAIT)

    def sweep(self) -> None:
        """Look for who has left."""
        self._subscribers.sweep()
        self._requesters.sweep()

    def close(self) -> None:
        """Let go of everybody; what was sent last may still leave."""
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        for socket in (self._updates, self._requests):
            self._loop.unwatch(socket)
        self._updates.setsockopt(zmq.LINGER, FAREWELL_MS)
        self._sockets.close_one(self._updates)
        self._sockets.close_one(self._requests)

    def _on_subscriptions(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
            try:
                told = self._updates.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            # XPUB tells of the first who subscribes to a topic and of the last who does not any more.
            self._topic_bytes += (
                len(told) if told[:1] == b"\x01" else -len(told) if told[:1] == b"\x00" else 0
            )
            if self._topic_bytes > MAX_TOPICS:
                self._on_flood()
                return

    def _on_requests(self) -> None:
        for _ in range(MESSAGES_PER_TURN):
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
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None
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
        deadline = self._answers.deadline(now)
        if deadline is not None:
            self._answer_timer = self._loop.at(deadline, self._serve)
