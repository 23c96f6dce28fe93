"""A simulated black hole: a stream that passes nothing while its socket stays open. For fault injection.

Not here: how long it lasts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netmap_actors.transport.byte_stream import ByteStream

__all__ = ["BlackHole"]


class BlackHole:
    """A ByteStream that neither reads nor writes the one below until `heal`."""

    def __init__(self, below: ByteStream) -> None:
        self.below = below
        self._held: list[bytes] = []
        # Never readable.
        self._pipe: tuple[int, ...] = os.pipe2(os.O_CLOEXEC)

    def fileno(self) -> int:
        return self._pipe[0]

    @property
    def wants_write(self) -> bool:
        return False

    def receive(self) -> bytes | None:
        return None

    def send(self, data: bytes) -> None:
        self._held.append(data)

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        self.below.close()
        self._close_pipe()

    def heal(self) -> None:
        """Send what was held to the stream below, which replaces this one. Raises as its `send`."""
        self._close_pipe()
        for data in self._held:
            self.below.send(data)
        self._held.clear()

    def _close_pipe(self) -> None:
        for descriptor in self._pipe:
            os.close(descriptor)
        self._pipe = ()
