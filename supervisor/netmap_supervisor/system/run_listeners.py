"""The unix sockets that liveness and the publisher listen on, bound before anybody connects and for the whole run.

The connection and subscribers may be there before those two, and outlive them. Who connects waits in the socket's queue
until one of them listens, and is served in that moment: libzmq finds a socket that is bound later by trying again, up
to a second apart.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["RunListeners"]

_BACKLOG = 1024
"""Connections that wait at a socket; more come again by themselves (connect(2): EAGAIN)."""


class RunListeners:
    """The listening sockets of each actor, inherited by every process of it."""

    def __init__(self, endpoints: Mapping[str, Sequence[str]]) -> None:
        """`endpoints`: by actor, as ZeroMQ has them (ipc://). Raises OSError."""
        self._sockets = {actor: {one: _listening(one) for one in its} for actor, its in endpoints.items()}

    def of(self, actor: str) -> dict[str, int]:
        """Its descriptors, by endpoint."""
        return {endpoint: listener.fileno() for endpoint, listener in self._sockets.get(actor, {}).items()}

    def close(self) -> None:
        """Close this process's descriptors."""
        for sockets in self._sockets.values():
            for listener in sockets.values():
                listener.close()


def _listening(endpoint: str) -> socket.socket:
    path = Path(endpoint.removeprefix("ipc://"))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # A run that was killed left its own.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # libzmq accepts what it was told of, and must not wait for a connection that is gone by then.
    listener.setblocking(False)
    # Its owner's only, whatever the shell had set.
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener
