"""Gives up every file a process does not need: Landlock (landlock(7), linux/landlock.h), from Linux 5.13 on.

It is bound to the thread that asks and to those it starts later, so it comes before ZeroMQ starts its own. Not here:
which files an actor needs (each says so itself).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Reach", "confine"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS_OF_VERSION: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights on files each version knows; later ones know no fewer."""
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/dev")
_libc = ctypes.CDLL(None, use_errno=True)


class Reach(NamedTuple):
    """Directories a process needs, with everything below; the interpreter's and the system's come by themselves."""

    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()


def confine(reach: Reach) -> bool:
    """From now on nothing else can be opened; False where the kernel cannot do that. Raises OSError."""
    version: int = _libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    if version <= 0:
        return False  # not built in, or switched off at boot
    all_rights = (1 << _RIGHTS_OF_VERSION.get(version, 16)) - 1
    handled = ctypes.c_uint64(all_rights)
    ruleset = _call(_CREATE_RULESET, ctypes.byref(handled), ctypes.sizeof(handled), 0)
    try:
        for path in (*_interpreter(), *map(Path, _SYSTEM), *reach.readable):
            _allow(ruleset, path, _EXECUTE | _READ_FILE | _READ_DIR)
        for path in reach.writable:
            _allow(ruleset, path, all_rights)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def _interpreter() -> Iterator[Path]:
    """Where modules may still be loaded from."""
    yield from (Path(path) for path in _unique((sys.prefix, sys.base_prefix, *sys.path)) if path)


def _unique(paths: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(paths)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return  # a zip file on the path, a system without /lib64
    try:
        rule = struct.pack("=Qi", rights, fd)
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot give up files: {os.strerror(error)}")
    return result
