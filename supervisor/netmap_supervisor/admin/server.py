"""The daemon's end of the admin socket: bounded in connections, bytes and time, for its own user and root only.

A connection is one request and one reply. Not here: what the requests mean (`operator_requests`).
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError

from netmap_actors.bus.acceptor import Acceptor
from netmap_actors.errors import NetmapError
from netmap_actors.wire import internal_pb2
from netmap_supervisor.admin.socket import LENGTH_PREFIX, MAX_ADMIN_REQUEST, Request, admin_path, framed
from netmap_supervisor.system.peer_process import has_ended

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.bus.admission import Origin
    from netmap_actors.bus.loop import Loop

__all__ = ["AdminServer"]

MAX_CONNECTIONS = 64
MAX_OF_ONE = 16
"""Connections of one process."""
REQUEST_LIMIT = 5.0
"""Seconds from the connection to the end of its request."""
REPLY_LIMIT = 15.0
"""Seconds from the request until its reply is taken; an actor asked for it has four."""
_BACKLOG = 128
_CHUNK = 64 * 1024


class _Connection:
    """One requester, from its connection to its reply."""

    def __init__(self, server: AdminServer, sock: socket.socket) -> None:
        self.sock = sock
        self.asked = False
        """Its request has come."""
        self._server = server
        self._loop = server.loop
        self._read = bytearray()
        self._unsent = memoryview(b"")
        self._timer = self._loop.at(self._loop.now() + REQUEST_LIMIT, self._too_slow)
        self._loop.watch(sock.fileno(), self._on_readable)

    def reply(self, data: bytes) -> None:
        """Send this and close; ignored if it is closed already."""
        if self.sock.fileno() >= 0:
            self._unsent = memoryview(data)
            self._on_writable()

    def close(self) -> None:
        """Close it at once. Closing twice is allowed."""
        if self.sock.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self.sock.fileno())
            self.sock.close()
            self._server.acceptor.left(self)

    def _on_readable(self) -> None:
        try:
            while not self.asked and (data := self.sock.recv(_CHUNK)):
                self._read += data
                self._look()
        except BlockingIOError:
            return
        except OSError:
            self._refused()
            return
        if not self.asked and self.sock.fileno() >= 0:
            self._refused()  # end of file before a whole request

    def _look(self) -> None:
        if len(self._read) < LENGTH_PREFIX.size:
            return
        (length,) = LENGTH_PREFIX.unpack_from(self._read)
        if length > MAX_ADMIN_REQUEST:
            self._refused()
        elif len(self._read) >= LENGTH_PREFIX.size + length:
            self.asked = True
            self._server.acceptor.moved(self, waits=False)
            self._loop.unwatch(self.sock.fileno())
            self._timer.cancel()
            self._timer = self._loop.at(self._loop.now() + REPLY_LIMIT, self._refused)
            self._server.take(bytes(self._read[LENGTH_PREFIX.size : LENGTH_PREFIX.size + length]), self)

    def _too_slow(self) -> None:
        # We may have been stopped meanwhile: look whether it has come.
        self._on_readable()
        if not self.asked:
            self._refused()

    def _on_writable(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
                self._server.acceptor.moved(self, waits=True)
        except BlockingIOError:
            self._loop.watch(self.sock.fileno(), self._on_writable, read=False, write=True)
            return
        except OSError:
            self._refused()
            return
        self.close()

    def _refused(self) -> None:
        if self.sock.fileno() >= 0:
            self._server.count_refusal()
            self.close()


class AdminServer:
    """Hands each request to `handle`; a NetmapError raised there becomes an error reply."""

    def __init__(
        self,
        loop: Loop,
        runtime_dir: Path,
        handle: Callable[[Request], None],
        is_ours: Callable[[int], bool],
        viewer: Callable[[], int] = lambda: 0,
    ) -> None:
        """`is_ours(pid)`: a process of the daemon, or started by one, which may give no orders. `viewer()`: the view
        among these, which may ask for the status; 0 for none."""
        self.loop = loop
        self._refused = 0
        self._handle = handle
        self._is_ours = is_ours
        self._viewer = viewer
        self._path = admin_path(runtime_dir)
        self._listener = _listen(self._path)
        self.acceptor: Acceptor[_Connection] = Acceptor(
            loop, self._listener, capacity=MAX_CONNECTIONS, welcome=self._welcome
        )

    @property
    def refused(self) -> int:
        """Invalid or forbidden requests, replies not taken, connections cut."""
        return self._refused + self.acceptor.sent_away

    def close(self) -> None:
        """Close every connection, and remove the socket."""
        for connection in list(self.acceptor):
            connection.close()
        self.acceptor.close()
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def count_refusal(self) -> None:
        """A connection ends without a reply that was taken."""
        self._refused += 1

    def take(self, data: bytes, connection: _Connection) -> None:
        """A whole request has come."""
        request = Request("", {}, lambda reply: connection.reply(framed(reply)))
        try:
            asked = internal_pb2.AdminRequest.FromString(data)
        except DecodeError:
            self._refused += 1
            request.refuse("cannot read the request: it is not one of this version; was the program updated?")
            return
        peer = self.acceptor.whose(connection)
        if self._is_viewer(peer) and asked.command != "status":
            self._refused += 1
            request.refuse(_nothing_to_order(peer))
            return
        request.command = asked.command
        try:
            request.arguments = msgspec.json.decode(asked.arguments or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            request.refuse(f"cannot read the request: {error}")
            return
        try:
            self._handle(request)
        except NetmapError as error:
            request.refuse(str(error))

    def _welcome(self, sock: socket.socket, peer: Origin) -> _Connection | None:
        why = self._why_not(peer, sock)
        if not why:
            return _Connection(self, sock)
        self._refused += 1
        with contextlib.suppress(OSError):
            sock.send(framed(_refusal(why)))
        sock.close()
        return None

    def _why_not(self, peer: Origin, sock: socket.socket) -> str:
        if peer.user not in {os.geteuid(), 0}:
            return f"cannot take orders of user {peer.user}: only the daemon's own user and root give them"
        who = f"cannot take orders of process {peer.process}"
        if self.acceptor.held_by(peer) >= MAX_OF_ONE:
            return f"{who}: {MAX_OF_ONE} of its connections are open already"
        if self._is_ours(peer.process) and not self._is_viewer(peer):
            return _nothing_to_order(peer)
        # Checked last: a process that ended while we looked up its parents seems to have none.
        if has_ended(sock, peer.process):
            return f"{who}: it has ended, and whose it was nobody can say"
        return ""

    def _is_viewer(self, peer: Origin) -> bool:
        return peer.process != 0 and peer.process == self._viewer()


def _listen(path: Path) -> socket.socket:
    """Raises OSError. The socket of an earlier run is removed: the directory is locked."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(before)
    listener.listen(_BACKLOG)
    return listener


def _nothing_to_order(peer: Origin) -> str:
    return f"cannot take orders of process {peer.process}: the daemon started it, and it has none to give"


def _refusal(why: str) -> internal_pb2.AdminReply:
    return internal_pb2.AdminReply(ok=False, json=msgspec.json.encode({"error": why}))
