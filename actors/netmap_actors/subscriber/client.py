"""The watcher of the client library: keeps a replica current over ZeroMQ, in plain loops and in asyncio.

Not here: what the messages mean (`replica`), and reading the netmap (`store`).
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import zmq

from netmap_actors.clock import SystemClock
from netmap_actors.curve_keys import check_public, read_secret
from netmap_actors.errors import ConfigurationError, NetmapError, escape
from netmap_actors.runtime_paths import (
    default_runtime_dir,
    leaves_this_machine,
    local_endpoints,
    remote_endpoints,
)
from netmap_actors.subscriber.answer import MAX_ANSWER
from netmap_actors.subscriber.events import EVENT_KINDS, checked
from netmap_actors.subscriber.readiness import NotReady, look_at, why_not_ready
from netmap_actors.subscriber.reconnection import CONNECT_AGAIN, Reconnection
from netmap_actors.subscriber.replica import SILENCE_LIMIT, Replica, subscribed_kinds
from netmap_actors.subscriber.store import NetmapStore
from netmap_actors.wire.topics import PART_BYTES, Kind, topic_of
from netmap_actors.wire.vocabulary import Trust

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from netmap_actors.clock import Clock
    from netmap_actors.curve_keys import CurvePair
    from netmap_actors.subscriber.events import Event, EventKind, Snapshot
    from netmap_actors.subscriber.reconnection import Inodes

__all__ = ["CONNECT_AGAIN", "Subscriber", "SubscriberClosed", "WrongThread"]

UPDATES_HWM = 10_000
"""Messages queued for us; more are lost, which shows as a gap."""
REQUESTS_HWM = 2
"""Requests queued while there is no publisher; they all ask the same."""
ANSWERS_HWM = MAX_ANSWER // PART_BYTES
"""Parts queued for us: those of the largest answer, which a program that polls rarely must find whole. The publisher
drops a reader that takes nothing for 10 s."""
MAX_MESSAGE = 256 * 1024 * 1024
MAX_EVENTS = 200_000
"""Events not taken yet; more are replaced by one Snapshot."""
_MESSAGES_PER_TURN = 1000


class SubscriberClosed(NetmapError):
    """It was closed before."""

    def __init__(self, what: str = "Subscriber") -> None:
        super().__init__(
            f"cannot wait for the netmap: the {what} is closed; its last netmap can still be read, and another "
            f"{what} follows anew"
        )


class WrongThread(NetmapError):
    """The Subscriber belongs to another thread."""

    def __init__(self, owner: threading.Thread | None) -> None:
        name = owner.name if owner is not None else "another"
        super().__init__(
            f"cannot use this Subscriber here: it belongs to the thread {name!r}, which was the first to wait; read "
            "its `store`, which any thread may, or use a Mirror"
        )


class Subscriber:
    """Follows a running daemon and keeps `store` current.

    Iterating gives events: first a Snapshot, then true changes only, over restarts of the daemon, too. The store moves
    only within the calls that wait (`wait_for`, `next_event`, iterating) and `poll`, from commit to commit. It can be
    read from any thread; the Subscriber belongs to one.

        with Subscriber() as subscriber:
            for event in subscriber:
                print(event.to_json())
    """

    def __init__(
        self,
        runtime_dir: str | os.PathLike[str] | None = None,
        *,
        endpoint: tuple[str, str] | None = None,
        kinds: Iterable[EventKind] | None = None,
        curve: tuple[CurvePair, str] | None = None,
        check_interval: float | None = None,
        clock: Clock | None = None,
        context: zmq.Context[zmq.Socket[bytes]] | None = None,
    ) -> None:
        """Does not wait: the daemon may start later.

        `runtime_dir`: the daemon's; by default where a daemon of this user keeps it. `endpoint`: the ZeroMQ
        endpoints (updates, requests) instead, with `curve`: our key pair and the server's public key (`remote` is
        the short way). `kinds`: only these kinds of event; what belongs to the others is neither sent to us nor shown.
        `check_interval`: seconds after which the publisher is asked whether anything is missing. It sends us no
        heartbeats then, and its silence shows so much later: for who hears of its end in another way.
        Raises ValueError for an invalid endpoint or kind, ConfigurationError for an endpoint on another machine
        without `curve`.
        """
        if endpoint is None:
            endpoint = local_endpoints(default_runtime_dir() if runtime_dir is None else Path(runtime_dir))
        if curve is None and any(leaves_this_machine(one) for one in endpoint):
            raise ConfigurationError(
                f"cannot follow {escape(endpoint[0])} in clear: who is on the way could read and change the netmap; "
                "give both key_file and server_key (`netmap-supervisor keys`)"
            )
        kinds = None if kinds is None else checked(kinds)
        topics = subscribed_kinds(kinds)
        if check_interval is not None:
            topics -= {Kind.HEARTBEAT}
        self._wanted = None if kinds is None else frozenset(kinds) | {"snapshot", Kind.STATE_CHANGED.value}
        self._clock: Clock = clock or SystemClock()
        self._own_context = context is None
        self._context = context or zmq.Context()
        self._events: collections.deque[Event] = collections.deque()
        self._reading = False
        self._closed = False
        self._owner: threading.Thread | None = None
        self._waiting = False
        """The owner is inside a call that waits."""
        self._callbacks: dict[str, list[Callable[[Any], object]]] = {}
        self._replica = Replica(
            jitter=random.random,  # spreads requests, no secret
            token=lambda: os.urandom(8),
            kinds=topics,
            check_interval=check_interval,
        )
        self._checks = check_interval is not None
        self._replica.emit = False
        self.store = NetmapStore(self._replica, self._clock)
        self._updates = self._socket(zmq.SUB, endpoint[0], curve, receive=UPDATES_HWM)
        # Subscriptions are sent again at each reconnect and pass the send mark (libzmq issue 2258).
        self._updates.setsockopt(zmq.SNDHWM, 0)
        for kind in topics:
            self._updates.setsockopt(zmq.SUBSCRIBE, topic_of(kind))
        self._endpoint = endpoint
        self._reconnection = Reconnection(
            self._clock.boottime(), _inodes_of(endpoint), again=CONNECT_AGAIN + (check_interval or 0.0)
        )
        self._requests = self._socket(zmq.DEALER, endpoint[1], curve, receive=ANSWERS_HWM)
        self._connect()
        self._replica.start(self._clock.boottime())
        self._poller = zmq.Poller()
        self._poller.register(self._updates, zmq.POLLIN)
        self._poller.register(self._requests, zmq.POLLIN)

    @classmethod
    def remote(
        cls,
        listen: str,
        *,
        key_file: str | os.PathLike[str] | None = None,
        server_key: str = "",
        kinds: Iterable[EventKind] | None = None,
    ) -> Self:
        """Follow a daemon on another machine.

        `listen`: tcp://HOST:PORT as in the daemon's option. `key_file`: what `netmap-supervisor keys generate` wrote
        here; `server_key`: what `keys server` prints there. Without both it follows in clear a daemon on this machine
        that allows it (`--listen-plaintext`). A refused client gets no reason: `state` stays "none", the daemon's log
        says why, and this end tries again every CONNECT_AGAIN seconds.

        Raises ValueError for an invalid endpoint or kind, ConfigurationError for missing or invalid keys.
        """
        endpoints = remote_endpoints(listen)
        if key_file is None and not server_key:
            return cls(endpoint=endpoints, kinds=kinds)
        # One without the other is a mistake or an unset variable, never a request for clear text.
        if not key_file:
            what = "a server_key and no key_file" if server_key else "an empty key_file and no server_key"
            raise ConfigurationError(
                f"cannot follow {escape(listen)}: it has {what}; name the file that "
                "`netmap-supervisor keys generate` wrote here"
            )
        if not server_key:
            raise ConfigurationError(
                f"cannot follow {escape(listen)}: it has a key_file and no server_key; `netmap-supervisor keys server` "
                "prints it over there"
            )
        return cls(
            endpoint=endpoints, kinds=kinds, curve=(read_secret(Path(key_file)), check_public(server_key))
        )

    def on(self, kind: EventKind | Literal["snapshot", "*"], callback: Callable[[Any], object]) -> None:
        """Call `callback(event)` for each event of this kind (`peer_upserted`, …; `*` for all) as it comes in.

        The first is a Snapshot, for one that takes those: now, when there is a netmap. An exception of the callback is
        raised by this call or by the one that waits. Raises ValueError for a kind that is none.
        """
        checked([kind], (*EVENT_KINDS, "snapshot", "*"))
        self._read()
        if self._replica.has_netmap and kind in {"snapshot", "*"}:
            callback(self._begun())
        self._callbacks.setdefault(kind, []).append(callback)

    # For plain loops

    def wait_for_answer(self, timeout: float | None = None) -> bool:
        """Wait for the first answer: the netmap, or that there is none yet. False after `timeout` seconds."""
        return self._run(lambda: self._replica.answered, timeout)

    def wait_ready(self, timeout: float | None = None) -> Snapshot:
        """The netmap as soon as there is one that is fresh.

        Raises NotReady after `timeout` seconds, whose text says why nothing answers, or why it cannot be trusted.
        """
        if self.wait_for(lambda now: now.state == Trust.FRESH, timeout):
            return self.store.snapshot()
        raise NotReady(self.why_not_ready())

    def why_not_ready(self) -> str:
        """The text of NotReady, now. From any thread."""
        return why_not_ready(self.store.snapshot(), self._replica.answered, self._endpoint, look_at)

    def wait_for(self, predicate: Callable[[Snapshot], object], timeout: float | None = None) -> bool:
        """Wait until `predicate(store.snapshot())` holds; False after `timeout` seconds.

        Events are kept if iterating has begun.
        """
        return self._run(lambda: bool(predicate(self.store.snapshot())), timeout)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None after `timeout` seconds."""
        self._read()
        self._run(lambda: bool(self._events), timeout)
        return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[Event]:
        while True:
            event = self.next_event()
            if event is not None:
                yield event

    # For asyncio

    async def __aiter__(self) -> AsyncIterator[Event]:
        self._read()
        while True:
            self._belong()
            while self._turn():
                pass
            while self._events:
                yield self._events.popleft()
            await self._wait_async(None)

    async def wait_for_async(
        self,
        predicate: Callable[[Snapshot], object],
        timeout: float | None = None,  # noqa: ASYNC109  # the same call as `wait_for`
    ) -> bool:
        """`wait_for` without blocking the event loop."""
        end = self._end(timeout)
        while True:
            self._belong()
            while self._turn():
                pass
            if predicate(self.store.snapshot()):
                return True
            if end is not None and self._clock.boottime() >= end:
                return False
            await self._wait_async(end)

    async def wait_ready_async(self, timeout: float | None = None) -> Snapshot:  # noqa: ASYNC109
        """`wait_ready` without blocking the event loop."""
        if await self.wait_for_async(lambda now: now.state == Trust.FRESH, timeout):
            return self.store.snapshot()
        raise NotReady(self.why_not_ready())

    # For other event loops

    @property
    def sockets(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        """What to wait for: call `poll` when one of them is readable, and when `due_in` has passed."""
        return self._updates, self._requests

    def poll(self) -> list[Event]:
        """Process what has come, without waiting; the events since the last call, first a Snapshot."""
        self._read()
        while self._turn():
            pass
        events = list(self._events)
        self._events.clear()
        return events

    def due_in(self) -> float:
        """Seconds until `poll` has something to do although nothing has come."""
        return self._patience(None)

    # Life

    def close(self) -> None:
        """Close the sockets. The store can still be read.

        Raises WrongThread while another thread waits in it.
        """
        if self._waiting and self._owner is not threading.current_thread():
            raise WrongThread(self._owner)
        self._closed = True
        for socket in (self._updates, self._requests):
            socket.close(0)
        if self._own_context:
            self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Inside

    def _socket(
        self, kind: int, endpoint: str, curve: tuple[CurvePair, str] | None, *, receive: int
    ) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, receive)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.RECONNECT_IVL, 50)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 250)
        socket.setsockopt(zmq.SNDHWM, REQUESTS_HWM)
        socket.setsockopt(zmq.IPV6, 1)
        if endpoint.startswith("tcp:"):
            # Else a dead peer goes unnoticed for a quarter of an hour.
            socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, int(SILENCE_LIMIT * 1000))
        if curve is not None:
            pair, server = curve
            socket.setsockopt(zmq.CURVE_PUBLICKEY, pair.public.encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, pair.secret.encode())
            socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
        return socket

    def _read(self) -> None:
        """From now on events are made; they begin with a Snapshot."""
        self._belong()
        if self._reading:
            return
        self._reading = True
        first = self._begun()
        self._replica.emit = True
        if self._replica.has_netmap:
            self._emit([first])

    def _begun(self) -> Snapshot:
        """What the events from now on are changes of; its state, too: a view that became stale has told so."""
        with self.store.lock:
            now = self._clock.boottime()
            events = self._replica.expire(now)
            first = self._replica.snapshot(now)
        self._emit(events)
        return first

    def _belong(self) -> None:
        """To the thread that is the first here: a ZeroMQ socket breaks in two."""
        if self._closed:
            raise SubscriberClosed
        thread = threading.current_thread()
        if self._owner is None:
            self._owner = thread
        elif self._owner is not thread:
            raise WrongThread(self._owner)

    def _run(self, until: Callable[[], bool], timeout: float | None) -> bool:
        self._belong()
        end = self._end(timeout)
        outer, self._waiting = self._waiting, True  # a callback may wait, too
        try:
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
        finally:
            self._waiting = outer

    async def _wait_async(self, end: float | None) -> None:
        from netmap_actors.subscriber.asyncio_waiter import (  # noqa: PLC0415  # only when asyncio is used
            wait_readable,
        )

        await wait_readable((self._updates, self._requests), self._patience(end))

    def _end(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._clock.boottime() + timeout

    def _patience(self, end: float | None) -> float:
        """Seconds until something is due."""
        times = [
            time for time in (self._reconnection.due(), self._replica.deadline(), end) if time is not None
        ]
        return max(0.0, min(times) - self._clock.boottime())

    def _turn(self) -> bool:
        """Process what has come; True when there was anything."""
        busy = False
        for _ in range(_MESSAGES_PER_TURN):
            try:
                topic, data = self._updates.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            except ValueError:
                continue  # not two frames: not of our publisher
            busy = True
            self._reconnection.heard(self._clock.boottime())
            self._keep_current(self._replica.receive, topic, data)
        for _ in range(_MESSAGES_PER_TURN):
            try:
                frames = self._requests.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            busy = True
            if self._checks:
                self._reconnection.heard(self._clock.boottime())
            self._keep_current(self._replica.receive_answer, frames[-1])
        now = self._clock.boottime()
        if self._reconnection.wants_look(now) and self._reconnection.look(
            now, _inodes_of(self._endpoint), self._replica.epoch
        ):
            self._connect_again()
        deadline = self._replica.deadline()
        if deadline is not None and now >= deadline:
            self._keep_current(self._replica.expire)
        for request in self._replica.to_send():
            try:
                self._requests.send(request, zmq.DONTWAIT)
            except zmq.Again:
                break  # no publisher; it is asked again
            # The descriptor does not show what came while the socket was used.
            busy = True
        return busy

    def _connect(self) -> None:
        """Raises ValueError for an invalid endpoint."""
        try:
            for socket, where in zip(self.sockets, self._endpoint, strict=True):
                socket.connect(where)
        except zmq.ZMQError as error:
            self.close()
            raise ValueError(
                f"cannot use {escape(where)!r} as an endpoint: {zmq.strerror(error.errno or 0)}"
            ) from None

    def _connect_again(self) -> None:
        for socket, endpoint in zip(self.sockets, self._endpoint, strict=True):
            with contextlib.suppress(zmq.ZMQError):  # disconnected already
                socket.disconnect(endpoint)
            socket.connect(endpoint)

    def _keep_current(self, change: Callable[..., list[Event]], *given: bytes) -> None:
        with self.store.lock:
            now = self._clock.boottime()
            events = change(*given, now)
            if self._wanted is not None:
                events = [event for event in events if event.kind in self._wanted]
            if len(self._events) + len(events) > MAX_EVENTS:
                self._events.clear()
                events = [self._replica.snapshot(now)]
        self._emit(events)

    def _emit(self, events: list[Event]) -> None:
        self._events.extend(events)
        if self._callbacks:
            for event in events:
                for callback in (*self._callbacks.get(event.kind, ()), *self._callbacks.get("*", ())):
                    callback(event)


def _inodes_of(endpoints: tuple[str, str]) -> Inodes:
    """What is at the paths of the sockets, those that have one."""
    try:
        found = [Path(one.removeprefix("ipc://")).stat() for one in endpoints if one.startswith("ipc://")]
    except (OSError, ValueError):
        return None
    return tuple((one.st_dev, one.st_ino) for one in found) or None
