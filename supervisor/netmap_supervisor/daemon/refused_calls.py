"""The system calls that were refused to the children: answered, counted and logged, at a bounded rate.

A child waits in its call until it is answered (seccomp_unotify(2)), so the rate is ours to bound: one that tries
without end stands still, sends no heartbeats and is replaced as any other that hangs. The answer is always EPERM.
"""

from __future__ import annotations

import array
import collections
import errno
import fcntl
import os
import select
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netmap_actors.confinement import seccomp_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netmap_actors.bus.loop import Loop

__all__ = ["Allowance", "RefusedCalls"]

BURST: Final = 64
"""Calls answered at once."""
PER_SECOND: Final = 20.0
"""Answered in the long run, of each process."""
MAX_LINES: Final = 16
"""Lines of log about one process; the rest is counted only."""
_MAX_MESSAGE: Final = 64

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
"""struct seccomp_notif: id, pid, flags; of its seccomp_data nr, arch, instruction pointer and arguments."""
_ANSWER = struct.Struct("=QqiI")
"""struct seccomp_notif_resp: id, value, negative errno, flags."""
_RECEIVE: Final = 0xC000_2100 | _NOTIFICATION.size << 16
_SEND: Final = 0xC000_2101 | _ANSWER.size << 16
_LISTENER: Final = "anon_inode:seccomp notify"


class Allowance:
    """A token bucket: BURST answers, and PER_SECOND more with time."""

    __slots__ = ("_left", "_since")

    def __init__(self, now: float) -> None:
        self._left = float(BURST)
        self._since = now

    def take(self, now: float) -> bool:
        """One answer; False when there is none left."""
        self._left = min(float(BURST), self._left + max(0.0, now - self._since) * PER_SECOND)
        self._since = max(now, self._since)
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def next(self) -> float:
        """When there is one again, after `take` said no."""
        return self._since + (1.0 - self._left) / PER_SECOND


class _Process:
    """One child's process, its line and, once it is filtered, its listener."""

    def __init__(self, actor: str, generation: int, line: socket.socket, now: float) -> None:
        self.actor = actor
        self.generation = generation
        self.line = line
        self.listener = -1
        self.how: str | None = None
        self.logged: set[str] = set()
        self.allowance = Allowance(now)


class RefusedCalls:
    """Refused system calls of every process of this run, and how each is filtered."""

    def __init__(self, loop: Loop, on_first: Callable[[str, int, str], object]) -> None:
        """`on_first(actor, generation, call)`: this process was refused this call, for the first time."""
        self._loop = loop
        self._on_first = on_first
        self._processes: dict[str, _Process] = {}
        self._counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)

    def expect(self, actor: str, generation: int, line: socket.socket) -> None:
        """A new process of this actor, which will report over its line how it is filtered."""
        self.forget(actor)
        process = _Process(actor, generation, line, self._loop.now())
        self._processes[actor] = process
        self._loop.watch(line.fileno(), lambda: self._on_line(process))

    def forget(self, actor: str) -> None:
        """Its process is to be reaped, its line to be closed."""
        process = self._processes.pop(actor, None)
        if process is not None:
            self._unwatch_line(process)
            self._close(process)

    def counts(self) -> dict[str, dict[str, int]]:
        """Refused calls of the run, by actor and name of call."""
        return {actor: dict(counted) for actor, counted in self._counts.items()}

    def filtered(self) -> Mapping[str, str | None]:
        """`counted`, `refused` or `off` by actor; None: not up yet."""
        return {actor: process.how for actor, process in self._processes.items()}

    def close(self) -> None:
        for actor in list(self._processes):
            self.forget(actor)

    def _on_line(self, process: _Process) -> None:
        """The one message of a process on its line, once it is up, and its listener; or its end."""
        self._unwatch_line(process)
        descriptors = array.array("i")
        try:
            # Close-on-exec from the first moment: with it another child could answer for us, and let calls pass.
            data, ancillary, _, _ = process.line.recvmsg(
                _MAX_MESSAGE, socket.CMSG_SPACE(descriptors.itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        for fd in descriptors:
            if process.listener < 0 and _is_listener(fd):
                process.listener = fd
                self._loop.watch(fd, lambda: self._on_refused(process))
            else:
                os.close(fd)
        process.how = "counted" if process.listener >= 0 else "refused" if data == b"refused" else "off"

    def _unwatch_line(self, process: _Process) -> None:
        if process.line.fileno() >= 0:
            self._loop.unwatch(process.line.fileno())

    def _on_refused(self, process: _Process) -> None:
        fd = process.listener
        state = _state(fd)
        if not state & select.POLLIN:
            if state & (select.POLLHUP | select.POLLERR):
                self._close(process)  # every thread has ended
            return
        now = self._loop.now()
        if not process.allowance.take(now):
            self._loop.unwatch(fd)
            self._loop.at(process.allowance.next(), lambda: self._again(process))
            return
        name = _answer(fd)
        if name is None:
            return  # the caller was ended or interrupted meanwhile
        self._counts[process.actor][name] += 1
        if name not in process.logged and len(process.logged) < MAX_LINES:
            process.logged.add(name)
            self._on_first(process.actor, process.generation, name)

    def _again(self, process: _Process) -> None:
        if process.listener >= 0:
            self._loop.watch(process.listener, lambda: self._on_refused(process))

    def _close(self, process: _Process) -> None:
        fd, process.listener = process.listener, -1
        if fd >= 0:
            self._loop.unwatch(fd)
            os.close(fd)


def _is_listener(fd: int) -> bool:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink()) == _LISTENER
    except OSError:
        return False


def _state(fd: int) -> int:
    """Now: a request that was withdrawn since the wait would have to be waited for."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return next((state for _, state in poll.poll(0)), 0)


def _answer(fd: int) -> str | None:
    """Refuse the call that waits; its name. None when none waits any more."""
    try:
        notification = bytearray(_NOTIFICATION.size)
        fcntl.ioctl(fd, _RECEIVE, notification)
        token, _, _, number, architecture, *_ = _NOTIFICATION.unpack(notification)
        fcntl.ioctl(fd, _SEND, bytearray(_ANSWER.pack(token, 0, -errno.EPERM, 0)))
    except OSError:
        # ENOENT: it was ended or interrupted meanwhile. Whatever it is, it is asked again, and at a bounded rate.
        return None
    return _name(number, architecture)


def _name(number: int, audit: int) -> str:
    for architecture in (seccomp_calls.X86_64, seccomp_calls.AARCH64):
        if architecture.audit == audit:
            return architecture.names.get(number, "unknown")
    return "unknown"
