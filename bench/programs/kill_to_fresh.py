"""From `kill -9` of control_connection to a fresh netmap at a subscriber, with 1 000 peers."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from pathlib import Path

from bench.figures import Figure, Figures, run_program
from tests.support.clients.watcher import Watcher
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control
from tests.support.processes.daemon import Daemon

PEERS = 1_000
ROUNDS = 20
HEALTHY = 25.0
"""Seconds a session has to live before the next kill meets the shortest delay again."""


def measure(quick: bool) -> Figures:
    """One daemon, killed again each time its session is of age."""
    times: list[float] = []
    pause = threading.Event()
    tools = build()
    with tempfile.TemporaryDirectory() as scratch, control_slot():
        log = Path(scratch) / "log"
        with (
            running_control(tools / "testcontrol", PEERS, log) as control,
            Daemon(f"--control-url={control.url}", "--hostname=bench") as daemon,
            Watcher(daemon) as watcher,
        ):
            watcher.wait(lambda line: line["state"] == "fresh", 30.0, "the first fresh netmap")
            for _ in range(3 if quick else ROUNDS):
                # Each look at the status is a program, and 25 s of them would be a load.
                pause.wait(HEALTHY)
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
    return {f"real.{PEERS}.kill_to_fresh": Figure.of("s", times)}


if __name__ == "__main__":
    run_program("kill_to_fresh", measure)
