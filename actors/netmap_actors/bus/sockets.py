"""ZeroMQ sockets with every limit set before bind or connect.

A high-water mark counts messages, not bytes, so each stands behind a bound on the size of one message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import zmq

__all__ = [
    "CONTROL_HWM",
    "CONTROL_MESSAGE",
    "Sockets",
    "ipc",
    "is_readable",
    "libzmq_version",
    "receive_now",
    "send_now",
]

CONTROL_HWM = 1000
"""Messages waiting between two processes of a run; each is at most CONTROL_MESSAGE bytes."""
CONTROL_MESSAGE = 1024 * 1024
_HANDSHAKE_MS = 2000
_RECONNECT_MS = 50
_RECONNECT_MAX_MS = 1000
_HEARTBEAT_MS = 10_000
_FLUSH_MS = 300
"""Time for a closing DEALER to deliver its last messages."""

# Plain numbers: to join or compare flags as members of an enum takes longer than to send a message.
_NOW = int(zmq.DONTWAIT)
_NOW_AND_MORE = int(zmq.DONTWAIT | zmq.SNDMORE)
_READABLE = int(zmq.POLLIN)
_send = zmq.backend.Socket.send
"""What pyzmq's own `send` calls when a message has neither a routing id nor a group."""

Socket = zmq.Socket[bytes]
Protect = Callable[[Socket], object]
"""Arms a socket before its bind, as `ZapHandler.protect` does."""


def ipc(path: str | os.PathLike[str]) -> str:
    """The endpoint of a unix socket at this path."""
    return f"ipc://{os.fspath(path)}"


def libzmq_version() -> str:
    """Of the library that is loaded."""
    return zmq.zmq_version()


def receive_now(socket: Socket) -> list[bytes]:
    """The frames of the next message, without waiting; none when there is no message.

    Ask `is_readable` where there may be none: the exception of a receive in vain takes three times as long.
    """
    try:
        frame = socket.recv(_NOW, copy=False)
    except zmq.Again:
        return []
    frames = [frame.bytes]
    while frame.more:
        frame = socket.recv(_NOW, copy=False)
        frames.append(frame.bytes)
    return frames


def is_readable(socket: Socket) -> bool:
    """Whether a message waits."""
    return bool(int(socket.get(zmq.EVENTS)) & _READABLE)


def send_now(socket: Socket, first: bytes, second: bytes) -> None:
    """Send a message of two frames, without waiting, on a socket that never blocks in the middle of one (XPUB)."""
    _send(socket, first, _NOW_AND_MORE)
    _send(socket, second, _NOW)


class Sockets:
    """Makes the sockets of one process and closes them together."""

    def __init__(
        self, context: zmq.Context[Socket] | None = None, *, listeners: Mapping[str, int] | None = None
    ) -> None:
        """`listeners`: by endpoint, unix sockets that listen there already; each is closed with what is bound there."""
        self.context = context or zmq.Context()
        self._listeners = dict(listeners or {})
        self._open: list[Socket] = []

    def pull_bind(self, endpoint: str, *, max_size: int = CONTROL_MESSAGE, hwm: int = CONTROL_HWM) -> Socket:
        """Receives from every PUSH of the run."""
        return self._bind(self._make(zmq.PULL, max_size=max_size, hwm=hwm), endpoint)

    def push_connect(self, endpoint: str, *, hwm: int = CONTROL_HWM) -> Socket:
        """Sends to one PULL; EAGAIN when it does not take more than `hwm`. What is sent before it is there waits."""
        socket = self._make(zmq.PUSH, max_size=CONTROL_MESSAGE, hwm=hwm)
        return self._connect(socket, endpoint)

    def router_bind(
        self,
        endpoint: str,
        *,
        max_size: int = CONTROL_MESSAGE,
        hwm: int = CONTROL_HWM,
        intake: int | None = None,
        protect: Protect | None = None,
    ) -> Socket:
        """Answers by routing id; an unknown or full peer raises instead of losing the message.

        `intake`: messages of one peer that wait to be read, where that is another number.
        """
        socket = self._make(zmq.ROUTER, max_size=max_size, hwm=hwm)
        if intake is not None:
            socket.setsockopt(zmq.RCVHWM, intake)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        socket.setsockopt(zmq.ROUTER_HANDOVER, 0)
        return self._bind(socket, endpoint, protect)

    def dealer_connect(
        self,
        endpoint: str,
        identity: bytes,
        *,
        max_size: int = CONTROL_MESSAGE,
        hwm: int = CONTROL_HWM,
        monitored: int = 0,
    ) -> Socket:
        """Talks to a ROUTER under a routing id that is new for each generation.

        `monitored`: events for its monitor, which has to be there before the connection is.
        """
        socket = self._make(zmq.DEALER, max_size=max_size, hwm=hwm)
        if identity:
            socket.setsockopt(zmq.IDENTITY, identity)
        socket.setsockopt(zmq.LINGER, _FLUSH_MS)
        if monitored:
            socket.get_monitor_socket(monitored)
        return self._connect(socket, endpoint)

    def xpub_bind(
        self, endpoint: str, *, hwm: int, max_size: int = 4096, protect: Protect | None = None
    ) -> Socket:
        """Publishes; subscriptions (at most `max_size` bytes each) can be read from it."""
        return self._bind(self._make(zmq.XPUB, max_size=max_size, hwm=hwm), endpoint, protect)

    def rep_bind(self, endpoint: str) -> Socket:
        """Answers one request at a time; for the authentication protocol inside a context."""
        return self._bind(self._make(zmq.REP, max_size=CONTROL_MESSAGE, hwm=CONTROL_HWM), endpoint)

    def close_one(self, socket: Socket) -> None:
        """Close one socket before the others."""
        if socket in self._open:
            self._open.remove(socket)
        socket.close()

    def close(self) -> None:
        """Close every socket, then the context; a DEALER's last messages get _FLUSH_MS to leave."""
        for socket in self._open:
            socket.close()
        self._open.clear()
        self.context.term()

    def _make(self, kind: int, *, max_size: int, hwm: int) -> Socket:
        socket: Socket = self.context.socket(kind)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, hwm)
        socket.setsockopt(zmq.RCVHWM, hwm)
        socket.setsockopt(zmq.MAXMSGSIZE, max_size)
        socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
        self._open.append(socket)
        return socket

    def _bind(self, socket: Socket, endpoint: str, protect: Protect | None = None) -> Socket:
        try:
            if protect is not None:
                protect(socket)
            if endpoint.startswith("tcp:"):
                # A machine that vanished would keep its place, and its queue, for ever.
                socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
                socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _HEARTBEAT_MS)
            socket.setsockopt(zmq.USE_FD, self._listeners.pop(endpoint, -1))
            self._bind_privately(socket, endpoint)
        except Exception:
            self.close_one(socket)
            raise
        return socket

    @staticmethod
    def _bind_privately(socket: Socket, endpoint: str) -> None:
        # A unix socket takes its mode from the umask: the owner only, whatever the shell had set.
        before = os.umask(0o177)
        try:
            socket.bind(endpoint)
        finally:
            os.umask(before)

    def _connect(self, socket: Socket, endpoint: str) -> Socket:
        socket.connect(endpoint)
        return socket
