"""How long one process has waited for a processor, from its /proc files. Not here: what follows from that.

Of its first thread, which is where an actor's loop runs: /proc/PID/schedstat says nothing of the others (kernel:
Documentation/scheduler/sched-stats.rst). A process that is stopped or blocked does not wait. One that its control group
has throttled (cpu.max) does: it could run if it were let.
"""

from __future__ import annotations

__all__ = ["RunQueue"]

_NANOSECONDS = 1e9
_READY = b"R"
"""Running, or waiting for a processor (proc_pid_stat(5))."""


class RunQueue:
    """A time that never decreases."""

    def __init__(self) -> None:
        self._counted = (-1, -1)
        self._ready_since: float | None = None
        """When it was first seen ready with these counters; it has not run since."""
        self._waited = 0.0

    def waited(self, stat: bytes, schedstat: bytes, now: float) -> float:
        """Seconds until `now` (of CLOCK_MONOTONIC); of no use from a kernel that does not count (CONFIG_SCHED_INFO).

        `stat`, `schedstat`: what /proc/PID/stat and /proc/PID/schedstat hold, b"" for nothing.
        """
        try:
            ran, waited = (int(word) for word in schedstat.split()[:2])
        except ValueError:
            return self._waited
        # The program's name stands before the state, in brackets and with whatever it holds.
        ready = ran > 0 and stat.rpartition(b") ")[2][:1] == _READY
        if not ready:
            self._ready_since = None
        elif self._ready_since is None or (ran, waited) != self._counted:
            self._ready_since = now
        self._counted = (ran, waited)
        # The kernel adds a wait to the sum when it is over.
        lasting = now - self._ready_since if self._ready_since is not None else 0.0
        self._waited = max(self._waited, waited / _NANOSECONDS + lasting)
        return self._waited
