"""Gives up every file, port and signal a process does not need: Landlock (landlock(7), linux/landlock.h).

It binds the calling thread and those it starts later, so it comes before ZeroMQ starts its own. What the kernel's ABI
version does not know stays open; `missing` names it. Not here: what a process needs (`permissions`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

from netmap_actors.confinement import system_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from netmap_actors.confinement.permissions import Permissions

__all__ = ["abi", "enforce", "keep_signals", "keeps_from", "missing"]

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION, _RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 1, 2
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_SOCK = 1 << 5, 1 << 9
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_ON_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""Rights that a rule about something else than a directory may name."""
_RIGHTS_OF_VERSION: Final = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files each ABI version knows; from the fifth on 16."""
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_SINCE: Final = (
    (1, "files"),
    (2, "moving files between directories"),
    (3, "cutting files short"),
    (4, "TCP ports"),
    (5, "control of devices"),
    (6, "signals and abstract sockets"),
)
"""What each ABI version brings: Linux 5.13, 5.19, 6.2, 6.7, 6.10, 6.12."""
_libc = ctypes.CDLL(None, use_errno=True)
_pinned: list[int] = []
"""The kernel forgets /proc/PID when memory is short, and what it makes anew has no rule; held open, it stays."""


def abi() -> int:
    """The kernel's ABI version; 0: none (not built in, switched off at boot, or refused by an outer profile)."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)))


def missing(known: int) -> tuple[str, ...]:
    """What a kernel of this ABI version leaves open."""
    return tuple(what for since, what in _SINCE if known < since)


def enforce(allowed: Permissions, *, signals_kept: bool = False) -> int:
    """From now on nothing else can be had; the ABI version that holds it, 0 for none. Raises OSError.

    None also where a profile around us allows only some of the three calls: what only gives up is done without.
    `signals_kept`: `keep_signals` has done that part.
    """
    return _where_allowed(lambda known: _enforce(known, allowed, signals_kept=signals_kept))


def keep_signals() -> bool:
    """Signal nobody from now on but this process's descendants and those that share this bound: forks of it from now
    on. Whether the kernel can. Raises OSError. To be called where gaining privileges is forbidden.

    Each may then be held to a rule of its own, and those that were made after this one can still be signalled.
    """

    def enforce_scope(known: int) -> int:
        return known if known >= 6 and _restrict(_create(known, 0, 0, _SIGNALS)) else 0

    return _where_allowed(enforce_scope) > 0


def _where_allowed(enforce_it: Callable[[int], int]) -> int:
    known = abi()
    try:
        return enforce_it(known) if known else 0
    except PermissionError:
        return 0
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return 0


def _enforce(known: int, allowed: Permissions, *, signals_kept: bool) -> int:
    rights = (1 << _RIGHTS_OF_VERSION.get(known, 16)) - 1
    network = 0
    if known >= 4:
        network = _BIND_TCP * (allowed.tcp_bind is not None) | _CONNECT_TCP * (
            allowed.tcp_connect is not None
        )
    scopes = 0
    if known >= 6:
        scopes = _SIGNALS * (not signals_kept) | _ABSTRACT_SOCKETS * (not allowed.abstract_sockets)

    def add_rules(ruleset: int) -> None:
        _allow_files(ruleset, allowed, rights)
        _allow_ports(ruleset, allowed.tcp_bind, network & _BIND_TCP)
        _allow_ports(ruleset, allowed.tcp_connect, network & _CONNECT_TCP)

    _restrict(_create(known, rights, network, scopes), add_rules)
    return known


def _restrict(ruleset: int, add_rules: Callable[[int], object] = lambda _: None) -> bool:
    try:
        add_rules(ruleset)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return True


def keeps_from(path: str) -> bool:
    """Whether this file cannot be read only because this process has given it up; its mode would let it.

    access(2) does not ask Landlock, open(2) does.
    """
    if not _pinned or not os.access(path, os.R_OK):
        return False
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EACCES
    return False


def _create(known: int, rights: int, network: int, scopes: int) -> int:
    """The structure grew with the versions: a kernel takes no field it does not know, unless it is zero."""
    size = 8 if known < 4 else 16 if known < 6 else 24
    attributes = struct.pack("=QQQ", rights, network, scopes)[:size]
    return _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)


def _allow_files(ruleset: int, allowed: Permissions, rights: int) -> None:
    reading = _READ_FILE | _READ_DIR
    for path in (*system_files.shared(), *allowed.readable):
        _allow(ruleset, path, reading)
    for path in allowed.unlisted:
        _allow(ruleset, path, _READ_FILE)
    for path in allowed.executable:
        _allow(ruleset, path, _EXECUTE | reading)
    for path in allowed.writable:
        _allow(ruleset, path, rights & ~_EXECUTE)
    for path in allowed.sockets:
        _allow(ruleset, path, _MAKE_SOCK | _REMOVE_FILE)
    for path in system_files.DEVICES:
        _allow(ruleset, path, rights & (_READ_FILE | _WRITE_FILE | _TRUNCATE))
    # Of the others' directories only the names of their processes are known.
    _pinned.append(os.open("/proc/self", os.O_PATH | os.O_CLOEXEC))
    _rule(ruleset, _pinned[-1], reading)


def _allow_ports(ruleset: int, ports: Iterable[int] | None, right: int) -> None:
    if not right:
        return
    for port in ports or ():
        _call(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", right, port), 0)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there, or not for us, cannot be opened later either
    try:
        _rule(ruleset, fd, rights)
    finally:
        os.close(fd)


def _rule(ruleset: int, fd: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _ON_FILES
    _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot give up files: {os.strerror(error)}")
    return result
