"""The origin of a connection, as the kernel says, and hanging up on connections that libzmq owns.

libzmq may close a connection at any moment, and its number may then be another's: a descriptor is duplicated and its
origin compared first. Not here: which has to go (`admission`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from typing import TYPE_CHECKING, Final

from netmap_actors.bus.admission import Origin
from netmap_actors.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.bus.admission import Admission

__all__ = [
    "hang_up",
    "hang_up_on_all",
    "hang_up_on_floods",
    "origin_at",
    "origin_of",
    "origin_of_descriptor",
    "unread",
]

_CREDENTIALS: Final = struct.Struct("=iII")
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""Before an IPv4 address in an IPv6 one (RFC 4291, 2.5.5.2)."""
_NETWORK: Final = 8
"""Bytes of an IPv6 address by which a network is known: in it a machine has as many as it likes (RFC 4291, 2.5.4)."""
_A_LOT: Final = 4096
"""Unread bytes: messages and requests have some hundred."""
_LOOKING: Final = 0.01
"""Seconds in which a flooding connection has so many unread once."""
LOOPBACK: Final = "this machine"
"""All of loopback: a local client can come from any of its addresses."""


def origin_of(connection: socket.socket) -> Origin:
    """The process at a unix socket (SO_PEERCRED, unix(7)), the machine or network at TCP. Raises OSError."""
    if connection.family == socket.AF_UNIX:
        pid, uid, _ = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        return Origin(uid, pid)
    return origin_at(connection.getpeername()[0])


def origin_at(address: str) -> Origin:
    """The origin at an IP address, which may have a scope."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address.partition("%")[0])
    if packed.startswith(_MAPPED):
        packed = packed.removeprefix(_MAPPED)
    if len(packed) == 4:
        return Origin(LOOPBACK if packed[0] == 127 else socket.inet_ntop(socket.AF_INET, packed))
    if packed == bytes(15) + b"\1":
        return Origin(LOOPBACK)
    network = packed[:_NETWORK].ljust(len(packed), b"\0")
    return Origin(f"{socket.inet_ntop(socket.AF_INET6, network)}/{8 * _NETWORK}")


def origin_of_descriptor(descriptor: int) -> Origin | None:
    """The origin of the connection that libzmq's monitor names; None when it is gone."""
    with _held(descriptor) as one:
        return None if one is None else _origin(one)


def hang_up(descriptor: int, peer: Origin) -> None:
    """End this connection if it still has that origin."""
    with _held(descriptor) as one:
        if one is not None and _origin(one) == peer:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def hang_up_on_floods(admission: Admission[int]) -> int:
    """End the connections with more unread than a message has; returns how many.

    What had come of a message goes with its connection; the client connects again. libzmq's thread may read as fast as
    it sends, so they are looked at again and again for a moment.
    """
    clock, flooding = SystemClock(), set[int]()
    until = clock.monotonic() + _LOOKING
    while not flooding and clock.monotonic() < until:
        flooding = {one for one in admission if unread(one) > _A_LOT}
    for one in flooding:
        hang_up(one, admission.whose(one))
    return len(flooding)


def hang_up_on_all(admission: Admission[int]) -> int:
    """The same for every connection."""
    for one in admission:
        hang_up(one, admission.whose(one))
    return len(admission)


def unread(descriptor: int) -> int:
    """Bytes that wait to be read (FIONREAD, unix(7)); 0 when the descriptor is closed."""
    try:
        return int.from_bytes(fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0


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


def _origin(one: socket.socket) -> Origin | None:
    if one.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        return None
    try:
        return origin_of(one)
    except OSError:
        return None
