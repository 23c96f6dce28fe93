"""The listening sockets of a process, each open only while somebody looks at it.

libzmq accepts in a thread of its own, whatever this process is doing, and ends the process when it has no descriptor
left for one more (ipc_listener.cpp: EMFILE is no error it expects). So the listening socket is ours (ZMQ_USE_FD), and
libzmq looks at it when we say so, for a moment in which this loop's thread waits for who comes. Who comes meanwhile
waits in the kernel, where it costs nobody a descriptor.

How we say so: what libzmq waits for is an eventfd, and what it accepts from under the same number is the listening
socket. epoll knows a descriptor by its number and the file that was behind it when it was added (epoll(7), questions
and answers 1 and 6), so the one can be put in the other's place. Unbinding instead would end the connections.

Within its moment this thread may be kept from running. What libzmq accepts then is bounded too: it tells of each
connection through a pipe, and waits when that is full.

Not here: who has to go (`admission`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import select
import socket
import stat
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zmq

from netmap_actors.bus.admission import Admission, Peer
from netmap_actors.bus.monitor import next_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.bus.loop import Loop

__all__ = ["BURST", "INTERNAL_CONNECTIONS", "INTERNAL_SHARE", "RESERVE", "Door", "Doors"]

INTERNAL_CONNECTIONS: Final = 64
"""Connections to a socket that is for the processes of one run."""
INTERNAL_SHARE: Final = 4
"""Of one process: each needs one, and a second one while the first one's end has not been seen."""

BURST: Final = 501
"""Connections that libzmq may accept before it waits until we have heard of them.

A pipe between two sockets holds the sum of their high-water marks, and room in it is told of for a half at a time:
1 000 is the monitor's own, so this is the least that cannot stand still for ever."""
RESERVE: Final = 64
"""Descriptors for everything that is no connection."""
_ENOUGH: Final = 64
"""Connections after which a moment is over; more come with the next one."""
_LINGERING: Final = 64
"""Connections that libzmq may not have closed yet, after which we look whether it has."""
_MOMENT: Final = 0.005
"""Seconds for which a door is open."""
_PATIENCE_MS: Final = 1
_QUIET: Final = 0.05
"""Seconds after which libzmq's thread has done with what it was told of while the door was open."""
_KNOWN_LIMIT: Final = 10.0
"""Seconds that libzmq's thread may take to look after a new listening socket, on a machine that is busy."""
_CROWD_PAUSE: Final = 0.01
"""Seconds between two moments while connections have to be cut: the others' messages get their turn."""
_FULL_PAUSE: Final = 0.1
"""Seconds between two moments while there are too few descriptors for one."""
_BACKLOG: Final = 4096
"""Who waits to be accepted; the kernel bounds it by net.core.somaxconn."""
_TOLD_INTERVAL: Final = 5.0
"""Seconds between two words about connections that were cut."""
_MAX_FILES: Final = 65_536
"""Open files we raise the soft limit to, where the hard one lets us."""
_CREDENTIALS: Final = struct.Struct("iII")


class Doors:
    """All doors of one process. None is opened without descriptors for everybody it may let in."""

    def __init__(self, loop: Loop, on_cut: Callable[[Peer, int], object]) -> None:
        """Raises the soft limit of open files. `on_cut(peer, count)`: so many connections had to go since the last
        call, the last one this peer's."""
        _raise_limit()
        self.loop = loop
        self._on_cut = on_cut
        self._doors: list[Door] = []
        self._cut = 0
        self._told_at = float("-inf")

    @staticmethod
    def room() -> int:
        """Connections that all doors together may have.

        With fewer than some 800 files a whole burst has no place beside them; a third of the files is better than a
        process that lets nobody in.
        """
        allowed = _allowed()
        return max(allowed - RESERVE - BURST, (allowed - RESERVE) // 3, 1)

    def door(
        self,
        *,
        capacity: int,
        share: int | None = None,
        admits: Callable[[Peer], bool] | None = None,
        on_arrival: Callable[[], object] | None = None,
        on_change: Callable[[], object] | None = None,
        on_refusal: Callable[[], object] | None = None,
    ) -> Door:
        """A door that is not hung yet. `admits`: who may come at all. `on_arrival`: somebody came and was let in.
        `on_change`: the number of connections is another. `on_refusal`: a handshake failed."""
        made = Door(self, Admission(capacity, share), admits, on_arrival, on_change, on_refusal)
        self._doors.append(made)
        return made

    def forget(self, door: Door) -> None:
        """It is gone for good."""
        if door in self._doors:
            self._doors.remove(door)

    def has_room(self) -> bool:
        """Whether there are descriptors for everybody a moment may let in."""
        return sum(one.descriptors for one in self._doors) <= self.room()

    def sweep(self) -> None:
        """Look at every door for who has left."""
        for one in self._doors:
            one.sweep()

    def tell_cut(self, peer: Peer) -> None:
        """A connection had to go."""
        self._cut += 1
        now = self.loop.now()
        if now >= self._told_at + _TOLD_INTERVAL:
            self._told_at = now
            self._on_cut(peer, self._cut)
            self._cut = 0


class Door:
    """One listening socket, whose connections go to one ZeroMQ socket."""

    def __init__(
        self,
        doors: Doors,
        admission: Admission,
        admits: Callable[[Peer], bool] | None,
        on_arrival: Callable[[], object] | None,
        on_change: Callable[[], object] | None,
        on_refusal: Callable[[], object] | None,
    ) -> None:
        self.admission = admission
        self._doors = doors
        self._loop = doors.loop
        self._admits = admits
        self._on_arrival = on_arrival
        self._on_change = on_change
        self._on_refusal = on_refusal
        self._descriptor: dict[int, int] = {}
        """Of every connection that libzmq has not closed, by the inode of its socket; those that were cut included."""
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._listener: socket.socket | None = None
        self._endpoint = ""
        self._gate = -1
        """The eventfd that libzmq waits for: readable while the door is open."""
        self._lent = -1
        """The number under which it waits for that, and accepts from the listening socket."""
        self._crowded = False
        self._shut_at = float("-inf")
        """When it was last open, seconds of CLOCK_MONOTONIC."""

    def __len__(self) -> int:
        """Connections that were let in and, when last looked at, were there."""
        return len(self.admission)

    @property
    def descriptors(self) -> int:
        """That its connections need."""
        return len(self._descriptor)

    def hang(self, one: zmq.Socket[bytes], endpoint: str) -> None:
        """Listen for this ZeroMQ socket. Raises OSError."""
        self._listener = _listen(endpoint)
        self._socket, self._endpoint = one, endpoint
        self._gate = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lent = os.dup(self._gate)
        one.setsockopt(zmq.USE_FD, self._lent)
        try:
            one.bind(endpoint)
        except zmq.ZMQError:
            os.close(self._lent)
            self._lent = -1
            raise
        self._monitor = self._monitor_of(one)
        until = self._loop.clock.monotonic() + _KNOWN_LIMIT
        while not _is_known(self._lent):
            if self._loop.clock.monotonic() >= until:
                raise OSError(errno.ETIMEDOUT, "ZeroMQ does not wait for it, or not with epoll")
            self._monitor.poll(_PATIENCE_MS)
        os.dup2(self._listener.fileno(), self._lent, inheritable=False)
        self._watch_listener()

    def _monitor_of(self, one: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        events = zmq.EVENT_ACCEPTED
        if self._on_refusal is not None:
            events |= zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        where = f"inproc://door-{id(self):x}"
        one.monitor(where, events)
        monitor: zmq.Socket[bytes] = one.context.socket(zmq.PAIR)
        monitor.setsockopt(zmq.LINGER, 0)
        if self._on_refusal is None:
            monitor.setsockopt(zmq.RCVHWM, BURST - 1)
        monitor.connect(where)
        if self._on_refusal is None:
            # The monitor's side is told this mark and has what it was before on top of it.
            monitor.setsockopt(zmq.RCVHWM, 1)
        self._loop.watch(monitor, self._hear)
        return monitor

    def close(self) -> None:
        """Nobody comes in any more; to be called before the ZeroMQ socket is closed."""
        if self._listener is None or self._socket is None:
            return
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        self._listener = None
        if self._lent >= 0:
            if self._monitor is not None:
                # libzmq's thread may be about to accept once more, and an eventfd is nothing to accept from.
                while self._loop.clock.monotonic() < self._shut_at + _QUIET:
                    self._monitor.poll(_PATIENCE_MS)
                    while next_event(self._monitor) is not None:
                        pass
            # What libzmq knows by this number is the eventfd, and it will take that back.
            os.dup2(self._gate, self._lent, inheritable=False)
        os.close(self._gate)
        if self._monitor is not None:
            self._loop.unwatch(self._monitor)
            # Nothing is told any more but perhaps the last one, for which there is room: nobody waits for us.
            while next_event(self._monitor) is not None:
                pass
            self._socket.disable_monitor()
            self._monitor.close()
        if self._endpoint.startswith("ipc:"):
            with contextlib.suppress(OSError):
                os.unlink(self._endpoint.removeprefix("ipc://"))  # noqa: PTH108
        self._descriptor.clear()
        self._doors.forget(self)

    def sweep(self) -> None:
        """Look for who has left: nobody tells."""
        gone = [inode for inode, fd in self._descriptor.items() if _inode(fd) != inode]
        before = len(self.admission)
        for inode in gone:
            del self._descriptor[inode]
            self.admission.left(inode)
        if len(self.admission) != before and self._on_change is not None:
            self._on_change()

    def _let_in(self) -> None:
        """Somebody waits: open for a moment, if there is room."""
        assert self._listener is not None, "it is watched"
        assert self._socket is not None, "it is hung"
        assert self._monitor is not None, "it is hung"
        if not self._doors.has_room():
            self._doors.sweep()
            if not self._doors.has_room():
                self._rest(_FULL_PAUSE)
                return
        self._crowded = False
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        until = self._loop.clock.monotonic() + _MOMENT
        count = 0
        os.eventfd_write(self._gate, 1)
        while self._loop.clock.monotonic() < until and count < _ENOUGH and waiting.poll(0):
            if self._monitor.poll(_PATIENCE_MS):
                count += self._hear()
        os.eventfd_read(self._gate)
        self._shut_at = self._loop.clock.monotonic()
        self._hear()
        if self._crowded:
            # libzmq buries what is over when it is asked for something.
            self._socket.getsockopt(zmq.EVENTS)
            self._rest(_CROWD_PAUSE)

    def _rest(self, pause: float) -> None:
        if self._listener is not None:
            self._loop.unwatch(self._listener.fileno())
            self._loop.at(self._loop.now() + pause, self._watch_listener)

    def _watch_listener(self) -> None:
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), self._let_in)

    def _hear(self) -> int:
        """Take note of who has come; how many libzmq has told of."""
        assert self._monitor is not None, "it is hung"
        accepted, count = [], 0
        while (event := next_event(self._monitor)) is not None:
            count += 1
            if event.event == zmq.EVENT_ACCEPTED:
                accepted.append(event.value)
            elif self._on_refusal is not None:
                self._on_refusal()
        if accepted and self._is_tight(len(accepted)):
            # Nobody is turned away for the sake of one who has left.
            self.sweep()
        came = False
        for fd in accepted:
            came |= self._judge(fd)
        if came and self._on_arrival is not None:
            self._on_arrival()
        if accepted and self._on_change is not None:
            self._on_change()
        return count

    def _is_tight(self, more: int) -> bool:
        return len(self._descriptor) <= _LINGERING or len(self.admission) + more > self.admission.capacity

    def _judge(self, fd: int) -> bool:
        """Whether this one may stay."""
        inode, peer = _peer_of(fd)
        if peer is None:
            return False  # it has left already
        self._descriptor[inode] = fd
        if self._admits is not None and not self._admits(peer):
            self.admission.cut += 1
            self._cut(inode, peer)
            return False
        victim = self.admission.arrived(inode, peer)
        if victim is None:
            return True
        if len(self._descriptor) > len(self.admission) + _LINGERING:
            self.sweep()
        self._cut(*victim)
        return victim[0] != inode

    def _cut(self, inode: int, peer: Peer) -> None:
        """Hang up for libzmq, which sees the end and closes."""
        self._crowded = True
        self._doors.tell_cut(peer)
        fd = self._descriptor.get(inode)
        if fd is None:
            return  # it has gone by itself
        with contextlib.suppress(OSError):
            # A duplicate is this connection for as long as we look; the number could be another's any moment.
            own = os.dup(fd)
            with socket.socket(fileno=own) as one:
                if os.fstat(own).st_ino == inode:
                    one.shutdown(socket.SHUT_RDWR)


def _allowed() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_FILES if soft == resource.RLIM_INFINITY else soft


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_FILES if hard == resource.RLIM_INFINITY else min(_MAX_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_known(fd: int) -> bool:
    """Whether libzmq's thread has put this descriptor into its epoll (proc_pid_fdinfo(5))."""
    line = re.compile(rf"^tfd:\s+{fd} ", re.MULTILINE)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}") != "anon_inode:[eventpoll]":  # noqa: PTH115
                continue
            if line.search(Path(f"/proc/self/fdinfo/{name}").read_text()):
                return True
    return False


def _inode(fd: int) -> int:
    """Of the file with this number; 0 when there is none."""
    try:
        return os.fstat(fd).st_ino
    except OSError:
        return 0


def _peer_of(fd: int) -> tuple[int, Peer | None]:
    """(inode, peer) of a connection; no peer when it is gone, or the number is another's by now."""
    try:
        facts = os.fstat(fd)
        if not stat.S_ISSOCK(facts.st_mode):
            return 0, None
        one = socket.socket(fileno=fd)
    except OSError:
        return 0, None
    try:
        if one.family == socket.AF_UNIX:
            credentials = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            pid, uid, _ = _CREDENTIALS.unpack(credentials)
            return facts.st_ino, Peer(uid, pid)
        return facts.st_ino, Peer(one.getpeername()[0])
    except OSError:
        return facts.st_ino, None
    finally:
        one.detach()


def _listen(endpoint: str) -> socket.socket:
    """A listening socket for ipc:// or tcp://. Raises OSError."""
    kind, _, where = endpoint.partition("://")
    if kind == "ipc":
        return _listen_at(where)
    host, _, port = where.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("" if host == "*" else host, 0 if port == "*" else int(port)))
        one.listen(_BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def _listen_at(path: str) -> socket.socket:
    """Takes the place of a socket that an earlier process left, and of nothing else."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        os.unlink(path)  # noqa: PTH108
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # A unix socket takes its mode from the umask: nobody but the owner, whatever the shell had set.
    before = os.umask(0o177)
    try:
        one.bind(path)
        one.listen(_BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    finally:
        os.umask(before)
    return one
