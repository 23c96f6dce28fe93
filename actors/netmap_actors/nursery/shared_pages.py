"""Keeps the memory that a process and its forks have in common from being copied, a page at the first write to it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

__all__ = ["keep_shared", "leave_files"]

_MADV_DONTNEED = 4


def keep_shared() -> None:
    """Of what is held now, write to as little as possible from now on. To be called right before a fork.

    What is held now is never garbage again: a collector would write into every container it looks at (cpython:
    Modules/gcmodule.c). An attribute that is looked up takes another one's place in the cache of lookups, whose name
    then loses a reference, wherever it lies (cpython: Objects/typeobject.c); names are immortal since Python 3.12.
    """
    gc.collect()
    gc.freeze()
    if sys.version_info < (3, 12):
        sys._clear_type_cache()  # noqa: SLF001  # the documented name of it


def leave_files() -> None:
    """Have no page of a program or library mapped: those that loading has touched, and that nobody here runs again.

    They come back from the kernel's cache where they are needed. A page that was written to is kept: relocations.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    span = ""
    # Without /proc, or a kernel that counts pages, they stay.
    with contextlib.suppress(OSError), open("/proc/self/smaps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, *values = line.split()
            if "-" in name and name[-1] != ":":
                mode, _, _, inode = values[:4]
                span = name if inode != "0" and "w" not in mode else ""
            elif name == "Anonymous:" and span and values[0] == "0":
                start, end = (int(address, 16) for address in span.split("-"))
                libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_DONTNEED)
