"""Atomic, durable files: written aside, fsynced, renamed. Mode 0600.

Not here: their formats (`registration.node_file`, `registration.record`, `dev_control.registration.store`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_STATE_FILE", "read_state_file", "write_state_file"]

MAX_STATE_FILE = 64 * 1024
"""Bytes of a state file by default; a node's have about two thousand."""


def read_state_file(path: Path, limit: int = MAX_STATE_FILE) -> bytes | None:
    """The content, at most `limit` bytes, or None when there is no such file.

    Raises ConfigurationError for one that cannot be read: taken for absent, it would be replaced by another node.
    """
    try:
        # A pipe or a device of that name must not block.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _not_ours(
                path, "a link" if error.errno == errno.ELOOP else "a socket or a device"
            ) from None
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; make it readable for this user, or move it away"
        ) from None
    found = os.fstat(descriptor)
    mode = found.st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _not_ours(path, "a directory" if stat.S_ISDIR(mode) else "a pipe or a device")
    try:
        with open(descriptor, "rb") as file:
            if mode & (stat.S_IRWXG | stat.S_IRWXO) and found.st_uid == os.geteuid():
                # It holds secrets; a restored backup may have another mode.
                os.fchmod(descriptor, 0o600)
            # Not a buffer of `limit` bytes.
            data = file.read(min(found.st_size, limit) + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; look at the disk") from None
    if len(data) > limit:
        raise ConfigurationError(
            f"cannot read {path}: it has more than {limit} bytes; it is not ours, move it away"
        )
    return data


def _not_ours(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"cannot read {path}: it is {what}, not a file; put the file back, or move that away"
    )


def write_state_file(path: Path, data: bytes) -> None:
    """Replace the file, durably. Raises OSError; the old content is then still there."""
    aside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) != 0o600:
                # The umask removed rights of the owner. A confined process has no such umask, and may not call this.
                os.fchmod(descriptor, 0o600)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
