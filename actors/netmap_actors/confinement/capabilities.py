"""Root's privileges, taken apart and given up: capset(2), PR_CAPBSET_DROP (capabilities(7)).

A process that has none has nothing to give up. Not here: which of them a process needs (`permissions`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["keep_only"]

_NUMBERS: Final = {"chown": 0, "dac_read_search": 2, "setpcap": 8, "net_bind_service": 10}
"""linux/capability.h: those that a row names."""
_NAMES: Final = {number: name for name, number in _NUMBERS.items()}
_HIGHEST: Final = 63
_VERSION_3: Final = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24

_libc = ctypes.CDLL(None, use_errno=True)


def keep_only(names: Iterable[str], *, for_children: bool = False) -> frozenset[str]:
    """Give up all others, for good; those it has after that. Raises OSError.

    Where a profile around us (seccomp(2)) refuses the calls for it, as `SystemCallFilter=~@privileged` does, it keeps
    what it has: what is no more than giving up is done without.

    `for_children`: what a service manager gave to a user who is not root (`AmbientCapabilities=`) passes on to the
    programs this process starts, as far as it is among `names`.
    """
    wanted = sum(1 << _NUMBERS[name] for name in names)
    try:
        kept = _keep(wanted, for_children)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOSYS}:
            raise
        kept = _permitted()
    return frozenset(_NAMES.get(number, str(number)) for number in range(_HIGHEST + 1) if kept >> number & 1)


def _keep(wanted: int, for_children: bool) -> int:
    effective, permitted, inheritable = _held()
    # Only with SETPCAP may the bounding set be cut; without it no_new_privs stands before every exec.
    if effective >> _NUMBERS["setpcap"] & 1:
        for number in range(_HIGHEST + 1):
            if not wanted >> number & 1 and _libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 1:
                _prctl(_PR_CAPBSET_DROP, number)
    kept = permitted & wanted
    passed_on = inheritable & kept if for_children else 0
    if (effective, permitted, inheritable) != (kept, kept, passed_on):
        # What is no longer inheritable is no longer ambient.
        _set(kept, passed_on)
    return kept


def _permitted() -> int:
    """From /proc, where the call is refused (proc_pid_status(5)); none where it is not shown."""
    with open("/proc/self/status", "rb") as lines:
        fields = next((line.split() for line in lines if line.startswith(b"CapPrm:")), [b"", b"0"])
    return int(fields[1], 16)


def _held() -> tuple[int, int, int]:
    """Effective, permitted, inheritable."""
    data = ctypes.create_string_buffer(24)
    if _libc.capget(struct.pack("=Ii", _VERSION_3, 0), data) != 0:
        raise _failure("see which capabilities it has")
    low_and_high = struct.unpack("=6I", data.raw)
    effective, permitted, inheritable = (low_and_high[i] | low_and_high[i + 3] << 32 for i in range(3))
    return effective, permitted, inheritable


def _set(kept: int, inheritable: int) -> None:
    low = (kept & 0xFFFFFFFF, kept & 0xFFFFFFFF, inheritable & 0xFFFFFFFF)
    high = (kept >> 32, kept >> 32, inheritable >> 32)
    if _libc.capset(struct.pack("=Ii", _VERSION_3, 0), struct.pack("=6I", *low, *high)) != 0:
        raise _failure("give up capabilities")


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise _failure("give up capabilities")


def _failure(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot {what}: {os.strerror(number)}")
