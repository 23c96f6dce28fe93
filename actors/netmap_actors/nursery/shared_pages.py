"""Keeps the memory that a process and its forks have in common from being copied, a page at the first write to it."""

from __future__ import annotations

import gc
import sys

__all__ = ["keep_shared"]


def keep_shared() -> None:
    """Of what is held now, write to as little as possible from now on. To be called right before a fork.

    What is held now is never garbage again: a collector would write into every container it looks at (cpython:
    Modules/gcmodule.c). It is not collected first: what loading leaves behind is a quarter of a mebibyte, and to find
    it takes as long as to load an actor. An attribute that is looked up takes another one's place in the cache of
    lookups, whose name then loses a reference, wherever it lies (cpython: Objects/typeobject.c); names are immortal
    since Python 3.12.
    """
    gc.freeze()
    if sys.version_info < (3, 12):
        sys._clear_type_cache()  # noqa: SLF001  # the documented name of it
