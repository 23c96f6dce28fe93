"""What a child gives up, and how it notices that its parent is gone: prctl(2), setrlimit(2), the life pipe."""

from __future__ import annotations

import ctypes
import os
import resource
import signal

__all__ = [
    "ParentGone",
    "die_with_parent",
    "forbid_core_dumps",
    "forbid_dump",
    "forbid_new_privileges",
    "limit_files",
    "limit_memory",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


class ParentGone(Exception):
    """The Supervisor ended before this child could tie itself to it."""


def _prctl(option: int, value: int, what: str) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for SIGKILL at the parent's death, then make sure that it still lives.

    In this order: a parent that dies between the two is noticed by one of them. The signal is tied to the
    parent's thread that spawned us (golang/go issue 27505); the Supervisor's main thread lives as long as it.
    Raises ParentGone.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, "tie this process to its parent")
    if os.getppid() != parent_pid:
        raise ParentGone(f"cannot start: the Supervisor (pid {parent_pid}) is gone")


def forbid_new_privileges() -> None:
    """No exec of this process or its children can gain privileges (PR_SET_NO_NEW_PRIVS)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "give up gaining privileges")


def forbid_core_dumps() -> None:
    """No core file: memory may hold keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_files(wanted: int) -> int:
    """Have `wanted` open files at most, and may have them if the machine lets us: both limits; what they are now."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    return limit


def limit_memory(wanted: int) -> None:
    """Bound the address space (bytes; 0: no bound): one that grows without end ends itself, not the machine."""
    if wanted <= 0:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def forbid_dump() -> None:
    """Neither ptrace nor /proc/PID/mem by others of the same user (PR_SET_DUMPABLE)."""
    _prctl(_PR_SET_DUMPABLE, 0, "make this process undumpable")
