"""Measurements for tests of the fault catalogue: when a session ended, what a process cost, what a subscriber saw."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.support.histories.history import Scene
    from tests.support.processes.daemon import Daemon

BUSY = 5.0
"""Bounds of the catalogue that the product does not promise are asserted with this factor: the machine is shared."""
MEMORY = 512 << 20
"""Bytes a child may take, whatever it is sent."""
KINDS_OF_PEERS = frozenset({"peer_upserted", "peer_removed"})


def ended_after(
    daemon: Daemon, what: Callable[[], object], limit: float = 20.0
) -> tuple[dict[str, Any], float]:
    """Do something to the connection: (the log line of its session's end, seconds of a `Stopwatch` until then)."""
    before = len(daemon.events("session_ended"))
    watch = Stopwatch()
    what()
    line = daemon.wait_event("session_ended", limit, after=before)
    return line, watch.seconds()


def port(status: dict[str, Any]) -> int:
    """Source port of the control connection."""
    return int(status["connection"]["local_address"].rpartition(":")[2])


def changes_seen(scene: Scene) -> list[str]:
    """Kinds of events the subscriber got after its first snapshot."""
    records = scene.history.subscribers[0].records()
    return [record["event"]["type"] for record in records if "event" in record][1:]


def ended_counts(status: dict[str, Any]) -> dict[str, int]:
    """Ends of connections by reason, those that never happened left out."""
    return {reason: count for reason, count in status["connection"]["ended"].items() if count}


def processor_seconds(pid: int) -> float:
    """CPU time of a living process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PeakMemory:
    """The largest resident size a process ever had, read as long as it lives."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._path = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(OSError):
                for line in self._path.read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.peak = max(self.peak, int(line.split()[1]) << 10)
            time.sleep(0.002)
