"""What the whole tree costs when nothing happens: wake-ups and CPU with a small, quiet tailnet."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path

from bench.figures import Figure, Figures, run_program
from bench.instruments.process_tree import boottime, cpu_seconds
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control
from tests.support.processes.daemon import Daemon, tree_of

PEERS = 10
SETTLE, WINDOW, WINDOWS = 10.0, 30.0, 3
"""Seconds after the first fresh netmap until the measurement; length and number of its parts."""


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


def measure(quick: bool) -> Figures:
    """Window by window, without the process that keeps the history and with it."""
    window, tools = 10.0 if quick else WINDOW, build()
    woken, shares = rest(tools, window, history=False)
    woken_with_history, _ = rest(tools, window, history=True)
    return {
        f"real.{PEERS}.wake_ups": Figure.of("1/s", woken),
        f"real.{PEERS}.core_share": Figure.of("%", shares),
        f"real.{PEERS}.wake_ups_with_history": Figure.of("1/s", woken_with_history),
    }


def rest(tools: Path, window: float, *, history: bool) -> tuple[list[float], list[float]]:
    """Wake-ups a second, and percents of a core."""
    woken_rates, shares = [], []
    with tempfile.TemporaryDirectory() as scratch, control_slot():
        log = Path(scratch) / "log"
        with (
            running_control(tools / "testcontrol", PEERS, log) as control,
            Daemon(f"--control-url={control.url}", "--hostname=bench", history=history) as daemon,
        ):
            daemon.wait_fresh()
            pause(SETTLE)
            pids = tree_of(daemon.pid)
            for _ in range(WINDOWS):
                began, cpu, woken = boottime(), sum(map(cpu_seconds, pids)), wake_ups(pids)
                pause(window)
                span = boottime() - began
                shares.append(100 * (sum(map(cpu_seconds, pids)) - cpu) / span)
                woken_rates.append((wake_ups(pids) - woken) / span)
            assert tree_of(daemon.pid) == pids, "the tree changed while it should have been idle"
    return woken_rates, shares


if __name__ == "__main__":
    run_program("idle", measure)
