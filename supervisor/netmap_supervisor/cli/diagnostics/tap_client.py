"""The recorder's end of the daemon's tap: messages as they come. Not here: what becomes of them (`recorder`)."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.bus.tap import PREFIX
from netmap_actors.clock import SystemClock
from netmap_actors.runtime_paths import recording_path
from netmap_supervisor.admin.commands import CommandFailed, require_running, send_request
from netmap_supervisor.admin.socket import AdminError, NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TapClient"]

_MAX_HEADER: Final = 1 << 20
_CHUNK: Final = 1 << 20
_AGAIN: Final = 0.05
_TICKET_LIMIT: Final = 5.0
"""Seconds in which a publisher starts."""
_CLOCK: Final = SystemClock()


class TapClient:
    """One connection; a context manager."""

    def __init__(self, runtime_dir: Path) -> None:
        """Raises NotRunning, CommandFailed.

        The connection first: a publisher that is starting keeps what comes for those who wait at its socket.
        """
        path = recording_path(runtime_dir)
        self._read = bytearray()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            require_running(runtime_dir)
            self._sock.connect(str(path))
            self._sock.sendall(f"{_ticket(runtime_dir)}\n".encode())
        except OSError as error:
            self._sock.close()
            raise CommandFailed(f"cannot record by {path}: {error.strerror}") from None
        except BaseException:
            self._sock.close()
            raise
        self._sock.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def messages(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Header and body of each message that is there, once it is readable. Raises EOFError when it has ended."""
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise EOFError
        self._read += data
        while len(self._read) >= PREFIX.size:
            head, body = PREFIX.unpack_from(self._read)
            if head > _MAX_HEADER or body > 2 * MAX_MAP_RESPONSE:
                raise EOFError
            whole = PREFIX.size + head + body
            if len(self._read) < whole:
                return
            header = msgspec.json.decode(self._read[PREFIX.size : PREFIX.size + head], type=dict[str, Any])
            content = bytes(self._read[PREFIX.size + head : whole])
            del self._read[:whole]
            yield header, content


def _ticket(runtime_dir: Path) -> str:
    """Raises NotRunning, AdminError."""
    until = _CLOCK.monotonic() + _TICKET_LIMIT
    while True:
        try:
            return str(send_request(runtime_dir, "record")["ticket"])
        except NotRunning:
            raise
        except AdminError:
            # The publisher is starting.
            if _CLOCK.monotonic() > until:
                raise
            select.select([], [], [], _AGAIN)
