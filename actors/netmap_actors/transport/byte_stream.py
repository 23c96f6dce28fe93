"""What everything above the transport needs of a connection: bytes in, bytes out, never waiting.

Not here: the kinds there are (`tcp`, `tls`).
"""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["READ_SIZE", "ByteStream", "why_broken"]

READ_SIZE = 256 * 1024
"""Bytes asked of the kernel in one read; a large map is some dozens of them."""


class ByteStream(Protocol):
    """One connection. Its descriptor is to be watched for reading, and for writing while `wants_write`."""

    def fileno(self) -> int:
        """The descriptor of the socket below."""

    def receive(self) -> bytes | None:
        """What has arrived; None when there is nothing now, b"" once the other side has closed.

        Raises OSError for the transport, RemoteProtocolError for what lies over it.
        """

    def send(self, data: bytes) -> None:
        """Take these bytes and write as much as goes; the rest follows with `flush`. Raises as `receive`."""

    def flush(self) -> None:
        """Write what is still to be written, as far as it goes. Raises as `receive`."""

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to take them."""

    def close(self) -> None:
        """Close the socket. Closing twice is allowed."""


def why_broken(error: Exception) -> str:
    """Words for an error of a stream, without the numbers Python puts around them."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return str(error)
