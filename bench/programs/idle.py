"""What the whole tree costs when nothing happens: wake-ups and CPU with a small, quiet tailnet."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
from pathlib import Path

from bench.figures import Figure, report
from bench.instruments.process_tree import boottime, cpu_seconds
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control
from tests.support.processes.daemon import Daemon, tree_of

PEERS = 10
SETTLE, WINDOW = 10.0, 60.0
"""Seconds after the first fresh netmap until the measurement, and its length."""
WAKE_UPS, CORE_SHARE = 5.0, 0.003


def wake_ups(pids: list[int]) -> int:
    """Voluntary context switches of all threads so far: how often one of them went to sleep and was woken."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):
                for line in status.read_text().splitlines():
                    if line.startswith("voluntary_ctxt_switches:"):
                        total += int(line.split()[1])
    return total


def pause(seconds: float) -> None:
    """Time itself is what is measured here."""
    threading.Event().wait(seconds)


def main() -> int:
    tools = build()
    with tempfile.TemporaryDirectory() as scratch, control_slot():
        log = Path(scratch) / "log"
        with (
            running_control(tools / "testcontrol", PEERS, log) as control,
            Daemon(f"--control-url={control.url}", "--hostname=bench") as daemon,
        ):
            daemon.wait_fresh()
            pause(SETTLE)
            pids = tree_of(daemon.pid)
            began, cpu, woken = boottime(), sum(map(cpu_seconds, pids)), wake_ups(pids)
            pause(WINDOW)
            span = boottime() - began
            cpu, woken = sum(map(cpu_seconds, pids)) - cpu, wake_ups(pids) - woken
            assert tree_of(daemon.pid) == pids, "the tree changed while it should have been idle"
    figures = [
        Figure("idle: wake-ups of the tree", woken / span, "1/s", WAKE_UPS),
        Figure("idle: share of one core", 100 * cpu / span, "%", 100 * CORE_SHARE),
    ]
    return report("idle", figures)


if __name__ == "__main__":
    sys.exit(main())
