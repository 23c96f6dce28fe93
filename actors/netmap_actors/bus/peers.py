"""Who is at the other end of a unix socket that libzmq accepted, by the descriptor its monitor names.

libzmq may close a connection at any moment, and its number may then be another's: what is done here is done to a
duplicate, after a look at whose it is. Not here: who has to go (`admission`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Final

from netmap_actors.bus.admission import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["hang_up", "peer_of"]

_CREDENTIALS: Final = struct.Struct("iII")


def peer_of(descriptor: int) -> Peer | None:
    """The process that connected (SO_PEERCRED, unix(7)); None when this is no unix socket, or none any more."""
    with _held(descriptor) as one:
        return None if one is None else _peer(one)


def hang_up(descriptor: int, peer: Peer) -> None:
    """End this connection if it is still that peer's."""
    with _held(descriptor) as one:
        if one is not None and _peer(one) == peer:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _held(descriptor: int) -> Iterator[socket.socket | None]:
    try:
        own = os.dup(descriptor)
    except OSError:
        yield None
        return
    try:
        one = socket.socket(fileno=own)
    except OSError:
        os.close(own)
        yield None
        return
    with one:
        yield one


def _peer(one: socket.socket) -> Peer | None:
    if one.family != socket.AF_UNIX:
        return None
    try:
        pid, uid, _ = _CREDENTIALS.unpack(
            one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
    except OSError:
        return None
    return Peer(uid, pid)
