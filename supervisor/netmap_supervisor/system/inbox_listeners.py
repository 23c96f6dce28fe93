"""The sockets that liveness and the publisher receive on, bound before anybody connects and for the whole run.

The connection may be there before its receivers, and it outlives them. What it sends waits until one of them listens,
and comes in that moment: libzmq finds a socket that is bound later by trying again, up to a second apart.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InboxListeners"]

_BACKLOG = 128
"""Connections that wait for a receiver. One that waits for two seconds gives up and comes again (`bus.sockets`), so it
takes minutes to fill."""


class InboxListeners:
    """One listening socket for each receiver, inherited by every process of it."""

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        """`endpoints`: by actor, as ZeroMQ has them (ipc://). Raises OSError."""
        self._sockets: dict[str, socket.socket] = {}
        for actor, endpoint in endpoints.items():
            listener = self._sockets[actor] = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            # libzmq accepts what it was told of, and must not wait for a connection that is gone by then.
            listener.setblocking(False)
            # The owner's only, whatever the shell had set.
            before = os.umask(0o177)
            try:
                listener.bind(endpoint.removeprefix("ipc://"))
            finally:
                os.umask(before)
            listener.listen(_BACKLOG)

    def descriptor(self, actor: str) -> int:
        """Of an actor's socket; -1 for one that has none."""
        listener = self._sockets.get(actor)
        return -1 if listener is None else listener.fileno()

    def close(self) -> None:
        """Close this process's descriptors."""
        for listener in self._sockets.values():
            listener.close()
