"""How the command line talks to the daemon: one request, one reply, over a unix socket in the runtime directory.

Only the daemon's own user and root can reach the socket (0600), and may send every request. Not here: the daemon's
end (`admin.server`), and what the requests mean (`operator_requests`).
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError

from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError
from netmap_actors.wire import internal_pb2
from netmap_supervisor.system.single_instance import hidden, is_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = [
    "LENGTH_PREFIX",
    "MAX_ADMIN_REQUEST",
    "AdminClient",
    "AdminError",
    "NotRunning",
    "Request",
    "admin_path",
    "framed",
    "not_running",
]

ANSWER_LIMIT = 5.0
LENGTH_PREFIX = struct.Struct(">I")
"""Before each request and reply: its length in bytes."""
MAX_ADMIN_REQUEST = 1024 * 1024
_AGAIN = 0.05
_CLOCK = SystemClock()
_CHUNK = 64 * 1024


class AdminError(NetmapError):
    """The daemon refused or failed; the text is its own."""


class NotRunning(AdminError):
    """There is no daemon in this runtime directory, or it does not answer."""


def not_running(runtime_dir: Path) -> NotRunning:
    """The error to raise where no daemon holds the runtime directory."""
    return NotRunning(
        f"cannot reach the daemon: none is running in {runtime_dir}; start one with `netmap-supervisor run`, or name "
        "its directory with --runtime-dir"
    )


def admin_path(runtime_dir: Path) -> Path:
    """Path of the socket."""
    return runtime_dir / "admin.sock"


class Request:
    """One request; to be answered or refused once, now or later."""

    def __init__(
        self, command: str, arguments: dict[str, Any], reply: Callable[[internal_pb2.AdminReply], None]
    ) -> None:
        self.command = command
        self.arguments = arguments
        self._reply = reply

    def answer(self, value: object) -> None:
        """It is done; `value` becomes JSON."""
        self._reply(internal_pb2.AdminReply(ok=True, json=msgspec.json.encode(value)))

    def refuse(self, text: str) -> None:
        """It cannot be done; the text reads "cannot X: why"."""
        self._reply(internal_pb2.AdminReply(ok=False, json=msgspec.json.encode({"error": text})))


def framed(message: internal_pb2.AdminRequest | internal_pb2.AdminReply) -> bytes:
    """The message after its length."""
    data = message.SerializeToString()
    return LENGTH_PREFIX.pack(len(data)) + data


class AdminClient:
    """Sends requests to the daemon of one runtime directory, each on a connection of its own."""

    def __init__(self, runtime_dir: Path, limit: float = ANSWER_LIMIT) -> None:
        """`limit`: seconds that one request may take."""
        self._runtime_dir = runtime_dir
        self._limit = limit

    def request(self, command: str, /, **arguments: Any) -> Any:
        """The daemon's answer. Raises NotRunning or AdminError."""
        if not is_locked(self._runtime_dir):
            if (why := hidden(self._runtime_dir)) is not None:
                raise AdminError(why)
            raise not_running(self._runtime_dir)
        try:
            asked = msgspec.json.encode(arguments)
        except UnicodeEncodeError:
            raise AdminError("cannot ask for that: a word of it is no text in UTF-8") from None
        except (OverflowError, RecursionError) as error:
            raise AdminError(f"cannot ask for that: {error}") from None
        data = framed(internal_pb2.AdminRequest(command=command, arguments=asked))
        if len(data) > MAX_ADMIN_REQUEST:
            raise AdminError(
                f"cannot ask for that: the request has {len(data)} bytes, {MAX_ADMIN_REQUEST} are the most"
            )
        until = _CLOCK.monotonic() + self._limit
        while True:
            try:
                reply = internal_pb2.AdminReply.FromString(self._exchange(data, until))
                break
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                # It is starting, or its backlog is full.
                if _CLOCK.monotonic() + _AGAIN >= until:
                    raise self._no_answer() from None
                select.select([], [], [], _AGAIN)
            except PermissionError:
                raise AdminError(
                    hidden(self._runtime_dir)
                    or f"cannot connect to {admin_path(self._runtime_dir)}: only the daemon's own user and root may"
                ) from None
            except (OSError, EOFError, DecodeError):
                raise self._no_answer() from None
        answer = msgspec.json.decode(reply.json)
        if not reply.ok:
            raise AdminError(str(answer.get("error", "the daemon refused")))
        return answer

    def _exchange(self, request: bytes, until: float) -> bytes:
        """The reply. Raises OSError, TimeoutError among them, or EOFError."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:

            def take_time() -> None:
                left = until - _CLOCK.monotonic()
                if left <= 0:
                    raise TimeoutError
                sock.settimeout(left)

            # Wait in the kernel's queue while the backlog is full: later ones do not overtake us there.
            seconds, fraction = divmod(max(until - _CLOCK.monotonic(), 0.01), 1)
            wait = struct.pack("@ll", int(seconds), int(fraction * 1e6))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
            sock.connect(str(admin_path(self._runtime_dir)))
            # A refusal may have come without waiting for the request.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(request)
            read = bytearray()
            length = LENGTH_PREFIX.size
            while len(read) < length:
                take_time()
                data = sock.recv(_CHUNK)
                if not data:
                    raise EOFError
                read += data
                if len(read) >= LENGTH_PREFIX.size:
                    length = LENGTH_PREFIX.size + LENGTH_PREFIX.unpack_from(read)[0]
            return bytes(read[LENGTH_PREFIX.size : length])

    def _no_answer(self) -> NotRunning:
        return NotRunning(
            f"cannot reach the daemon in {self._runtime_dir}: no answer within {self._limit:g} s; "
            "it is starting, ending or stopped"
        )
