"""From `kill -9` of control_connection to a fresh netmap at a subscriber, with 1 000 peers."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, report
from tests.support.clients.watcher import Watcher
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control
from tests.support.processes.daemon import Daemon

PEERS = 1_000
ROUNDS = 5
BOUND = 1.0
"""Seconds, the delay before a new connection (0 to 250 ms) included."""
HEALTHY = 25.0
"""Seconds a session has to live before the next kill meets the shortest delay again."""


def main() -> int:
    tools = build()
    times: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, control_slot():
        log = Path(scratch) / "log"
        with (
            running_control(tools / "testcontrol", PEERS, log) as control,
            Daemon(f"--control-url={control.url}", "--hostname=bench") as daemon,
            Watcher(daemon) as watcher,
        ):
            watcher.wait(lambda line: line["state"] == "fresh", 30.0, "the first fresh netmap")
            for _ in range(ROUNDS):
                status = daemon.wait_status(
                    lambda status: (status["connection"]["session_age_s"] or 0) > HEALTHY,
                    HEALTHY + 30,
                    "a session of age",
                )
                seen = watcher.mark()
                killed = time.monotonic()
                os.kill(status["connection"]["pid"], signal.SIGKILL)
                watcher.wait(lambda line: line["state"] == "stale", 10.0, "a stale netmap", after=seen)
                fresh, _ = watcher.wait(
                    lambda line: line["state"] == "fresh", 30.0, "a fresh netmap", after=seen
                )
                times.append(fresh - killed)
    figures = [
        Figure(f"{PEERS} peers: kill -9 to fresh, median of {ROUNDS}", statistics.median(times), "s"),
        Figure(f"{PEERS} peers: kill -9 to fresh, worst of {ROUNDS}", max(times), "s", BOUND),
    ]
    return report("kill_to_fresh", figures, times)


if __name__ == "__main__":
    sys.exit(main())
