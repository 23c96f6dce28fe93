"""The client of the command socket of a control server that runs alone."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from netmap_actors.errors import escape
from netmap_actors.runtime_paths import dev_control_socket
from netmap_supervisor.admin.commands import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DevSocket", "dev_socket_flag"]

_F = TypeVar("_F", bound="Callable[..., Any]")
_LIMIT = 30.0
"""Seconds an answer may take."""
_MAX_ANSWER = 256 << 20


class DevSocket:
    """A connection to the command socket; a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises CommandFailed when no server answers there."""
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # Without a limit, which would make a queue that is full for a moment an error.
            self._sock.connect(str(path))
            self._sock.settimeout(_LIMIT)
        except (OSError, ValueError) as error:
            self._sock.close()
            # A name that is too long comes without an errno.
            why = getattr(error, "strerror", None) or str(error)
            raise CommandFailed(
                f"cannot reach a control server at {path}: {why}; start one with `netmap-supervisor dev-control`, or "
                "name the socket it printed with --socket"
            ) from None

    def ask(self, command: str, /, **arguments: Any) -> Any:
        """The result of one command. Raises CommandFailed with what the server says."""
        line = json.dumps({"command": command, **arguments}).encode() + b"\n"
        try:
            self._sock.sendall(line)
            answer = json.loads(self._line())
        except (OSError, ValueError) as error:
            raise CommandFailed(f"cannot ask the control server at {self._path}: {error}") from None
        if "error" in answer:
            raise CommandFailed(escape(str(answer["error"]), 1000))
        return answer["result"]

    def _line(self) -> bytes:
        parts, size = [], 0
        while True:
            part = self._sock.recv(1 << 20)
            if not part:
                raise OSError("it closed the connection")
            parts.append(part)
            size += len(part)
            if part.endswith(b"\n"):
                return b"".join(parts)
            if size > _MAX_ANSWER:
                raise OSError(f"its answer has more than {_MAX_ANSWER} bytes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


def dev_socket_flag(function: _F) -> _F:
    """--socket; the command gets a Path."""

    def find(context: click.Context, _parameter: click.Parameter, value: str | None) -> Path:
        before = context.parent.params.get("socket_path") if context.parent is not None else None
        return Path(named) if (named := value or before) else dev_control_socket(os.environ)

    return click.option(
        "--socket",
        "socket_path",
        metavar="PATH",
        callback=find,
        help="Command socket of the server.  [env: NETMAP_DEV_CONTROL_SOCKET]",
    )(function)
