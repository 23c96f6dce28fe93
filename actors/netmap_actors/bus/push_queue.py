"""A PUSH socket and, behind it, a queue for what it does not take: bounded in bytes, since its mark counts messages.

Not here: what to do while it does not take anything; the owner looks at `blocked`.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import zmq

from netmap_actors.bus.monitor import close_monitor, next_event, open_monitor
from netmap_actors.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["ZERO_COPY", "PushQueue"]

ZERO_COPY = 1024 * 1024
"""Bytes of a frame from which on it is handed to ZeroMQ without being copied: the first such one starts three threads
(pyzmq: zmq/utils/garbage.py), which takes longer than a copy of less.
"""


class PushQueue:
    """Messages leave in order, at once or as soon as the receiver takes them."""

    def __init__(
        self,
        loop: Loop,
        socket: zmq.Socket[bytes],
        *,
        limit: int,
        on_room: Callable[[], None] | None = None,
        on_connected: Callable[[], None] | None = None,
    ) -> None:
        """`limit`: bytes that may wait besides one message. `on_room`: the queue has become empty again, or what was
        offered in vain would be taken now. `on_connected`: to a receiver, maybe one that knows nothing yet; then the
        queue has to be closed before its socket."""
        self._loop = loop
        self._socket = socket
        self._limit = limit
        self._on_room = on_room
        self._waiting: collections.deque[list[bytes]] = collections.deque()
        self.waiting_bytes = 0
        self._on_connected = on_connected
        self._monitor: zmq.Socket[bytes] | None = None
        if on_connected is not None:
            self._monitor = open_monitor(socket, zmq.EVENT_CONNECTED)
            loop.watch(self._monitor, self._on_events)

    def close(self) -> None:
        """End the monitor; the socket stays open. Closing twice is allowed."""
        if self._monitor is not None:
            self._loop.unwatch(self._monitor)
            close_monitor(self._socket, self._monitor)
            self._monitor = None

    @property
    def blocked(self) -> bool:
        """Whether the receiver does not take what we have."""
        return bool(self._waiting)

    @property
    def full(self) -> bool:
        """Whether nothing more may be sent."""
        return self.waiting_bytes >= self._limit

    def send(self, frames: list[bytes]) -> None:
        """Send or queue one message. Raises LocalProtocolError when `full`: the owner was to stop before."""
        if not self._waiting and self._try(frames):
            return
        if self.full:
            raise LocalProtocolError(
                f"cannot queue a message: {self.waiting_bytes} bytes are waiting already"
            )
        if not self._waiting:
            self._loop.watch(self._socket, self._on_writable, read=False, write=True)
        self._waiting.append(frames)
        self.waiting_bytes += sum(map(len, frames))

    def offer(self, frames: list[bytes]) -> bool:
        """Send one message unless that would mean queueing it; says whether it went."""
        if self._waiting:
            return False
        if self._try(frames):
            return True
        if self._on_room is not None:
            self._loop.watch(self._socket, self._on_writable, read=False, write=True)
        return False

    def clear(self) -> None:
        """Forget what is waiting."""
        if self._waiting:
            self._loop.unwatch(self._socket)
        self._waiting.clear()
        self.waiting_bytes = 0

    def _on_writable(self) -> None:
        while self._waiting and self._try(self._waiting[0]):
            self.waiting_bytes -= sum(map(len, self._waiting.popleft()))
        if not self._waiting:
            self._loop.unwatch(self._socket)
            if self._on_room is not None:
                self._on_room()

    def _on_events(self) -> None:
        while self._monitor is not None and next_event(self._monitor) is not None:
            pass
        if self._on_connected is not None:
            self._on_connected()

    def _try(self, frames: list[bytes]) -> bool:
        copy = max(map(len, frames)) < ZERO_COPY
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT, copy=copy)
        except zmq.Again:
            return False
        return True
