"""The recorder's end of the daemon's tap: messages as they come. Not here: what becomes of them (`recorder`)."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from netmap_actors import __version__
from netmap_actors.boot import MAX_MAP_RESPONSE
from netmap_actors.bus.tap import PREFIX
from netmap_actors.clock import SystemClock
from netmap_actors.errors import escape
from netmap_actors.runtime_paths import recording_path
from netmap_supervisor.admin.commands import CommandFailed, require_running, send_request
from netmap_supervisor.admin.socket import AdminError, NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_supervisor.cli.process.interruption import Interruption

__all__ = ["TapClient"]

_MAX_HEADER: Final = 1 << 20
_CHUNK: Final = 1 << 20
_AGAIN: Final = 0.05
_PATIENCE: Final = 0.5
"""Seconds until another ticket is shown: this one may have been told to a publisher that was ending."""
_LIMIT: Final = 10.0
"""Seconds in which a publisher starts and lets us in."""
_CLOCK: Final = SystemClock()


class TapClient:
    """One connection that was let in; a context manager."""

    def __init__(self, runtime_dir: Path, interruption: Interruption) -> None:
        """Raises NotRunning, AdminError, CommandFailed; this also when it is interrupted.

        The connection first: a publisher that is starting keeps what comes for those who wait at its socket.
        """
        path = recording_path(runtime_dir)
        self._read = bytearray()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            require_running(runtime_dir)
            self._sock.setblocking(False)
            self._sock.connect(str(path))
            self.hello = self._let_in(runtime_dir, interruption)
            """The first message: the program's version, and how much of a session we have missed."""
        except OSError as error:
            self._sock.close()
            raise CommandFailed(f"cannot record by {path}: {error.strerror}") from None
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def receive(self) -> None:
        """Read what has come. Raises EOFError when it has ended."""
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise EOFError
        self._read += data

    def messages(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Header and body of each message that was received as a whole. Raises EOFError for what is none."""
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

    def _let_in(self, runtime_dir: Path, interruption: Interruption) -> dict[str, Any]:
        """The header of the first message."""
        until = _CLOCK.monotonic() + _LIMIT
        starting: AdminError | None = None
        try:
            while _CLOCK.monotonic() < until and not interruption.asked:
                starting, patience = None, _PATIENCE
                try:
                    ticket = send_request(runtime_dir, "record")["ticket"]
                    self._sock.send(f"{ticket}\n".encode())
                except NotRunning:
                    raise
                except AdminError as error:
                    starting, patience = error, _AGAIN
                again = _CLOCK.monotonic() + patience
                while (left := again - _CLOCK.monotonic()) > 0 and not interruption.asked:
                    select.select([self.fileno(), interruption.fileno()], [], [], left)
                    self.receive()
                    if (first := next(self.messages(), None)) is not None:
                        return _checked(first[0])
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        raise starting or CommandFailed(
            "cannot record: the daemon's publisher does not answer; is it starting, ending or hung?"
        )


def _checked(hello: dict[str, Any]) -> dict[str, Any]:
    """Raises CommandFailed where we are not let in."""
    if hello.get("kind") == "cut_off":
        raise CommandFailed(f"cannot record: {escape(str(hello.get('why')), 200)}")
    if (version := str(hello.get("version", ""))) != __version__:
        raise CommandFailed(
            f"cannot record: the daemon is version {escape(version, 60)}, and this program {__version__}; "
            "restart the daemon"
        )
    return hello
