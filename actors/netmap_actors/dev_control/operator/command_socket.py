"""A running control server's command socket: one JSON object a line in, one a line out.

Not here: the commands (`commands`). It is a UNIX stream socket for its owner alone; bad input costs a client its own
connection at most.
"""

from __future__ import annotations

import contextlib
import socket
import stat
from typing import TYPE_CHECKING

import msgspec

from netmap_actors.bus.acceptor import Acceptor
from netmap_actors.errors import ConfigurationError, NetmapError
from netmap_actors.runtime_paths import MAX_SOCKET_PATH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.bus.admission import Origin
    from netmap_actors.bus.loop import Loop
    from netmap_actors.dev_control.operator.commands import Commands

__all__ = ["MAX_COMMAND", "MAX_COMMAND_CONNECTIONS", "CommandSocket", "SocketInUse"]

MAX_COMMAND = 1 << 20
"""Bytes of one command."""
MAX_COMMAND_CONNECTIONS = 64
"""At once; with more, the peer that holds most loses one."""
_READ = 64 << 10


class SocketInUse(ConfigurationError):
    """A running server listens there."""


class _Asker:
    """One connection."""

    __slots__ = ("close", "closing", "out", "sock", "unread")

    def __init__(self, sock: socket.socket, close: Callable[[], None]) -> None:
        self.sock = sock
        self.close = close
        self.unread = bytearray()
        """The beginning of a line."""
        self.out = bytearray()
        """The rest of an answer."""
        self.closing = False
        """Nothing more is read; what is here is answered first."""


class CommandSocket:
    """Listens while the server runs."""

    def __init__(self, path: Path, commands: Commands, loop: Loop) -> None:
        """Raises SocketInUse, and ConfigurationError when there can be no socket here."""
        self.path = path
        self._commands = commands
        self._loop = loop
        self._listener = _listen(path)
        self._own = path.stat()
        self._acceptor: Acceptor[_Asker] = Acceptor(
            loop, self._listener, capacity=MAX_COMMAND_CONNECTIONS, welcome=self._welcome
        )

    def close(self) -> None:
        """Stop listening, and remove the socket if it is still ours."""
        for asker in list(self._acceptor):
            self._drop(asker)
        self._acceptor.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            found = self.path.stat()
            if (found.st_dev, found.st_ino) == (self._own.st_dev, self._own.st_ino):
                self.path.unlink()

    def _welcome(self, sock: socket.socket, _: Origin) -> _Asker:
        asker = _Asker(sock, lambda: self._drop(asker))
        self._loop.watch(sock.fileno(), lambda: self._read(asker))
        return asker

    def _read(self, asker: _Asker) -> None:
        try:
            data = asker.sock.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            self._drop(asker)
            return
        asker.unread += data
        asker.closing = not data
        self._go_on(asker)

    def _go_on(self, asker: _Asker) -> None:
        """Send what waits, then answer one line, if there is one.

        One in a turn of the loop, and none before the last answer is written: answers are larger than commands, and a
        client that sends many and reads none must cost neither time nor memory.
        """
        try:
            while asker.out:
                del asker.out[: asker.sock.send(asker.out)]
                self._acceptor.moved(asker, waits=True)
            self._answer_next(asker)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(asker)
            return
        if asker.out:
            self._loop.watch(asker.sock.fileno(), lambda: self._go_on(asker), read=False, write=True)
        elif asker.closing:
            self._drop(asker)
        else:
            self._loop.watch(asker.sock.fileno(), lambda: self._read(asker))

    def _answer_next(self, asker: _Asker) -> None:
        end = asker.unread.find(b"\n")
        if max(end, len(asker.unread) if end < 0 else 0) > MAX_COMMAND:
            asker.unread.clear()
            asker.out += _refusal(f"cannot read the command: it has more than {MAX_COMMAND} bytes") + b"\n"
            asker.closing = True
        elif end >= 0:
            line = bytes(asker.unread[:end])
            del asker.unread[: end + 1]
            asker.out += self._answer(line) + b"\n"

    def _answer(self, line: bytes) -> bytes:
        try:
            return self._commands.execute(line)
        except NetmapError as error:
            return _refusal(str(error))

    def _drop(self, asker: _Asker) -> None:
        if asker.sock.fileno() >= 0:
            self._acceptor.left(asker)
            self._loop.unwatch(asker.sock.fileno())
            asker.sock.close()


def _refusal(text: str) -> bytes:
    return msgspec.json.encode({"error": text})


def _listen(path: Path) -> socket.socket:
    if len(str(path).encode()) > MAX_SOCKET_PATH:
        raise ConfigurationError(
            f"cannot listen on {path}: the name of a socket has {MAX_SOCKET_PATH} bytes at most"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(MAX_COMMAND_CONNECTIONS)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {path}: {error.strerror}") from None
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _clear(path: Path) -> None:
    """Remove the socket of a server that has ended. Raises SocketInUse, ConfigurationError, OSError."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"cannot listen on {path}: it is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its queue is full, so a server is there
    raise SocketInUse(f"cannot listen on {path}: another server answers there; name another with --socket")
