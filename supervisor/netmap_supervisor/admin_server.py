"""The daemon's end of the admin socket: bounded in connections, bytes and time, and open to its own user alone.

A connection is one request and one reply. Not here: what the requests mean (`operator_requests`).
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.message import DecodeError

from netmap_actors.errors import NetmapError
from netmap_actors.wire import internal_pb2
from netmap_supervisor.admin import LENGTH, MAX_REQUEST, Request, admin_path, framed
from netmap_supervisor.peer_process import Peer, peer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.bus.loop import Loop

__all__ = ["AdminServer"]

MAX_CONNECTIONS = 64
MAX_OF_ONE = 16
"""Connections of one process."""
REQUEST_LIMIT = 5.0
"""Seconds from the connection to the end of its request."""
REPLY_LIMIT = 15.0
"""Seconds from the request until its reply was taken; whoever has to be asked for it has four."""
_BACKLOG = 128
_ACCEPTS_PER_TURN = 32
_CHUNK = 64 * 1024
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
_GONE = {errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM}
"""accept(2): whoever connected has gone, or a filter wants it so; the next may be well."""


class _Connection:
    """One requester, from its connection to its reply."""

    def __init__(self, server: AdminServer, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer
        self.asked = False
        """Its request has come: others may not push it out."""
        self._server = server
        self._loop = server.loop
        self._read = bytearray()
        self._unsent = memoryview(b"")
        self._timer = self._loop.at(self._loop.now() + REQUEST_LIMIT, self._too_slow)
        self._loop.watch(sock.fileno(), self._on_readable)

    def reply(self, data: bytes) -> None:
        """Send this and let go; nothing happens when it has gone."""
        if self.sock.fileno() >= 0:
            self._unsent = memoryview(data)
            self._on_writable()

    def close(self) -> None:
        """Let go, whatever stands out. Closing twice is allowed."""
        if self.sock.fileno() >= 0:
            self._timer.cancel()
            self._loop.unwatch(self.sock.fileno())
            self.sock.close()
            self._server.closed(self)

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
            self._refused()  # the end, and no request

    def _look(self) -> None:
        if len(self._read) < LENGTH.size:
            return
        (length,) = LENGTH.unpack_from(self._read)
        if length > MAX_REQUEST:
            self._refused()
        elif len(self._read) >= LENGTH.size + length:
            self.asked = True
            self._loop.unwatch(self.sock.fileno())
            self._timer.cancel()
            self._timer = self._loop.at(self._loop.now() + REPLY_LIMIT, self._refused)
            self._server.take(bytes(self._read[LENGTH.size : LENGTH.size + length]), self)

    def _too_slow(self) -> None:
        # We may have been stopped meanwhile, and all of it lies there.
        self._on_readable()
        if not self.asked:
            self._refused()

    def _on_writable(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except BlockingIOError:
            self._loop.watch(self.sock.fileno(), self._on_writable, read=False, write=True)
            return
        except OSError:
            self._refused()
            return
        self.close()

    def _refused(self) -> None:
        if self.sock.fileno() >= 0:
            self._server.refused += 1
            self.close()


class AdminServer:
    """Hands each request to `handle`; a NetmapError raised there becomes an error reply."""

    def __init__(
        self,
        loop: Loop,
        runtime_dir: Path,
        handle: Callable[[Request], None],
        is_ours: Callable[[int], bool],
    ) -> None:
        """`is_ours(pid)`: a process of the daemon, or started by one: it has nothing to order."""
        self.loop = loop
        self.refused = 0
        """Requests that were none or not for this one to make, replies nobody took, connections that were cut."""
        self._handle = handle
        self._is_ours = is_ours
        self._path = admin_path(runtime_dir)
        self._open: dict[_Connection, None] = {}
        """The oldest first."""
        self._of: collections.Counter[int] = collections.Counter()
        self._listener = _listen(self._path)
        # Given up for a moment when there is no other: who waits at the door can only be sent away once let in.
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        loop.watch(self._listener.fileno(), self._on_arrivals)

    def close(self) -> None:
        """Let go of everybody, and of the socket's name."""
        for connection in list(self._open):
            connection.close()
        self.loop.unwatch(self._listener.fileno())
        self._listener.close()
        if self._spare >= 0:
            os.close(self._spare)
        with contextlib.suppress(OSError):
            self._path.unlink()

    def closed(self, connection: _Connection) -> None:
        """It has let go."""
        self._open.pop(connection, None)
        self._of[connection.peer.pid] -= 1
        if self._of[connection.peer.pid] <= 0:
            del self._of[connection.peer.pid]

    def take(self, data: bytes, connection: _Connection) -> None:
        """A whole request has come."""
        request = Request("", {}, lambda reply: connection.reply(framed(reply)))
        try:
            asked = internal_pb2.AdminRequest.FromString(data)
        except DecodeError:
            self.refused += 1
            request.refuse("cannot read the request: it is not one of this version; was the program updated?")
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

    def _on_arrivals(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._send_one_away()
                    return
                if error.errno not in _GONE:
                    raise
                continue
            self._let_in(sock)

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        try:
            peer = peer_of(sock)
        except OSError:
            sock.close()
            return
        why = self._why_not(peer)
        if why:
            self.refused += 1
            with contextlib.suppress(OSError):
                sock.send(framed(_refusal(why)))
            sock.close()
            return
        if len(self._open) >= MAX_CONNECTIONS and not self._push_one_out():
            self.refused += 1
            sock.close()
            return
        self._open[_Connection(self, sock, peer)] = None
        self._of[peer.pid] += 1

    def _why_not(self, peer: Peer) -> str:
        if peer.uid not in {os.geteuid(), 0}:
            return f"cannot take orders of user {peer.uid}: only the daemon's own user and root give them"
        if self._of[peer.pid] >= MAX_OF_ONE:
            return (
                f"cannot take orders of process {peer.pid}: {MAX_OF_ONE} of its connections are open already"
            )
        if self._is_ours(peer.pid):
            return f"cannot take orders of process {peer.pid}: the daemon started it, and it has none to give"
        return ""

    def _push_one_out(self) -> bool:
        """Of those that have asked for nothing yet, the oldest of whoever has most."""
        idle = [connection for connection in self._open if not connection.asked]
        if not idle:
            return False
        victim = max(idle, key=lambda connection: self._of[connection.peer.pid])
        self.refused += 1
        victim.close()
        return True

    def _send_one_away(self) -> None:
        """No descriptor is left: who waits would wait for ever, and wake us all the while."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
        with contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            self.refused += 1
            sock.close()
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


def _listen(path: Path) -> socket.socket:
    """Raises OSError. What is there from a run before is ours to remove: the directory is locked."""
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


def _refusal(why: str) -> internal_pb2.AdminReply:
    return internal_pb2.AdminReply(ok=False, json=msgspec.json.encode({"error": why}))
