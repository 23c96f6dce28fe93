"""Files that are either whole or not there: written aside, fsynced, renamed. Mode 0600.

Not here: their formats (`node_file`, `registration`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from netmap_actors.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_STATE_FILE", "read_state_file", "write_state_file"]

MAX_STATE_FILE = 64 * 1024
"""Bytes of a state file; ours have about two thousand."""


def read_state_file(path: Path) -> bytes | None:
    """The content, or None when there is no such file.

    Raises ConfigurationError for one that is there and cannot be read: it is never taken for absent, because what
    takes its place would be another node.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; make it readable for this user, or move it away"
        ) from None
    try:
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(MAX_STATE_FILE + 1)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}; look at the disk") from None
    if len(data) > MAX_STATE_FILE:
        raise ConfigurationError(
            f"cannot read {path}: it has more than {MAX_STATE_FILE} bytes; it is not ours, move it away"
        )
    return data


def write_state_file(path: Path, data: bytes) -> None:
    """Replace the file, durably. Raises OSError; the old content is then still there."""
    aside = path.with_name(f".{path.name}.new")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
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
