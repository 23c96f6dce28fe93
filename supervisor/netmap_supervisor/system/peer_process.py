"""The process at the other end of a unix socket: whether it lives, and whose child it is."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["descends_from", "has_ended", "parent_of"]

_SO_PEERPIDFD = 77
"""From Linux 6.5 on; another number only on machines the daemon does not know (asm/socket.h)."""
_DEEPEST = 64
"""Ancestors that are looked at: more than any process of ours has."""


def has_ended(connection: socket.socket, pid: int) -> bool:
    """Whether the process that connected, with this pid, has ended: its parents are lost then, its pid may be reused.

    A process that has passed its connection on and ended counts as ended.
    """
    if pid <= 0:
        return False  # of a PID namespace that we do not see into
    try:
        pidfd = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            return True
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return True
    try:
        ended = select.poll()
        ended.register(pidfd, select.POLLIN)
        return bool(ended.poll(0))
    finally:
        os.close(pidfd)


def parent_of(pid: int) -> int:
    """Its parent's pid (proc_pid_stat(5)); 0 when it has none that we can see, or has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before it may hold anything, also brackets and spaces.
            return int(file.read(4096).rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def descends_from(children: Callable[[], Collection[int]]) -> Callable[[int], bool]:
    """Says of a pid whether it is one of these processes, was started by one, or was started by this process.

    An orphan becomes a child of its namespace's init, and its origin is lost. If this process is that init, it is the
    parent of every orphan: then only `children()` count.
    """
    own = os.getpid()

    def descends(pid: int) -> bool:
        ours = set(children()) if own == 1 else {own, *children()}
        if pid == own:
            return False
        for _ in range(_DEEPEST):
            if pid <= 1:
                return pid in ours
            if pid in ours:
                return True
            pid = parent_of(pid)
        return True

    return descends
