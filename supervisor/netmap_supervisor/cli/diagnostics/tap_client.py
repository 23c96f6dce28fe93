"""The recorder's end of the daemon's tap: messages as they come. Not here: what becomes of them (`recorder`)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.bus.tap import PREFIX
from netmap_actors.runtime_paths import recording_path
from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.admin.socket import not_running
from netmap_supervisor.system.single_instance import hidden, is_locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TapClient"]

_MAX_HEADER: Final = 1 << 20
_CHUNK: Final = 1 << 20


class TapClient:
    """One connection; a context manager."""

    def __init__(self, runtime_dir: Path) -> None:
        """Raises NotRunning, CommandFailed."""
        path = recording_path(runtime_dir)
        self._read = bytearray()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._sock.connect(str(path))
        except OSError as error:
            self._sock.close()
            if not is_locked(runtime_dir):
                if (why := hidden(runtime_dir)) is not None:
                    raise CommandFailed(why) from None
                raise not_running(runtime_dir) from None
            if isinstance(error, PermissionError):
                raise CommandFailed(
                    f"cannot connect to {path}: only the daemon's own user and root may record"
                ) from None
            raise CommandFailed(
                f"cannot connect to {path}: {error.strerror}; it is starting or ending, or of an older version, which "
                "cannot be recorded"
            ) from None
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
