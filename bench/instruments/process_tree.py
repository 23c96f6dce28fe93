"""What a process and all its descendants cost: CPU seconds, proportional memory (PSS), and until when they are busy."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.instruments.looks import Looks
from tests.support.processes.daemon import tree_of
from tests.support.waiting import wait_for

TICK = 1 / os.sysconf("SC_CLK_TCK")
INTERVAL = 0.05
BUSY_WINDOW = 0.1
BUSY_SHARE = 0.3
"""More CPU than this share of one core within a window means busy."""
PSS_SHARE = 0.1
"""Of a core at most goes into looking at memory: it holds up the page faults of who is looked at."""
QUIET = 2.0
"""Seconds without a busy window after which the last one counts as the end of the work."""


def cpu_seconds(pid: int) -> float:
    """User and system time of one process, its reaped children not counted. Raises OSError when it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def started_at(pid: int) -> float:
    """CLOCK_BOOTTIME of the start of a process, seconds, to a clock tick (10 ms)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) * TICK


def pss_bytes(pid: int) -> int:
    """Proportional set size of one process. Raises OSError when it is gone."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Sample:
    """One look at the whole tree. Times in seconds of CLOCK_BOOTTIME, memory in bytes."""

    at: float
    cpu: float
    pss: int


class Sampler(Looks):
    """Looks at a tree every 50 ms in a thread of its own, at its memory less often. A context manager."""

    def __init__(self, pid: int) -> None:
        super().__init__(INTERVAL)
        self._pid = pid
        self._cpu: dict[int, float] = {}
        self._pss = 0
        self._pss_due = 0.0
        self.samples: list[Sample] = []

    def look(self) -> None:
        at = boottime()
        pids = tree_of(self._pid)
        for pid in pids:
            with contextlib.suppress(OSError):
                self._cpu[pid] = cpu_seconds(pid)
        if at >= self._pss_due:
            self._pss = 0
            began = time.thread_time()
            for pid in pids:
                with contextlib.suppress(OSError):
                    self._pss += pss_bytes(pid)
            self._pss_due = at + (time.thread_time() - began) / PSS_SHARE
        self.samples.append(Sample(at, sum(self._cpu.values()), self._pss))

    def cpu_at(self, moment: float) -> float:
        """CPU seconds of the tree up to this moment."""
        return max((sample.cpu for sample in self.samples if sample.at <= moment), default=0.0)

    def cpu(self) -> float:
        """CPU seconds of the tree so far."""
        return self.samples[-1].cpu

    def peak_pss(self) -> int:
        return max(sample.pss for sample in self.samples)

    def steady_pss(self) -> int:
        return self.samples[-1].pss

    def busy_until(self, since: float) -> float:
        """End of the last busy window after `since`; `since` itself when there was none."""
        end = since
        samples = [sample for sample in self.samples if sample.at >= since]
        first = 0
        for last, sample in enumerate(samples):
            while sample.at - samples[first].at > BUSY_WINDOW and first < last - 1:
                first += 1
            span = sample.at - samples[first].at
            if (
                span > 0
                and sample.cpu - samples[first].cpu >= BUSY_SHARE * span
                and sample.cpu > samples[last - 1].cpu
            ):
                end = sample.at
        return end

    def wait_quiet(self, since: float, limit: float) -> float:
        """Wait until the tree has been quiet for `QUIET`; returns the moment its work ended."""

        def quiet() -> float | None:
            end = self.busy_until(since)
            return end if boottime() - max(end, since) >= QUIET else None

        return wait_for(quiet, limit, f"process tree of {self._pid} becomes quiet", every=0.2)
