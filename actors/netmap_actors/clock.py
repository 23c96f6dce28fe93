"""The clocks of a process; the only module that imports `time`.

Machines take `now` as an argument; only shells hold a Clock.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Protocol

__all__ = ["Clock", "SystemClock", "time_namespace"]


class Clock(Protocol):
    """Clocks of a shell, in seconds."""

    def boottime(self) -> float:
        """CLOCK_BOOTTIME: runs on in suspend; every deadline of the connection is measured on it."""

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC: stands still in suspend; the hung-child limits are measured on it."""

    def wall(self) -> float:
        """CLOCK_REALTIME, for logs and stamps only: it may jump either way."""


class SystemClock:
    """The kernel's clocks."""

    # Read several times in every turn of a loop, hence without a call in Python.
    boottime = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_BOOTTIME))
    monotonic = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_MONOTONIC))
    wall = staticmethod(functools.partial(time.clock_gettime, time.CLOCK_REALTIME))


def time_namespace() -> str:
    """Two processes in the same one have the same CLOCK_BOOTTIME (time_namespaces(7)); "" before Linux 5.6."""
    try:
        return str(Path("/proc/self/ns/time").readlink())
    except OSError:
        return ""
