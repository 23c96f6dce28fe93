"""Whether the program's files are still those that this process was loaded from."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

import netmap_actors

__all__ = ["CodeStamp", "code_stamp", "loaded_stamp"]


class CodeStamp(NamedTuple):
    """Of all modules together; an update of the program gives another one."""

    modules: int
    newest: int
    """Time of the last change of a file, nanoseconds."""
    size: int
    """Bytes."""


def code_stamp() -> CodeStamp:
    """As the files are now; looking at them takes some milliseconds. Raises OSError where they may not be read."""
    modules = newest = size = 0
    for package in (Path(str(netmap_actors.__file__)).parent, Path(__file__).parents[1]):
        for folder, _, names in os.walk(package):
            for name in names:
                if name.endswith(".py"):
                    found = os.stat(os.path.join(folder, name))  # noqa: PTH116, PTH118  # some hundreds at a time
                    modules, size = modules + 1, size + found.st_size
                    newest = max(newest, found.st_mtime_ns)
    return CodeStamp(modules, newest, size)


@functools.cache
def loaded_stamp() -> CodeStamp:
    """As they were when this process asked first. Raises OSError, and then it has not asked."""
    return code_stamp()
