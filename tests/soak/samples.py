"""What long-lived processes hold, sampled from /proc, and whether it stays as it is."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import NamedTuple

__all__ = ["Growth", "Sample", "Samples", "sample"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
FDS, RSS = 5, 10 << 20
"""Files and bytes by which a process may hold more at the end than after its first seconds."""
FEW = 5
"""Samples whose median counts."""


class Sample(NamedTuple):
    """One look at one process."""

    at: float
    fds: int
    threads: int
    rss: int


def sample(pid: int, at: float) -> Sample | None:
    """What the process holds now; None when it is gone."""
    proc = Path(f"/proc/{pid}")
    try:
        fds = len(list((proc / "fd").iterdir()))
        threads = len(list((proc / "task").iterdir()))
        rss = int((proc / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return None
    return Sample(at, fds, threads, rss)


class Growth(NamedTuple):
    """From a process's warm-up to its last samples."""

    name: str
    pid: int
    lived: float
    fds: tuple[int, int, int]
    """At first, at last, at most."""
    threads: tuple[int, int]
    rss: tuple[int, int]

    @property
    def text(self) -> str:
        """For the table."""
        files = f"files {self.fds[0]} → {self.fds[1]} (most {self.fds[2]})"
        threads = f"threads {self.threads[0]} → {self.threads[1]}"
        return f"{files}, {threads}, memory {self.rss[0] / 2**20:.1f} → {self.rss[1] / 2**20:.1f} MiB"

    def problems(self) -> list[str]:
        """What did not stay flat."""
        found = []
        if abs(self.fds[1] - self.fds[0]) > FDS:
            found.append(f"{self.name} ({self.pid}) held {self.fds[0]} files, then {self.fds[1]}")
        if self.threads[0] != self.threads[1]:
            found.append(f"{self.name} ({self.pid}) had {self.threads[0]} threads, then {self.threads[1]}")
        if abs(self.rss[1] - self.rss[0]) > RSS:
            found.append(
                f"{self.name} ({self.pid}) took {self.rss[0] / 2**20:.1f} MiB, then {self.rss[1] / 2**20:.1f}"
            )
        return found


class Samples:
    """Every process of one daemon, by its id."""

    def __init__(self, warm_up: float) -> None:
        """`warm_up`: seconds of each process's life that do not count."""
        self._warm_up = warm_up
        self._names: dict[int, str] = {}
        self._seen: dict[int, list[Sample]] = {}
        self.taken = 0

    def take(self, processes: dict[str, int], at: float) -> None:
        """One look at each."""
        self.taken += 1
        for name, pid in processes.items():
            seen = sample(pid, at)
            if seen is not None:
                self._names[pid] = name
                self._seen.setdefault(pid, []).append(seen)

    def begin_again(self, pid: int | None) -> None:
        """What this process had until now does not count."""
        self._seen.pop(pid or 0, None)

    def growths(self) -> list[Growth]:
        """Of those that were looked at often enough after their warm-up."""
        found = []
        for pid, seen in self._seen.items():
            warm = [one for one in seen if one.at >= seen[0].at + self._warm_up]
            if len(warm) < 2 * FEW:
                continue
            first, last = warm[:FEW], warm[-FEW:]
            found.append(
                Growth(
                    name=self._names[pid],
                    pid=pid,
                    lived=seen[-1].at - seen[0].at,
                    fds=(_median(first, "fds"), _median(last, "fds"), max(one.fds for one in warm)),
                    threads=(_median(first, "threads"), _median(last, "threads")),
                    rss=(_median(first, "rss"), _median(last, "rss")),
                )
            )
        return found


def _median(samples: list[Sample], field: str) -> int:
    return int(statistics.median_low(getattr(one, field) for one in samples))
