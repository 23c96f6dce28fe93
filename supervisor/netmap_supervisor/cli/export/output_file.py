"""A file that others read while we write it: they see the old content or the new one, never a part.

A new file takes the place of the old one (rename(2)). A symbolic link is refused: taking its place would leave its
target out of date, and following it could overwrite another user's file; /dev/null and its like are refused for the
same reason. Only a file that is mounted by itself is written in place: it cannot be replaced (rename(2): EBUSY).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from netmap_supervisor.admin.commands import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["OutputFile"]

NEW_MODE = 0o644
"""Of a file that was not there, less the umask."""
_NO_RIGHTS_YET = 0o600


class OutputFile:
    """One such file, at an absolute path."""

    def __init__(self, path: Path, warn: Callable[[str], object] = lambda _: None) -> None:
        """`warn` is called once if readers may see a part."""
        self.path = path
        self._warn = warn
        self._warned = False

    def check(self) -> None:
        """Raises CommandFailed if it is known by now that it cannot be written; nothing is changed."""
        try:
            old = self._look()
            if old is None or not _is_mounted(self.path):
                temporary, descriptor = self._aside(_NO_RIGHTS_YET)
                os.close(descriptor)
                temporary.unlink()
        except OSError as error:
            raise CommandFailed(f"cannot write {self.path}: {_why(error, self.path)}") from None

    def update(
        self,
        data: bytes,
        same: Callable[[bytes, bytes], bool],
        succeeding: Callable[[bytes, bytes], bytes] = lambda _, new: new,
    ) -> bool:
        """Write it if `same(old, new)` does not hold; whether it was written.

        `succeeding(old, new)`: what to write instead of `data` in the place of an old content.

        The mode of the old file is kept, and its owner where we may give files away. Raises CommandFailed, and then
        the old file is as it was and nothing else is left, unless the disk fails under a file that is written in place,
        after its space was reserved.
        """
        try:
            old = self._look()
            if old is not None:
                content = self.path.read_bytes()
                if same(content, data):
                    return False
                data = succeeding(content, data)
            if old is not None and _is_mounted(self.path):
                self._write_in_place(data)
            else:
                self._replace(data, old)
        except OSError as error:
            raise CommandFailed(f"cannot write {self.path}: {_why(error, self.path)}") from None
        return True

    def _look(self) -> os.stat_result | None:
        """What is there now; None for nothing. Raises CommandFailed for what is not to be replaced."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            raise CommandFailed(f"cannot write {self.path}: it is a symbolic link; name the file it leads to")
        if not stat.S_ISREG(found.st_mode):
            raise CommandFailed(f"cannot write {self.path}: it is no regular file; name another one")
        return found

    def _aside(self, mode: int) -> tuple[Path, int]:
        """A new file beside it, and the descriptor to write it."""
        # A dot and another suffix: programs that read all files of the directory skip it.
        temporary = self.path.with_name(f".netmap-export-{secrets.token_hex(8)}.tmp")
        return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)

    def _replace(self, data: bytes, old: os.stat_result | None) -> None:
        temporary, descriptor = self._aside(NEW_MODE if old is None else _NO_RIGHTS_YET)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                if old is not None:
                    _like(old, descriptor)
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                # Before the rename: after a power cut there must not be an empty file under the name.
                os.fsync(descriptor)
            temporary.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        self._settle()

    def _write_in_place(self, data: bytes) -> None:
        if not self._warned:
            self._warned = True
            self._warn(
                f"{self.path} is mounted by itself and written in place: who reads meanwhile sees a part; mount its "
                "directory instead"
            )
        with open(self.path, "r+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                # Reserve the space before any of the old content is lost.
                if data:
                    os.posix_fallocate(file.fileno(), 0, len(data))
            except OSError:
                file.truncate(size)
                raise
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            file.truncate(len(data))
            os.fsync(file.fileno())

    def _settle(self) -> None:
        """Sync the directory, that the new name survives a power cut; some file systems cannot."""
        with contextlib.suppress(OSError):
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


def _is_mounted(path: Path) -> bool:
    """Whether it is a mount of its own (proc(5), fdinfo: mnt_id), and not what its directory holds."""
    return _mount_of(path) != _mount_of(path.parent)


def _mount_of(path: Path) -> str:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:
            return next((line for line in lines if line.startswith("mnt_id:")), "")
    except OSError:
        return ""  # no /proc: taken for a file like any other
    finally:
        os.close(fd)


def _like(old: os.stat_result, descriptor: int) -> None:
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        # Not root, and another user's file in our directory: it becomes ours.
        with contextlib.suppress(PermissionError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & 0o777)


def _why(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        if path.parent.is_dir():
            return f"no file can be made in {path.parent}; name another directory"
        return f"there is no directory {path.parent}; make it first"
    return error.strerror or str(error)
