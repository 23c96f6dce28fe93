"""The lock by which a child keeps its run's directories from another daemon, for as long as it lives.

An open file description lock (fcntl_locking(2)): nobody can release another's, and who wants to know asks the kernel
and takes nothing. Not here: the daemon's own lock (`netmap_supervisor.system.single_instance`).
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_held", "take"]

# struct flock: type, whence, start, len (0: to the end), pid. Python asks for the one with 64 bits everywhere.
_FLOCK = struct.Struct("hhqqi")


def take(path: str | os.PathLike[str]) -> int:
    """A shared lock on this file, on a description of its own; its descriptor. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """Whether anybody has it. False where there is no such file, or no such lock."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        return False
    finally:
        os.close(fd)
    kind: int = _FLOCK.unpack(found[: _FLOCK.size])[0]
    return kind != fcntl.F_UNLCK
