"""Standard error of a process under test, through a pipe, since it may write no file."""

from __future__ import annotations

import os
import threading


class LogPipe:
    """Collects all of it; to be handed to Popen as `stderr`."""

    def __init__(self) -> None:
        self._read_fd, self._write_fd = os.pipe()
        self._data = bytearray()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._write_fd

    def read(self) -> bytes:
        """So far."""
        return bytes(self._data)

    def close(self) -> None:
        """To be called when the process has ended."""
        os.close(self._write_fd)
        self._thread.join()
        os.close(self._read_fd)

    def _collect(self) -> None:
        while data := os.read(self._read_fd, 65536):
            self._data += data
