"""What a tailnet that is never still costs the whole tree: 100 changes a second from our own control server."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Figures, run_program
from bench.instruments.process_tree import boottime, cpu_seconds
from tests.support.processes.daemon import Daemon, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS, RATE = 1_000, 100
SETTLE, WINDOW, WINDOWS = 5.0, 10.0, 6
"""Seconds after the first fresh netmap until the measurement; length and number of its parts."""


@contextlib.contextmanager
def restless_server() -> Iterator[tuple[str, str]]:
    """URL and auth key."""
    command = [sys.executable, "-P", "-m", "netmap_supervisor", "dev-control"]
    command += [f"--nodes={PEERS}", f"--churn={RATE}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        url, auth_key = (process.stdout.readline().split()[-1] for _ in range(2))
        yield url, auth_key
    finally:
        process.kill()
        process.wait()


def measure(quick: bool) -> Figures:
    """Window by window."""
    pause = threading.Event()
    shares = []
    with restless_server() as (url, auth_key), tempfile.TemporaryDirectory() as directory:
        key = Path(directory) / "key"
        key.write_text(auth_key)
        with Daemon(f"--control-url={url}", f"--auth-key=file:{key}", "--hostname=bench") as daemon:
            daemon.wait_fresh()
            pause.wait(SETTLE)
            pids = tree_of(daemon.pid)
            for _ in range(2 if quick else WINDOWS):
                began, cpu = boottime(), sum(map(cpu_seconds, pids))
                pause.wait(WINDOW)
                shares.append(100 * (sum(map(cpu_seconds, pids)) - cpu) / (boottime() - began))
            assert tree_of(daemon.pid) == pids, "the tree changed meanwhile"
    return {f"embedded.{PEERS}.churn_share": Figure.of("%", shares)}


if __name__ == "__main__":
    run_program("churn", measure)
