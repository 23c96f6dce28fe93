"""How the command line talks to the daemon: one request, one reply, over a unix socket in the runtime directory.

Only the daemon's own user can reach the socket (0600), and may say everything. Not here: what the requests mean
(`operator_requests`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import msgspec
import zmq

from netmap_actors.bus.sockets import Sockets, ipc
from netmap_actors.errors import NetmapError
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec, ForeignEnvelope
from netmap_supervisor.single_instance import hidden, is_locked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from netmap_actors.bus.loop import Loop

__all__ = ["AdminClient", "AdminError", "AdminServer", "NotRunning", "Request", "admin_path"]

_NO_RUN = "00" * 8
"""The command line belongs to no run."""
ANSWER_LIMIT = 5.0
_REQUESTS_PER_TURN = 20


class AdminError(NetmapError):
    """The daemon could not do it; the text is its own."""


class NotRunning(AdminError):
    """There is no daemon in this runtime directory, or it does not answer."""


def admin_path(runtime_dir: Path) -> Path:
    """The socket."""
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


class AdminServer:
    """Hands each request to `handle`; a NetmapError raised there becomes an error reply."""

    def __init__(
        self,
        loop: Loop,
        sockets: Sockets,
        runtime_dir: Path,
        handle: Callable[[Request], None],
    ) -> None:
        self._codec = Codec(_NO_RUN, "supervisor", 1)
        self._handle = handle
        self._socket = sockets.router_bind(ipc(admin_path(runtime_dir)), hwm=100)
        self.refused = 0
        """Requests that were none, and replies nobody took."""
        loop.watch(self._socket, self._on_requests)

    def _on_requests(self) -> None:
        for _ in range(_REQUESTS_PER_TURN):
            try:
                frames = self._socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._answer(frames)

    def _answer(self, frames: list[bytes]) -> None:
        try:
            requester, data = frames
            envelope = self._codec.open(data)
        except (ValueError, ForeignEnvelope):
            self.refused += 1
            return
        asked = envelope.admin_request
        request = Request(asked.command, {}, lambda reply: self._reply(requester, reply))
        try:
            request.arguments = msgspec.json.decode(asked.arguments or b"{}", type=dict[str, Any])
            self._handle(request)
        except (NetmapError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            request.refuse(str(error))

    def _reply(self, requester: bytes, reply: internal_pb2.AdminReply) -> None:
        try:
            self._socket.send_multipart([requester, self._codec.wrap(reply)], zmq.DONTWAIT)
        except zmq.ZMQError:
            self.refused += 1  # it has gone, or takes nothing


class AdminClient:
    """One command's connection to the daemon."""

    def __init__(self, runtime_dir: Path, limit: float = ANSWER_LIMIT) -> None:
        self._runtime_dir = runtime_dir
        self._limit = limit
        self._codec = Codec(_NO_RUN, "command_line", 1)
        self._sockets: Sockets | None = None

    def request(self, command: str, /, **arguments: Any) -> Any:
        """The daemon's answer. Raises NotRunning or AdminError."""
        if not is_locked(self._runtime_dir):
            if (why := hidden(self._runtime_dir)) is not None:
                raise AdminError(why)
            raise NotRunning(
                f"cannot reach the daemon: none is running in {self._runtime_dir}; start one with "
                "`netmap-supervisor run`, or name its directory with --runtime-dir"
            )
        self._sockets = self._sockets or Sockets()
        socket = self._sockets.dealer_connect(ipc(admin_path(self._runtime_dir)), b"")
        request = internal_pb2.AdminRequest(command=command, arguments=msgspec.json.encode(arguments))
        socket.send(self._codec.wrap(request))
        if not socket.poll(int(self._limit * 1000)):
            raise NotRunning(
                f"cannot reach the daemon in {self._runtime_dir}: no answer within {self._limit:g} s; "
                "it is starting, ending or stopped"
            )
        reply = self._codec.open(socket.recv()).admin_reply
        answer = msgspec.json.decode(reply.json)
        if not reply.ok:
            raise AdminError(str(answer.get("error", "the daemon refused")))
        return answer

    def close(self) -> None:
        """Let go."""
        if self._sockets is not None:
            self._sockets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
