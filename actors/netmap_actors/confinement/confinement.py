"""What a process gives up, in one order, and how it notices that its parent is gone: prctl(2), setrlimit(2).

Not here: what a process needs (`permissions`).
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
from typing import TYPE_CHECKING

from netmap_actors.confinement import capabilities, landlock
from netmap_actors.confinement.permissions import for_interpreter

if TYPE_CHECKING:
    from netmap_actors.confinement.permissions import Permissions, Row

__all__ = [
    "ParentGone",
    "adopt_orphans",
    "bound_files",
    "bound_memory",
    "confine",
    "die_with_parent",
    "forbid_dump",
    "forbid_new_privileges",
    "limit_files",
    "limit_memory",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
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


def adopt_orphans() -> None:
    """Be the parent of every process that a descendant leaves behind; descendants do not inherit it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, "become the parent of orphans")


def forbid_new_privileges() -> None:
    """No exec of this process or its children can gain privileges (PR_SET_NO_NEW_PRIVS)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, "give up gaining privileges")


def forbid_dump() -> None:
    """No core file, and neither ptrace nor /proc/PID/mem by others of the same user (PR_SET_DUMPABLE): memory may hold
    keys. It holds until the next exec, so every process does it for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0, "make this process undumpable")


def confine(row: Row, allowed: Permissions, *, signals_kept: bool = False) -> dict[str, int]:
    """Give up everything that is not allowed, for good; returns what status shows of it. Raises OSError.

    `signals_kept`: as for `landlock.enforce`.

    To be called before another thread is started: Landlock and capabilities are each thread's own.
    Not limited: processes (RLIMIT_NPROC counts those of the user, other programs' included) and locked memory, which
    keeps libsodium's keys out of the swap.
    """
    forbid_new_privileges()
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    # Where our own output is a file, as in a start by hand, the log has to grow.
    if row.max_file_size is not None and not stat.S_ISREG(os.fstat(2).st_mode):
        _lower(resource.RLIMIT_FSIZE, row.max_file_size)
    kept = capabilities.keep_only(allowed.capabilities | for_interpreter(), for_children=row.executes)
    return {"landlock": landlock.enforce(allowed, signals_kept=signals_kept), "capabilities": len(kept)}


def limit_files(wanted: int) -> int:
    """Have `wanted` open files at most, and may have them if the machine lets us: both limits; what they are now."""
    return _lower(resource.RLIMIT_NOFILE, wanted)


def limit_memory(wanted: int) -> None:
    """Bound the address space (bytes; 0: no bound): one that grows without end ends itself, not the machine."""
    if wanted > 0:
        _lower(resource.RLIMIT_AS, wanted)


def bound_memory(wanted: int, *, most: int) -> None:
    """Have `wanted` bytes of address space; `most` is what this process's children may be given."""
    hard = _lower(resource.RLIMIT_AS, most)
    resource.setrlimit(resource.RLIMIT_AS, (min(wanted, hard), hard))


def bound_files(wanted: int) -> None:
    """Have `wanted` open files at most, and leave to this process's children what they may be given."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _lower(kind: int, wanted: int) -> int:
    """Both limits; what they are now: a hard limit is only ever lowered."""
    _, hard = resource.getrlimit(kind)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (limit, limit))
    return limit
