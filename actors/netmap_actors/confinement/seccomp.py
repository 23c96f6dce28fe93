"""Puts a filter of system calls over a process (seccomp(2), seccomp_unotify(2)): every thread, for good.

A refused call returns EPERM. Where the kernel allows it, refusals go to a listener that the parent process holds and
answers. A filter that children inherit returns ENOSYS, which yields to their own filters' answers. Not here: what is
allowed (`seccomp_rows`).
"""

from __future__ import annotations

import array
import ctypes
import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from netmap_actors.confinement import seccomp_calls, seccomp_filter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netmap_actors.confinement.seccomp_filter import CallRule

__all__ = ["Filtered", "restrict", "restrict_with_children"]

_SET_MODE_FILTER: Final = 1
_TSYNC, _NEW_LISTENER, _TSYNC_ESRCH = 1 << 0, 1 << 3, 1 << 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class Filtered:
    """How far it went."""

    COUNTED = "counted"
    """Refused calls are answered, and counted, by the holder of the listener."""
    REFUSED = "refused"
    """Refused by the kernel alone, uncounted."""
    OFF = "off"
    """Not at all."""


def restrict(rules: Mapping[str, CallRule], listener_to: int) -> tuple[str, str]:
    """Allow this process's threads only this from now on; one of Filtered, and why it is not COUNTED ("" if it is).

    `listener_to`: descriptor of a unix socket over which the listener is sent, -1 for none.
    """
    architecture = seccomp_calls.native()
    if architecture is None:
        if listener_to >= 0:
            _tell(listener_to, Filtered.OFF)
        return Filtered.OFF, f"there is no table of system calls for {os.uname().machine}"
    why = "nobody is there to count"
    if listener_to >= 0:
        code = seccomp_filter.program(architecture, rules, seccomp_filter.COUNTED)
        listener = _install(code, _TSYNC | _TSYNC_ESRCH | _NEW_LISTENER)
        if listener >= 0:
            try:
                _tell(listener_to, Filtered.COUNTED, listener)
            finally:
                os.close(listener)
            return Filtered.COUNTED, ""
        # EBUSY: an outer filter has a listener already. EINVAL: Linux before 5.7. Others: an outer profile's answer.
        why = f"the kernel gives no listener: {os.strerror(-listener)}"
    code = seccomp_filter.program(architecture, rules, seccomp_filter.refuse())
    failed = _install(code, _TSYNC)
    how = Filtered.OFF if failed else Filtered.REFUSED
    if listener_to >= 0:
        _tell(listener_to, how)
    return how, f"the kernel takes no filter: {_reason(failed)}" if failed else why


def restrict_with_children(rules: Mapping[str, CallRule]) -> str:
    """Allow only this from now on, here and in every process started from here; "", or why not.

    Refusals are not counted: a thread that answers its own process's calls may wait for itself.
    """
    architecture = seccomp_calls.native()
    if architecture is None:
        return f"there is no table of system calls for {os.uname().machine}"
    failed = _install(seccomp_filter.program(architecture, rules, seccomp_filter.YIELDING), _TSYNC)
    return f"the kernel takes no filter: {_reason(failed)}" if failed else ""


def _install(code: bytes, flags: int) -> int:
    """The listener or 0; an error as a negative errno."""
    architecture = seccomp_calls.native()
    assert architecture is not None, "there is a program for it"
    # Without it only root may (seccomp(2)); it stands already where it matters.
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return -ctypes.get_errno()
    program = _Program(len(code) // 8, code)
    result: int = _libc.syscall(
        architecture.numbers["seccomp"], _SET_MODE_FILTER, ctypes.c_ulong(flags), ctypes.byref(program)
    )
    if result < 0:
        return -ctypes.get_errno()
    if result > 0 and not flags & _NEW_LISTENER:
        return -errno.ESRCH  # a thread that cannot be synchronized; its id
    return result


def _tell(to: int, how: str, *descriptors: int) -> None:
    """Raises OSError: without an answer to its refusals the process would stop at the first."""
    with socket.socket(fileno=os.dup(to)) as line:
        rights = (
            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        )
        line.sendmsg([how.encode()], rights)


def _reason(failed: int) -> str:
    return os.strerror(-failed)
