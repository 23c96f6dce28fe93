"""The lock that keeps a run's directories from another daemon while one of its children lives.

An open file description lock (fcntl_locking(2)): no other process can release it, and querying it takes nothing.
Not here: the daemon's own lock (`netmap_supervisor.system.single_instance`).
"""

from __future__ import annotations

import fcntl
import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_held", "take"]

# struct flock with 64 bits, as Python always uses: type, whence, start, len (0: to the end), pid.
_FLOCK = struct.Struct("hhqqi")


def take(path: str | os.PathLike[str]) -> int:
    """Take a shared lock on this file; its descriptor. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
    except OSError:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """Whether any process holds it; False without such a file, or on a file system without such locks."""
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
