"""The interface of a connection: bytes in, bytes out, non-blocking.

Not here: its implementations (`tcp`, `tls`).
"""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["READ_SIZE", "ByteStream", "why_broken"]

READ_SIZE = 256 * 1024
"""Bytes of one read from the kernel; a large map takes some dozens."""


class ByteStream(Protocol):
    """One connection. Watch its descriptor for reading, and for writing while `wants_write`."""

    def fileno(self) -> int:
        """The descriptor of the socket below."""

    def receive(self) -> bytes | None:
        """Received bytes; None when there are none now, b"" once the other side has closed.

        Raises OSError of the transport, RemoteProtocolError of TLS.
        """

    def send(self, data: bytes) -> None:
        """Queue these bytes and write as many as possible; `flush` writes the rest. Raises as `receive`."""

    def flush(self) -> None:
        """Write as much of the queue as possible. Raises as `receive`."""

    @property
    def wants_write(self) -> bool:
        """Whether queued bytes wait for the socket."""

    def close(self) -> None:
        """Close the socket. Closing twice is allowed."""


def why_broken(error: Exception) -> str:
    """The text of a stream's error, without Python's error numbers."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error)
