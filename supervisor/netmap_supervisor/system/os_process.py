"""One child as an operating system process: spawned, signalled and reaped by its pidfd.

A pid may be reused once its process is reaped; a pidfd still means that process (pidfd_open(2)). Not subprocess:
Popen and waitid(P_PIDFD) take the exit status from one another.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from netmap_supervisor.system.run_queue import RunQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

__all__ = [
    "MAX_BOOT",
    "ChildProcess",
    "Execution",
    "ExitStatus",
    "Started",
    "execute",
    "reap_stranger",
    "spawn",
]

MAX_BOOT = 60 * 1024
"""Bytes of a boot record: written before it is read, so it has to fit into a socket's buffer (socket(7))."""
_DEFAULTED = (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals whose handling a child does not inherit."""


class ExitStatus(msgspec.Struct, frozen=True):
    """The result of wait(2): one of the two."""

    status: int | None
    signal: int | None


class ChildProcess:
    """A running (or ended and not yet reaped) child."""

    def __init__(self, pid: int, pidfd: int, line: socket.socket, files: Sequence[int] = ()) -> None:
        """`files`: its /proc/PID/stat and schedstat, if somebody has opened them already."""
        self.pid = pid
        self.pidfd = pidfd
        """Readable once the process has ended."""
        self.line = line
        """The boot record went there; the child's messages about itself, with descriptors, come back."""
        self._run_queue = RunQueue()
        # Opened before it can make itself undumpable: after that its /proc may be hidden from us (hidepid, proc(5)).
        self._proc: list[int | None] = [
            *(files or (_opened(f"/proc/{pid}/{name}") for name in ("stat", "schedstat")))
        ]

    def waited(self, now: float) -> float:
        """Seconds it has waited for a processor until `now`, CLOCK_MONOTONIC; 0.0 where the kernel does not say."""
        stat, schedstat = map(_held, self._proc)
        return self._run_queue.waited(stat, schedstat, now)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if the process has ended."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return

    def wait(self) -> ExitStatus | None:
        """`reap`, once it has ended: it was sent SIGKILL."""
        return self.reap(os.WEXITED)

    def reap(self, how: int = os.WEXITED | os.WNOHANG) -> ExitStatus | None:
        """How it ended; None while it runs. Called again after that it would raise ChildProcessError."""
        ended = os.waitid(os.P_PIDFD, self.pidfd, how)
        if ended is None:
            return None
        self.line.close()
        for fd in (self.pidfd, *self._proc):
            if fd is not None:
                os.close(fd)
        self._proc = [None, None]
        if ended.si_code == os.CLD_EXITED:
            return ExitStatus(ended.si_status, None)
        return ExitStatus(None, ended.si_status)


class Execution(NamedTuple):
    """How a process is started: what it has of ours. `inherited` descriptors keep their numbers."""

    actor: str
    environment: Mapping[str, str]
    inherited: Sequence[int]
    """The first is its own end of the line its boot record comes through."""
    log_fd: int
    """Where what it prints goes."""


class Started(NamedTuple):
    """A new child of ours."""

    pid: int
    files: Sequence[int] = ()
    """As for ChildProcess."""


def execute(order: Execution) -> Started:
    """Start `python -P -m netmap_actors ACTOR`. Raises OSError."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, order.log_fd, 1),
        (os.POSIX_SPAWN_DUP2, order.log_fd, 2),
    ]
    # A dup onto itself takes close-on-exec away (posix_spawn(3)).
    actions += [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in order.inherited]
    argv = [sys.executable, "-P", "-m", "netmap_actors", order.actor, "--boot-fd", str(order.inherited[0])]
    pid = os.posix_spawn(
        sys.executable,
        argv,
        dict(order.environment),
        file_actions=actions,
        setsigdef=_DEFAULTED,
        setsigmask=(),
    )
    return Started(pid)


def spawn(
    actor: str,
    boot: bytes,
    *,
    environment: Mapping[str, str],
    inherited: Iterable[int],
    log_fd: int,
    start: Callable[[Execution], Started] = execute,
) -> ChildProcess:
    """Start the process of an actor, never by a fork of this process's memory. Raises OSError.

    `boot` goes through a pair of sockets, once it is known which process reads it. `start(order)`: a new child
    of ours. To be called from the thread that lives as long as the process: the child's parent-death signal is
    tied to it.
    """
    if len(boot) > MAX_BOOT:
        raise ValueError(
            f"cannot start {actor}: a boot record of {len(boot)} bytes does not fit into a socket"
        )
    line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with contextlib.ExitStack() as unless_started, theirs:
        unless_started.callback(line.close)
        line.setblocking(False)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MAX_BOOT)
        child = held_child(start(Execution(actor, environment, [theirs.fileno(), *inherited], log_fd)), line)
        # A process that was started too late for us reads nothing here, and ends.
        line.sendall(boot)
        line.shutdown(socket.SHUT_WR)
        unless_started.pop_all()
    return child


def held_child(started: Started, line: socket.socket) -> ChildProcess:
    """This new child of ours, to be watched; without descriptors for it there is no child. Raises OSError."""
    try:
        return ChildProcess(started.pid, os.pidfd_open(started.pid), line, started.files)
    except OSError:
        # No descriptor left: a child that cannot be watched must not live, or there would soon be two.
        os.kill(started.pid, signal.SIGKILL)
        os.waitpid(started.pid, 0)
        for fd in started.files:
            os.close(fd)
        raise


def reap_stranger(ours: AbstractSet[int]) -> bool:
    """Reap one child that has ended and is none of `ours`; whether there was one.

    Orphans become children of the first process of a namespace, and of a subreaper (prctl(2)); so do those of a shell
    that became this process (execve(2)). One of `ours` that comes first hides the others: call again after reaping it.
    """
    try:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if ended is None or ended.si_pid in ours:
            return False
        return os.waitpid(ended.si_pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return False


def _opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # not in this kernel, or no descriptor left: no wait is counted then


def _held(fd: int | None) -> bytes:
    try:
        return os.pread(fd, 4096, 0) if fd is not None else b""
    except OSError:
        return b""  # the process has just ended
