"""Names of unix sockets in the file system, which stay behind when their listener ends."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["is_free", "remove_abandoned"]


def is_free(path: Path) -> bool:
    """Whether a socket may be bound here: nothing is there, or a socket without a listener."""
    return _is_abandoned(path) if path.is_socket() else not path.exists()


def remove_abandoned(paths: Iterable[Path]) -> None:
    """Remove sockets without a listener, and nothing else."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_socket() and _is_abandoned(path):
                path.unlink()


def _is_abandoned(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) == errno.ECONNREFUSED
