"""System calls and files without which the daemon cannot run, each tried once before anything is started.

Containers and units run under a list of allowed system calls (seccomp(2)), which may be older or narrower than the
daemon needs, and a custom root may lack /dev or /proc. Later that would show as a traceback, an abort of libzmq or a
child that cannot be started. Not here: calls that only give up privileges (Landlock, capabilities), without which the
daemon runs and says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from netmap_actors.bus.timerfd import BoottimeTimer
from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_machine"]

_REFUSED: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS})
"""Errors of a filter, and of a kernel without the call."""
_libc = ctypes.CDLL(None, use_errno=True)


class _Call(NamedTuple):
    name: str
    since: str
    """The first Linux that can do what is tried here."""
    attempt: Callable[[], object]
    """Raises OSError."""
    refused: frozenset[int] = _REFUSED
    """Errors that mean it is refused; any other comes from its arguments, and the call is there."""


def check_machine() -> None:
    """Raises ConfigurationError with the first thing that is missing or refused, and the remedy."""
    _check_files()
    for call in _CALLS:
        try:
            call.attempt()
        except OSError as error:
            if error.errno not in call.refused:
                continue
            raise ConfigurationError(
                f"cannot run here: the system call {call.name} is refused ({os.strerror(error.errno)}); in a "
                "container its seccomp profile is too old: bring engine and libseccomp up to date, or allow the call "
                "in a profile of your own (docker and podman: --security-opt seccomp=FILE, or =unconfined); in a unit "
                f"SystemCallFilter= has to allow it. Elsewhere Linux {call.since} is needed"
            ) from None


def _check_files() -> None:
    try:
        os.close(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise ConfigurationError(
            f"cannot run here: {os.devnull} cannot be used ({error.strerror}); give this root a /dev that has it: "
            "`mknod -m 666 /dev/null c 1 3`"
        ) from None
    if not Path("/proc/self/fd").is_dir():
        raise ConfigurationError(
            "cannot run here: there is no /proc, where processes are looked up; mount it: `mount -t proc proc /proc`"
        )


def _set_timer() -> None:
    """With a valid time, because a preloaded library such as faketime(1) reads it."""
    timer = BoottimeTimer()
    try:
        timer.set(1e9)
    finally:
        timer.close()


def _wait_for_it() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return  # not our own child: the call works
    finally:
        os.close(pidfd)


def _signal_it() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        signal.pidfd_send_signal(pidfd, 0)
    finally:
        os.close(pidfd)


def _asked(name: str, *arguments: object) -> Callable[[], object]:
    """A call of the C library's function without effect, with these arguments. Raises OSError."""

    def attempt() -> None:
        if getattr(_libc, name)(*arguments) == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return attempt


# An older kernel does not know the flags, or the clock (EINVAL).
_OLD: Final = _REFUSED | {errno.EINVAL}
_NO_DESCRIPTOR, _NO_PATH = -1, b""
_ON_DESCRIPTORS: Final = (
    "dup2 ioctl epoll_ctl epoll_wait fchmod fsync ftruncate flock bind listen connect accept4 shutdown "
    "getsockname getpeername getsockopt setsockopt sendto sendmsg recvfrom"
)
_ON_PATHS: Final = "unlink chmod mkdir"
"""With a mode of no bits: RestrictSUIDSGID= and RestrictRealtime= of systemd look at what a call is to do."""
_CALLS: Final = (
    _Call("epoll_create1", "2.6.27", lambda: select.epoll().close(), _OLD),
    _Call("eventfd2", "2.6.27", lambda: os.close(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)), _OLD),
    _Call("timerfd_create", "3.15", lambda: BoottimeTimer().close(), _OLD),
    _Call("timerfd_settime", "2.6.25", _set_timer),
    _Call("pidfd_open", "5.3", lambda: os.close(os.pidfd_open(os.getpid())), _OLD),
    _Call("pidfd_send_signal", "5.1", _signal_it, _OLD),
    _Call("waitid", "5.4", _wait_for_it, _OLD),
    # libzmq sets what each of its threads has, and aborts where it may not (src/thread.cpp).
    _Call("sched_setscheduler", "2.6.28", _asked("sched_setscheduler", 0, os.SCHED_OTHER, None)),
    _Call("sched_getscheduler", "2.6.28", _asked("sched_getscheduler", 0)),
    _Call("sched_getparam", "2.6.28", _asked("sched_getparam", 0, None)),
    _Call("prctl", "2.6.28", _asked("prctl", 3, 0, 0, 0, 0)),
    _Call("prlimit64", "2.6.36", _asked("prlimit", 0, 0, None, None)),
    _Call("poll", "2.6.28", _asked("poll", None, 0, 0)),
    _Call("rt_sigprocmask", "2.6.28", _asked("sigprocmask", 0, None, None)),
    _Call("pipe2", "2.6.28", _asked("pipe2", None, -1)),
    _Call("socket", "2.6.28", _asked("socket", -1, 0, 0)),
    _Call("socketpair", "2.6.28", _asked("socketpair", -1, 0, 0, None)),
    _Call("pwrite64", "2.6.28", _asked("pwrite", _NO_DESCRIPTOR, None, 0, 0)),
    *(_Call(name, "2.6.28", _asked(name, _NO_DESCRIPTOR, 0, 0, 0, 0, 0)) for name in _ON_DESCRIPTORS.split()),
    _Call("rename", "2.6.28", _asked("rename", _NO_PATH, _NO_PATH)),
    *(_Call(name, "2.6.28", _asked(name, _NO_PATH, 0)) for name in _ON_PATHS.split()),
)
"""For the event loop, for timers that run on in suspend, to start, signal and reap children, for libzmq and files."""
