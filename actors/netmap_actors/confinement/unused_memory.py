"""Gives back the memory that a process needed to start, and not since.

Not here: large blocks that come and go later (`process.allocator`), and memory without end (`memory_guard`).
"""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

__all__ = ["SETTLED", "give_back", "trim"]

SETTLED: Final = 5.0
"""Seconds after its start from which on a process works as it will for long."""
_MADV_DONTNEED: Final = 4
"""Drops pages from this process's map (madvise(2)); those of a file come back from the kernel's cache when needed."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def give_back() -> None:
    """Free memory to the kernel, and out of the map all pages of programs and libraries: relocations read once,
    modules that ran once. What still runs is mapped again within microseconds. A page that was written to stays.
    """
    trim()
    span = ""
    # Without /proc, or a kernel that counts pages, they stay.
    with contextlib.suppress(OSError), open("/proc/self/smaps", encoding="ascii", errors="replace") as lines:
        for line in lines:
            name, *values = line.split()
            if name[-1] != ":":
                mode, _, _, inode = values[:4]
                span = name if inode != "0" and "w" not in mode else ""
            elif span and name == "Anonymous:" and values[0] == "0":
                start, end = (int(address, 16) for address in span.split("-"))
                _libc.madvise(start, end - start, _MADV_DONTNEED)


def trim() -> None:
    """Return what malloc has free (malloc_trim(3)); nothing where the C library has no such call, as musl."""
    malloc_trim = getattr(_libc, "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
