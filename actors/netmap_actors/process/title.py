"""What ps(1) and top(1) show of this process: written over the arguments it was started with.

A forked process has its parent's. Nothing happens where the kernel does not say where they lie.
"""

from __future__ import annotations

import ctypes
from typing import Final

__all__ = ["show"]

_ARG_START: Final = 48 - 3
"""Index of `arg_start`, field 48 of /proc/PID/stat, behind the command's name, field 2; `arg_end` follows
(proc_pid_stat(5))."""
_PROGRAM: Final = "netmap-supervisor"
_LONGEST_NAME: Final = 15
"""Bytes of a thread's name (pthread_setname_np(3))."""

_libc = ctypes.CDLL(None)
_libc.pthread_self.restype = ctypes.c_void_p
_libc.pthread_setname_np.argtypes = [ctypes.c_void_p, ctypes.c_char_p]


def show(role: str) -> None:
    """`netmap-supervisor: ROLE`, as far as the arguments reach; the role alone where only a name is shown."""
    _libc.pthread_setname_np(_libc.pthread_self(), role.encode()[:_LONGEST_NAME])
    try:
        with open("/proc/self/stat", "rb") as file:
            behind_name = file.read(4096).rpartition(b")")[2].split()
        start, end = (int(behind_name[_ARG_START + offset]) for offset in (0, 1))
    except (OSError, IndexError, ValueError):
        return
    room = end - start
    if start > 0 and room > 0:
        # The last byte stays zero: with another one the kernel would go on into the environment (proc_pid_cmdline(5)).
        ctypes.memmove(start, f"{_PROGRAM}: {role}".encode()[: room - 1].ljust(room, b"\0"), room)
