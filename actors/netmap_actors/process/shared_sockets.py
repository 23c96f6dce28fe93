"""Unix sockets for other programs: their owner's alone, or shared with one group."""

from __future__ import annotations

import errno
import grp
import os
import stat
from pathlib import Path

from netmap_actors.errors import ConfigurationError

__all__ = ["prepare", "share"]


def prepare(directory: Path, group_name: str) -> None:
    """Make the directory: 0700, or 0750 for the group. Raises ConfigurationError."""
    directory.mkdir(mode=0o700, exist_ok=True)
    group = _group(group_name)
    if group is None:
        _set_mode(directory, 0o700)
        return
    try:
        os.chown(directory, -1, group)
        # The group has to get there, too, but needs to see nothing else of the runtime directory.
        parent = directory.parent
        os.chown(parent, -1, group)
        parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXGRP)
    except OSError as error:
        # A group that a user namespace does not have cannot even be named there (user_namespaces(7)).
        way = (
            f"this process runs in a user namespace without it: under systemd with PrivateUsers=yes, write "
            f"Group={group_name} into the unit"
            if error.errno == errno.EINVAL
            else f"{error.strerror}; name a group that the daemon's user is a member of"
        )
        raise ConfigurationError(f"cannot give {directory} to group {group_name!r}: {way}") from None
    directory.chmod(0o750)


def share(group_name: str, *endpoints: str) -> None:
    """Let the group connect, which needs the right to write to the socket (unix(7)). Raises ConfigurationError.

    `endpoints`: paths, or ZeroMQ's ipc:// endpoints.
    """
    group = _group(group_name)
    if group is None:
        return
    for endpoint in endpoints:
        path = Path(endpoint.removeprefix("ipc://"))
        os.chown(path, -1, group)
        path.chmod(0o660)


def _set_mode(directory: Path, mode: int) -> None:
    """By a descriptor: without a group, no process of the run has to change modes by name."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def _group(name: str) -> int | None:
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ConfigurationError(
            f"cannot give the subscribers' sockets to group {name!r}: there is none; create it, or name another"
        ) from None
