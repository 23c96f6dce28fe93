"""Small private files of one directory, each for one name, that a process reads again when they change.

Not here: what they hold (`curve_keys`, `access_tokens`).
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from pathlib import Path
from typing import Final

from netmap_actors.errors import ConfigurationError

__all__ = ["NAME_RULE", "NamedFiles", "make_private", "read_regular", "write_new"]

NAME_RULE: Final = "letters, digits, '.', '_' and '-' are allowed, 64 at most"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_MAX_FILE = 4096


class NamedFiles:
    """The files <name><suffix> of a directory, 0600 in 0700, which need not be there."""

    def __init__(self, directory: Path, suffix: str) -> None:
        self._directory = directory
        self._suffix = suffix
        self._seen: tuple[tuple[str, int, int, int, int], ...] | None = None

    def changed(self) -> list[Path] | None:
        """The files by name; None: they are as at the last call. Raises OSError when the directory cannot be read."""
        # By names: a request is answered after this, and paths of thousands of files take a quarter of a second.
        found: list[tuple[str, os.stat_result]] = []
        try:
            with os.scandir(self._directory) as entries:
                names = sorted(entry.name for entry in entries)
        except FileNotFoundError:
            names = []
        for name in names:
            # Editors leave locks and copies beside a file.
            if not name.endswith(self._suffix) or not _NAME.fullmatch(name.removesuffix(self._suffix)):
                continue
            path = f"{self._directory}/{name}"
            try:
                found.append((name, os.stat(path)))  # noqa: PTH116
            except FileNotFoundError:
                continue  # gone since, or a link to nowhere
            except OSError:
                # A link in a circle, or through a place that is closed: who reads it says so.
                with contextlib.suppress(FileNotFoundError):
                    found.append((name, os.lstat(path)))
        seen = tuple((name, s.st_mtime_ns, s.st_ctime_ns, s.st_size, s.st_ino) for name, s in found)
        if seen == self._seen:
            return None
        self._seen = seen
        return [self._directory / name for name, _ in found]

    def path(self, name: str) -> Path | None:
        """Where the file of this name is or would be; None: it cannot be a name."""
        return self._directory / f"{name}{self._suffix}" if _NAME.fullmatch(name) else None

    def add(self, path: Path, text: str) -> None:
        """Write the file, at once as a whole: another process may read at any moment. Raises OSError."""
        import tempfile  # noqa: PLC0415

        make_private(self._directory)
        fd, temporary = tempfile.mkstemp(dir=self._directory, prefix=".new-")
        write_new(fd, text, Path(temporary))
        Path(temporary).replace(path)


def make_private(directory: Path) -> None:
    """Make the directory and its missing parents with mode 0700, which Path.mkdir does not give parents."""
    missing = [place for place in (directory, *directory.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)


def write_new(fd: int, text: str, path: Path) -> None:
    """Write a new file durably and close it; on failure it is removed. Raises OSError."""
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def read_regular(path: Path, what: str) -> str:
    """A small regular file; `what` it holds, for the error. Raises OSError, ConfigurationError."""
    # A pipe or a device under that name must not block.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ConfigurationError(f"cannot use {what} {path}: it is no regular file; put the file back")
    with os.fdopen(fd, "rb") as file:
        return file.read(_MAX_FILE).decode("ascii", "replace")
