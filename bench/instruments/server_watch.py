"""When a control server read the first byte of a client and wrote the last one of its map, as the kernel counts them.

/proc/PID/io (proc_pid_io(5)) counts what a process reads and writes with read and write, as Go does on its sockets.
Nothing stands between server and client that would cost them time; what is written is in the socket's buffer, not yet
at the client.
"""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.instruments.looks import Looks
from bench.instruments.process_tree import boottime

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL = 0.004
REQUEST = 64
"""Bytes: a request is longer, what Go's runtime reads from its own event descriptors is shorter."""
MAP_PART = 4096
"""Bytes: what belongs to a map is written in larger pieces than answers and acknowledgements."""


class Count(NamedTuple):
    """Bytes since the server's start, at a moment of CLOCK_BOOTTIME."""

    at: float
    read: int
    written: int


class Share(NamedTuple):
    """The server's own part in a start: moments of CLOCK_BOOTTIME."""

    first_read: float
    last_written: float


def share_of(counts: Sequence[Count], since: float, until: float) -> Share:
    """Between the client's start and the moment its user holds the map. Raises ValueError when nothing was served."""
    pairs = [
        (before, after)
        for before, after in itertools.pairwise(counts)
        if since <= after.at and before.at <= until
    ]
    reads = [after.at for before, after in pairs if after.read - before.read >= REQUEST]
    writes = [after.at for before, after in pairs if after.written - before.written >= MAP_PART]
    if not reads or not writes:
        raise ValueError(f"the server was asked {len(reads)} times and sent {len(writes)} parts of a map")
    return Share(min(reads[0], until), min(writes[-1], until))


class ServerWatch(Looks):
    """Looks at the counters every 4 ms in a thread of its own. A context manager."""

    def __init__(self, pid: int) -> None:
        super().__init__(INTERVAL)
        self._path = Path(f"/proc/{pid}/io")
        self.counts: list[Count] = []

    def look(self) -> None:
        # The moment after the look: what it counts had been written by then.
        with contextlib.suppress(OSError):  # it has ended
            fields = dict(line.split(": ") for line in self._path.read_text().splitlines())
            self.counts.append(Count(boottime(), int(fields["rchar"]), int(fields["wchar"])))
