"""Has the C library return large blocks to the kernel at once (mallopt(3)).

Not here: Python's small objects. By default glibc keeps what one 20 MB MapResponse needed for the next one.
"""

from __future__ import annotations

import ctypes

__all__ = ["LARGE_BLOCK", "return_large_blocks"]

LARGE_BLOCK = 1024 * 1024
"""Bytes from which on a block is a mapping of its own."""

_M_MMAP_THRESHOLD = -3


def return_large_blocks() -> bool:
    """Setting the threshold also stops glibc from raising it. False where the C library has no such setting."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK) == 1
