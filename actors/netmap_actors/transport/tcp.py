"""A non-blocking TCP connection that closes with RST and has a user timeout.

Not here: connecting (`dial`).
"""

from __future__ import annotations

import contextlib
import socket
import struct

from netmap_actors.transport.address import Address
from netmap_actors.transport.byte_stream import READ_SIZE

__all__ = ["UNACKNOWLEDGED_LIMIT", "TcpStream", "new_socket"]

UNACKNOWLEDGED_LIMIT = 20.0
"""Seconds sent bytes may remain unacknowledged (TCP_USER_TIMEOUT, tcp(7))."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


def new_socket(*, ipv6: bool) -> socket.socket:
    """An unconnected TCP socket with its options set.

    SO_LINGER {1, 0}: it closes with RST, even by SIGKILL.
    """
    made = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(UNACKNOWLEDGED_LIMIT * 1000))
    return made


class TcpStream:
    """A connected socket as a ByteStream."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._unsent = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def local(self) -> Address:
        """Our end."""
        return _address(self._socket.getsockname())

    @property
    def remote(self) -> Address:
        """The other end."""
        return _address(self._socket.getpeername())

    @property
    def wants_write(self) -> bool:
        return bool(self._unsent)

    def receive(self) -> bytes | None:
        try:
            return self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, data: bytes) -> None:
        self._unsent += data
        self.flush()

    def flush(self) -> None:
        while self._unsent:
            try:
                written = self._socket.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            self._unsent = self._unsent[written:]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


def _address(where: tuple[str, int] | tuple[str, int, int, int]) -> Address:
    return Address(where[0].partition("%")[0], where[1], where[3] if len(where) == 4 else 0)
