"""What a client prints, in a file that cannot fill the disk: its beginning and its end.

A client that loops over an error prints gigabytes in the minutes a scenario takes. All of it is read, so that the
client never waits for us.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BEGINNING", "END", "ClientLog"]

BEGINNING = 16 << 20
"""Bytes that are written as they come."""
END = 64 << 10
"""Bytes behind them that are kept, the last ones."""
_READ = 64 << 10
_PATIENCE = 1.0
"""Seconds for what is still in the pipe when the client has ended; a grandchild may hold it open for ever."""


class ClientLog:
    """One client's; written by a thread of its own."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._outlet, self._inlet = os.pipe2(os.O_CLOEXEC)
        self._lock = threading.Lock()
        self._written = 0
        self._left_out = 0
        self._tail = bytearray()
        self._closed = False
        self._thread = threading.Thread(target=self._copy, name="client log", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def inlet(self) -> Iterator[int]:
        """The file descriptor a client is to print to; ours is closed on leaving."""
        try:
            yield self._inlet
        except BaseException:
            os.close(self._inlet)
            self.close()
            raise
        os.close(self._inlet)

    def settle(self) -> None:
        """The client has ended: wait for what is still on its way."""
        self._thread.join(_PATIENCE)

    def tail(self) -> bytes:
        """The end of the output so far."""
        with self._lock:
            return bytes(self._tail)

    def close(self) -> None:
        """Write the end, and say how much was left out before it."""
        self.settle()
        with self._lock:
            self._closed = True
            if self._left_out:
                kept = bytes(self._tail[-min(END, self._left_out) :])
                gap = self._left_out - len(kept)
                self._write((b"\n... %d bytes left out ...\n" % gap if gap else b"") + kept)
            self._file.close()

    def _copy(self) -> None:
        with contextlib.closing(os.fdopen(self._outlet, "rb", buffering=0)) as pipe:
            while data := pipe.read(_READ):
                with self._lock:
                    if self._closed:
                        return
                    self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._tail += data
        del self._tail[:-END]
        room = max(0, BEGINNING - self._written)
        self._write(data[:room])
        self._written += len(data[:room])
        self._left_out += len(data[room:])

    def _write(self, data: bytes) -> None:
        # A disk that is full must not end the scenario; the last output is in memory.
        with contextlib.suppress(OSError):
            self._file.write(data)
