"""The library others import: a replica kept up to date over ZeroMQ, for plain loops and for asyncio.

Not here: what the messages mean (`replica`).
"""

from __future__ import annotations

import collections
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import zmq

from netmap_actors.clock import SystemClock
from netmap_actors.runtime_paths import default_runtime_dir, requests_path, updates_path
from netmap_actors.subscriber.replica import Replica
from netmap_actors.wire.topics import PREFIX

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Iterator
    from types import TracebackType

    from netmap_actors.clock import Clock
    from netmap_actors.curve_keys import CurvePair
    from netmap_actors.subscriber.events import Event
    from netmap_actors.subscriber.netmap_view import Netmap, Peers
    from netmap_actors.subscriber.peer import Peer

__all__ = ["Subscriber"]

UPDATES_HWM = 10_000
"""Messages that wait for us; more are lost, which the numbers show, and a snapshot makes up for it."""
REQUESTS_HWM = 2
"""Requests that wait for a publisher to come; they all ask the same."""
MAX_MESSAGE = 256 * 1024 * 1024
_MESSAGES_PER_TURN = 1000


class Subscriber:
    """The netmap of a running daemon, kept current.

    Iterating gives events: first a Snapshot, then true changes only, over restarts of the daemon, too. Between
    events, `peers`, `state` and the rest show the netmap as of the last one. Not for use from several threads.

        with Subscriber() as netmap:
            for event in netmap:
                print(event.to_json())
    """

    def __init__(
        self,
        runtime_dir: str | os.PathLike[str] | None = None,
        *,
        endpoint: tuple[str, str] | None = None,
        curve: tuple[CurvePair, str] | None = None,
        clock: Clock | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        """Nothing is waited for: the daemon may come later.

        `runtime_dir`: the daemon's; by default where a daemon of this user keeps it. `endpoint`: the ZeroMQ
        endpoints (updates, requests) instead, for a remote daemon with `curve`: our key pair and the server's
        public key.
        """
        if endpoint is None:
            directory = Path(runtime_dir) if runtime_dir is not None else default_runtime_dir()
            endpoint = (f"ipc://{updates_path(directory)}", f"ipc://{requests_path(directory)}")
        self._clock: Clock = clock or SystemClock()
        self._own_context = context is None
        self._context = context or zmq.Context()
        self._events: collections.deque[Event] = collections.deque()
        self._callbacks: dict[str, list[Callable[[Any], object]]] = {}
        self._replica = Replica(self._clock.boottime(), random.random)  # spreads requests, no secret
        self._updates = self._socket(zmq.SUB, curve)
        # Subscriptions are sent again at each reconnect and pass the send mark (libzmq issue 2258).
        self._updates.setsockopt(zmq.SNDHWM, 0)
        self._updates.setsockopt(zmq.SUBSCRIBE, PREFIX)
        self._updates.connect(endpoint[0])
        self._requests = self._socket(zmq.DEALER, curve)
        self._requests.connect(endpoint[1])
        self._poller = zmq.Poller()
        self._poller.register(self._updates, zmq.POLLIN)
        self._poller.register(self._requests, zmq.POLLIN)

    # The netmap

    @property
    def netmap(self) -> Netmap:
        """Everything, as of the last event."""
        return self._replica.netmap

    @property
    def peers(self) -> Peers:
        """The peers: a mapping by stable id, with `by_name`, `by_address`, `by_tag`, `by_user` and `find`."""
        return self._replica.netmap.peers

    @property
    def self_node(self) -> Peer | None:
        """Our own node."""
        return self._replica.netmap.self_node

    @property
    def state(self) -> str:
        """none, fresh or stale, now: it decays by itself when nothing is heard."""
        return self._replica.state(self._clock.boottime())

    @property
    def age_s(self) -> float | None:
        """Seconds since the control server's last MapResponse."""
        return self._replica.age(self._clock.boottime())

    @property
    def epoch(self) -> int:
        """The publisher process that was heard last; 0 before."""
        return self._replica.epoch

    @property
    def seq(self) -> int:
        """The commit that is shown."""
        return self._replica.seq

    def on(self, kind: str, callback: Callable[[Any], object]) -> None:
        """Call `callback(event)` for each event of this kind (`peer_upserted`, …; `*` for all) before it is given."""
        self._callbacks.setdefault(kind, []).append(callback)

    # For plain loops

    def connect(self, timeout: float) -> bool:
        """Wait until the netmap, or the word that there is none yet, has come. False after `timeout` seconds."""
        return self._run(lambda: self._replica.synced, timeout)

    def wait_for(self, predicate: Callable[[Subscriber], object], timeout: float) -> bool:
        """Wait until `predicate(self)` holds; False after `timeout` seconds.

        Events on the way are kept for iterating.
        """
        return self._run(lambda: bool(predicate(self)), timeout)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None after `timeout` seconds."""
        self._run(lambda: bool(self._events), timeout)
        return self._take() if self._events else None

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self.next_event()
            if event is not None:
                yield event

    # For asyncio

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio  # noqa: PLC0415  # who does not use it does not pay for it

        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        # These descriptors say that something may have happened, once; each time everything is looked at.
        descriptors = [int(socket.getsockopt(zmq.FD)) for socket in (self._updates, self._requests)]
        for descriptor in descriptors:
            loop.add_reader(descriptor, ready.set)
        try:
            while True:
                ready.clear()
                while self._turn():
                    ready.clear()
                while self._events:
                    yield self._take()
                if self._updates.poll(0) or self._requests.poll(0):
                    continue
                try:
                    await asyncio.wait_for(ready.wait(), self._patience(None))
                except TimeoutError:
                    continue
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    # Life

    def close(self) -> None:
        """Let go of the daemon. The netmap stays as it was."""
        for socket in (self._updates, self._requests):
            socket.close(0)
        if self._own_context:
            self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Inside

    def _socket(self, kind: int, curve: tuple[CurvePair, str] | None) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, UPDATES_HWM)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 250)
        socket.setsockopt(zmq.SNDHWM, REQUESTS_HWM)
        if curve is not None:
            pair, server = curve
            socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.encode())
            socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
        return socket

    def _run(self, until: Callable[[], bool], timeout: float | None) -> bool:
        end = None if timeout is None else self._clock.boottime() + timeout
        while True:
            while self._turn():
                pass
            if until():
                return True
            if end is not None and self._clock.boottime() >= end:
                return False
            patience = self._patience(end)
            # Rounded up: a deadline is not met a moment too early again and again.
            self._poller.poll(None if patience is None else int(patience * 1000) + 1)

    def _patience(self, end: float | None) -> float | None:
        """Seconds until something is due."""
        now = self._clock.boottime()
        times = [time for time in (self._replica.deadline(), end) if time is not None]
        return max(0.0, min(times) - now) if times else None

    def _turn(self) -> bool:
        """Take in what is there; True when there was anything."""
        busy = self._receive(self._updates, self._replica.message)
        busy = self._receive(self._requests, self._replica.reply) or busy
        now = self._clock.boottime()
        deadline = self._replica.deadline()
        if deadline is not None and now >= deadline:
            self._emit(self._replica.expire(now))
        request = self._replica.take_request()
        if request is not None:
            try:
                self._requests.send(request, zmq.DONTWAIT)
            except zmq.Again:
                return busy  # nobody is there; it is asked again
        return busy

    def _receive(self, socket: zmq.Socket[bytes], feed: Callable[[bytes, float], list[Event]]) -> bool:
        busy = False
        for _ in range(_MESSAGES_PER_TURN):
            try:
                frames = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return busy
            busy = True
            self._emit(feed(frames[-1], self._clock.boottime()))
        return busy

    def _emit(self, events: list[Event]) -> None:
        self._events.extend(events)

    def _take(self) -> Event:
        event = self._events.popleft()
        for callback in (*self._callbacks.get(event.kind, ()), *self._callbacks.get("*", ())):
            callback(event)
        return event
