"""Accepts the connections of listening sockets, and closes one when there are too many.

Not here: which one (`admission`), and what is said on a connection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from netmap_actors.bus.admission import Admission
from netmap_actors.bus.peers import origin_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from netmap_actors.bus.admission import Origin
    from netmap_actors.bus.loop import Loop

__all__ = ["OWN_FILES", "Accepted", "Acceptor"]

OWN_FILES: Final = 64
"""Open files of a process beside the connections it accepts."""
_ACCEPTS_PER_TURN: Final = 64
_NO_DESCRIPTOR: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_GONE: Final = {
    errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT,
    errno.EHOSTDOWN, errno.ENONET, errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH,
}  # fmt: skip
"""accept(2): the connection is gone, or a filter refused it; the next may be well."""


class Accepted(Hashable, Protocol):
    """An accepted connection."""

    def close(self) -> None:
        """Close it; `Acceptor.left` follows unless the acceptor closes it."""


_G = TypeVar("_G", bound=Accepted)


class Acceptor(Generic[_G]):
    """Accepts connections; the listening sockets stay their owner's to close."""

    def __init__(
        self,
        loop: Loop,
        listener: socket.socket,
        *,
        capacity: int,
        welcome: Callable[[socket.socket, Origin], _G | None],
    ) -> None:
        """`welcome(socket, origin)` makes an Accepted of a socket; None: it refused and closed it."""
        self.sent_away = 0
        """Connections closed to have room for others, or because there was none."""
        self._loop = loop
        self._listeners: dict[socket.socket, Callable[[], object]] = {}
        """Each with what accepts from it."""
        self._admission: Admission[_G] = Admission(capacity)
        # Given up for a moment when no other is left: a waiting connection can only be closed once accepted.
        self._spare = os.dup(listener.fileno())
        self.open(listener, welcome)

    def open(self, listener: socket.socket, welcome: Callable[[socket.socket, Origin], _G | None]) -> None:
        """Accept from this one too; the capacity is that of all."""
        listener.setblocking(False)
        accept = self._listeners[listener] = lambda: self._on_connections(listener, welcome)
        self._loop.watch(listener.fileno(), accept)

    def look(self) -> None:
        """Accept now who waits already."""
        for accept in self._listeners.values():
            accept()

    def __iter__(self) -> Iterator[_G]:
        return iter(self._admission)

    def whose(self, connection: _G) -> Origin:
        """The origin of a connection."""
        return self._admission.whose(connection)

    def held_by(self, peer: Origin) -> int:
        """Connections of one process."""
        return self._admission.held_by(peer)

    def moved(self, connection: _G, *, waits: bool) -> None:
        """See `Admission.moved`."""
        self._admission.moved(connection, waits=waits)

    def left(self, connection: _G) -> None:
        """Its connection is closed."""
        self._admission.left(connection)

    def close(self) -> None:
        """Accept no more. The connections stay."""
        for listener in self._listeners:
            self._loop.unwatch(listener.fileno())
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def _on_connections(
        self, listener: socket.socket, welcome: Callable[[socket.socket, Origin], _G | None]
    ) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    # The kernel looks for a descriptor first, and for a waiting connection then.
                    if _one_waits(listener):
                        self._find_room(listener)
                    return
                if error.errno not in _GONE:
                    raise
                continue
            self._let_in(sock, welcome)

    def _let_in(self, sock: socket.socket, welcome: Callable[[socket.socket, Origin], _G | None]) -> None:
        sock.setblocking(False)
        try:
            peer = origin_of(sock)
        except OSError:
            sock.close()
            return
        connection = welcome(sock, peer)
        if connection is not None:
            self._send_away(self._admission.arrived(connection, peer, waits=True))

    def _find_room(self, listener: socket.socket) -> None:
        """No descriptor is left: the waiting connection would wake the loop all the while."""
        if self._send_away(self._admission.cut_one(waiting_only=True)):
            return
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            self.sent_away += 1
            sock.close()
        with contextlib.suppress(OSError):
            self._spare = os.dup(listener.fileno())

    def _send_away(self, victim: tuple[_G, Origin] | None) -> bool:
        if victim is None:
            return False
        self.sent_away += 1
        victim[0].close()
        return True


def _one_waits(listener: socket.socket) -> bool:
    look = select.poll()
    look.register(listener, select.POLLIN)
    return bool(look.poll(0))
