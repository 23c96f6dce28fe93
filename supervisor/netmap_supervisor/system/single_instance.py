"""The directories of a run and their locks: one daemon each, until its last process is gone.

The daemon holds the one lock of a directory (flock(2)), whose descriptor no child has. Each child takes a shared lock
of its own on another file beside it: a directory is free only when no process of the old run is left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
import pwd
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from netmap_actors import child_lock
from netmap_actors.errors import ConfigurationError, NetmapError
from netmap_actors.runtime_paths import MAX_SOCKET_PATH

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AlreadyRunning", "Claim", "check_private", "check_socket_path", "hidden", "is_locked"]

LOCK_NAME = "lock"
CHILDREN_NAME = "lock.children"
RUN_PREFIX = "r-"
_RUN_NAME = r"r-[0-9a-f]{8}"
_NAME_ROOM = 64
_LONGEST = len("/r-xxxxxxxx/control_connection.sock")
TOUCH_INTERVAL = 3600.0
"""Seconds."""
WAIT = 3.0
"""Seconds a new run waits for the last process of an old one."""

_OPTIONS = "--state-dir or --runtime-dir"
_FIND_IT = "`netmap-supervisor status` shows it, `netmap-supervisor stop` ends it"
_FIND_IT_ELSEWHERE = (
    "its runtime directory is another: `netmap-supervisor stop --runtime-dir DIR` ends it; or choose another "
    "--state-dir"
)


class AlreadyRunning(NetmapError):
    """Another daemon holds the directory."""


class Claim:
    """State and runtime directory, made, checked and locked."""

    def __init__(self, state_dir: Path, runtime_dir: Path, wait: Callable[[float], None]) -> None:
        """`wait(seconds)` passes time between two tries. Raises ConfigurationError or AlreadyRunning."""
        check_socket_path(runtime_dir)
        self.locks: list[int] = []
        """Descriptors that are this process's alone."""
        self.shared: list[Path] = []
        """Files that every child locks for itself (`child_lock`)."""
        self._runtime_dir = runtime_dir
        self._run_dir: Path | None = None
        self._touched = -math.inf
        try:
            for directory in dict.fromkeys((runtime_dir, state_dir)):
                make_private(directory)
                advice = _FIND_IT if directory == runtime_dir else _FIND_IT_ELSEWHERE
                self.locks.append(_lock(directory, wait, advice))
                self.shared.append(directory / CHILDREN_NAME)
            self._run_dir = _make_run_dir(runtime_dir, self.locks[0])
            _try_socket(self._run_dir)
        except BaseException:
            self.release()
            raise

    @property
    def run_dir(self) -> Path:
        """Fresh, 0700: the sockets between the processes of this run."""
        assert self._run_dir is not None, "the claim is made"
        return self._run_dir

    def lost(self, now: float) -> bool:
        """Whether the runtime directory was removed, and with it the sockets. `now` is in seconds.

        logind does that to /run/user/UID when the user's last login ends. What is not touched for long may be swept
        away, too (XDG Base Directory Specification: six hours), which this prevents.
        """
        ours = os.fstat(self.locks[0])
        try:
            found = (self._runtime_dir / LOCK_NAME).stat()
            self.run_dir.stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # it is not known
        if now - self._touched >= TOUCH_INTERVAL:
            self._touched = now
            # A disk that takes nothing any more is not swept either.
            with contextlib.suppress(OSError):
                for lock in self.locks:
                    os.utime(lock)
        return not os.path.samestat(found, ours)

    def release(self) -> None:
        """Release this process's locks, and remove this run's sockets."""
        if self._run_dir is not None:
            _remove(self._run_dir)
        for lock in self.locks:
            os.close(lock)
        self.locks.clear()


def check_socket_path(runtime_dir: Path) -> None:
    """Raises ConfigurationError when sockets below it would have too long a name."""
    length = len(os.fsencode(runtime_dir)) + _LONGEST
    if length > MAX_SOCKET_PATH:
        raise ConfigurationError(
            f"cannot use the runtime directory {runtime_dir}: its sockets' paths would have {length} bytes, and "
            f"{MAX_SOCKET_PATH} is the most a unix socket can have; choose a shorter --runtime-dir"
        )


def make_private(directory: Path) -> None:
    """Make it (0700) if it is missing; refuse one that is not ours or that others may write to."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        place = Path(error.filename or directory)
        advice = _give_us(_nearest(place)) if isinstance(error, PermissionError) else ""
        raise ConfigurationError(
            f"cannot use the directory {place}: {error.strerror}; choose another with {_OPTIONS}{advice}"
        ) from None
    _check_private(directory, found)


def check_private(directory: Path) -> None:
    """Refuse what `make_private` would, of a directory that is there; make nothing."""
    try:
        found = directory.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the directory {directory}: {error.strerror}; choose another with {_OPTIONS}"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigurationError(
            f"cannot use the directory {directory}: {os.strerror(errno.EEXIST)}; choose another with {_OPTIONS}"
        )
    _check_private(directory, found)


def _check_private(directory: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise ConfigurationError(
            f"cannot use the directory {directory}: it belongs to user {found.st_uid}, not to us ({os.geteuid()}); "
            f"choose another with {_OPTIONS}{_give_us(directory)}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        # One like /tmp is everybody's, and its mode must stay.
        advice = (
            "choose another, such as one inside it"
            if mode & stat.S_ISVTX
            else "chmod 0700 it, or choose another"
        )
        raise ConfigurationError(
            f"cannot use the directory {directory}: others may write to it (mode {mode:04o}); {advice}"
        )


def _give_us(directory: Path) -> str:
    """For a volume, say, which a container engine makes as root's."""
    return f", or give us this one, as root: `chown {os.geteuid()}:{os.getegid()} {directory}`"


def _nearest(directory: Path) -> Path:
    """The nearest existing one of it and its parents."""
    return next((one for one in (directory, *directory.parents) if one.is_dir()), directory)


def _remove(run_dir: Path) -> None:
    import shutil  # noqa: PLC0415  # which loads three compressors

    shutil.rmtree(run_dir, ignore_errors=True)


def _make_run_dir(runtime_dir: Path, lock: int) -> Path:
    """Make a directory for the sockets of this run, and remove that of the last one, if it was killed.

    The lock file holds its name. Anything else there is left alone, whatever its name.
    """
    last = os.pread(lock, _NAME_ROOM, 0).decode("ascii", "replace").strip()
    if re.fullmatch(_RUN_NAME, last):
        _remove(runtime_dir / last)
    while True:
        made = runtime_dir / f"{RUN_PREFIX}{os.urandom(4).hex()}"
        try:
            # Noted first: a run that is killed in between leaves no unknown directory behind.
            if not made.exists():
                os.ftruncate(lock, 0)
                os.pwrite(lock, f"{made.name}\n".encode("ascii"), 0)
                made.mkdir(mode=0o700)
                return made
        except FileExistsError:
            continue
        except OSError as error:
            raise ConfigurationError(
                f"cannot write to the directory {runtime_dir}: {error.strerror}; choose another --runtime-dir, or "
                "make room"
            ) from None


def _try_socket(run_dir: Path) -> None:
    """Not every file system takes sockets: those that a virtual machine shares with its host, SMB, vfat."""
    path = run_dir / "trial.sock"
    try:
        with socket.socket(socket.AF_UNIX) as trial:
            trial.bind(str(path))
        path.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"cannot make a socket in the directory {run_dir.parent}: {error.strerror}; its file system may take none: "
            "choose a --runtime-dir on another, such as /run or a tmpfs"
        ) from None


def is_locked(directory: Path) -> bool:
    """Whether a daemon holds this directory."""
    try:
        fd = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two processes that look at the same time must not take one another for a daemon.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return child_lock.is_held(directory / CHILDREN_NAME)


def hidden(directory: Path) -> str | None:
    """Why we cannot tell whether a daemon holds this directory, and what to do; None where we can."""
    try:
        os.close(os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except PermissionError:
        owner = _owner(directory)
        whose = "another user" if owner is None else f"user {owner}"
        who = "root" if owner == "root" else f"{owner or 'its user'}, or as root"
        return f"cannot look into {directory}: it belongs to {whose}; run this command as {who}"
    except OSError:
        return None
    return None


def _owner(directory: Path) -> str | None:
    try:
        uid = directory.stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _lock(directory: Path, wait: Callable[[float], None], advice: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        os.close(os.open(directory / CHILDREN_NAME, flags, 0o600))
        fd = os.open(directory / LOCK_NAME, flags, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"cannot lock the directory {directory}: {error.strerror}; the files {LOCK_NAME} and {CHILDREN_NAME} must "
            "be writable in it"
        ) from None
    step = 0.1
    for _ in range(int(WAIT / step) + 1):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait(step)
            continue
        # With our lock no other child is started; those of a run that was killed may still be there.
        if not child_lock.is_held(directory / CHILDREN_NAME):
            return fd
        wait(step)
    os.close(fd)
    raise AlreadyRunning(f"cannot start: another netmap-supervisor already uses {directory}; {advice}")
