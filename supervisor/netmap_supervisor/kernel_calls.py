"""The system calls the daemon cannot do without: tried once, before anything is begun.

Containers run under a list of allowed calls (seccomp(2)) that may be older than a call. Without this each would show
somewhere else: as a traceback, or as a child that cannot be started, again and again.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import TYPE_CHECKING, NamedTuple

from netmap_actors.bus.timerfd import BoottimeTimer
from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["check_calls"]

_REFUSED = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EINVAL})
"""What a filter answers, and a kernel that is older than the call, or than the way it is used."""


class _Call(NamedTuple):
    name: str
    since: str
    """The first Linux that can do what is tried here."""
    attempt: Callable[[], object]
    """Raises OSError."""


def check_calls() -> None:
    """Raises ConfigurationError with the name of the first call that is refused, and the way out."""
    for call in _CALLS:
        try:
            call.attempt()
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            raise ConfigurationError(
                f"cannot run here: the system call {call.name} is refused ({os.strerror(error.errno)}); in a "
                "container its seccomp profile is too old: bring engine and libseccomp up to date, or allow the call "
                "in a profile of your own (docker and podman: --security-opt seccomp=FILE, or =unconfined). "
                f"Elsewhere Linux {call.since} is needed"
            ) from None


def _wait_for_it() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return  # we are no child of ours: the call works
    finally:
        os.close(pidfd)


def _signal_it() -> None:
    pidfd = os.pidfd_open(os.getpid())
    try:
        signal.pidfd_send_signal(pidfd, 0)
    finally:
        os.close(pidfd)


_CALLS = (
    _Call("epoll_create1", "2.6.27", lambda: select.epoll().close()),
    _Call("eventfd2", "2.6.27", lambda: os.close(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))),
    _Call("timerfd_create", "3.15", lambda: BoottimeTimer().close()),
    _Call("pidfd_open", "5.3", lambda: os.close(os.pidfd_open(os.getpid()))),
    _Call("pidfd_send_signal", "5.1", _signal_it),
    _Call("waitid", "5.4", _wait_for_it),
)
"""For the one wait of each process, for timers that run on in suspend, and to start, signal and bury children."""
