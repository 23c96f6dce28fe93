"""1 000 clients at once on a control server that has one core: ours, and tailscale's testcontrol beside it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Figures, run_program
from bench.instruments.process_tree import cpu_seconds, pss_bytes
from bench.peers.open_files import allow_files
from tests.support.peers.go_tools import GoToolsUnavailable, build
from tests.support.peers.testcontrol import control_slot, running_control

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = 1_000
CHANGES, QUICK_CHANGES, GO_CHANGES = 20, 5, 2
"""testcontrol answers a change with a whole map for every client, so that each takes it long."""
KEEP_ALIVE = 5.0
REST = 20.0
"""Seconds of rest that are measured; testcontrol has no keep-alives unless it is told."""
USUAL = 50.0
"""Seconds between two keep-alives of a real server."""
SERVER_CORE = 0


@dataclass(frozen=True)
class Measured:
    """What one server took. Seconds, bytes."""

    join: float
    join_cpu: float
    changes: list[float]
    change_cpu: float
    """Per change."""
    rest_cpu: float
    """Per second of rest."""
    pss: int
    own: int
    """What came with the clients, without what is shared."""


class Crowd:
    """The clients as a process of their own, on the other cores."""

    def __init__(self, url: str, auth_key: str, count: int) -> None:
        command = [sys.executable, "-m", "bench.peers.client_crowd", url, auth_key, str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        others = os.sched_getaffinity(0) - {SERVER_CORE}
        if others:
            os.sched_setaffinity(self._process.pid, others)

    def answer(self, key: str) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())[key]

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def our_server(keep_alive: float) -> Iterator[tuple[int, str, str]]:
    """Process id, URL and auth key of `netmap-supervisor dev-control`, alone on its core."""
    command = [sys.executable, "-P", "-m", "netmap_supervisor", "dev-control", "--nodes=0", "--churn=0"]
    process = subprocess.Popen(
        [*command, f"--keep-alive={keep_alive:g}s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        pin(process.pid)
        assert process.stdout is not None
        url, auth_key = (process.stdout.readline().split()[-1] for _ in range(2))
        yield process.pid, url, auth_key
    finally:
        process.kill()
        process.wait()


def pin(pid: int) -> None:
    """Keep every thread of it on the one core."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {SERVER_CORE})


def own_bytes(pid: int) -> int:
    """Memory that is no file's: what the libraries of a process count for depends on who else has loaded them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss_Anon:")))


def serve(pid: int, url: str, auth_key: str, clients: int, changes: int) -> Measured:
    """Let them join, change something, rest."""
    before, started = own_bytes(pid), cpu_seconds(pid)
    crowd = Crowd(url, auth_key, clients)
    try:
        join = crowd.answer("joined")
        join_cpu = quiet_cpu(pid) - started
        latencies: list[float] = []
        at = cpu_seconds(pid)
        for number in range(changes):
            crowd.say(f"update {40_000 + number}")
            latencies += crowd.answer("arrivals")
        change_cpu = (quiet_cpu(pid) - at) / changes
        at = cpu_seconds(pid)
        time.sleep(REST)
        rest_cpu = (cpu_seconds(pid) - at) / REST
        return Measured(
            join=join,
            join_cpu=join_cpu,
            changes=sorted(latencies),
            change_cpu=change_cpu,
            rest_cpu=rest_cpu,
            pss=pss_bytes(pid),
            own=own_bytes(pid) - before,
        )
    finally:
        crowd.close()


def quiet_cpu(pid: int) -> float:
    """CPU seconds so far, once it has nothing to do any more but keep-alives."""
    last, now = -1.0, cpu_seconds(pid)
    while now - last > 0.15:
        time.sleep(1.0)
        last, now = now, cpu_seconds(pid)
    return now


def figures_of(server: str, it: Measured, clients: int) -> Figures:
    """Under the name of a server. `embedded`: ours, `real`: testcontrol."""

    def share(of: float) -> float:
        return it.changes[min(len(it.changes) - 1, int(len(it.changes) * of))]

    figures = {
        "join": Figure.of("s", [it.join]),
        "join_cpu": Figure.of("s", [it.join_cpu]),
        "change_half": Figure.of("s", [share(0.5)]),
        "change_p99": Figure.of("s", [share(0.99)]),
        "change_last": Figure.of("s", [it.changes[-1]]),
        "server_change_cpu": Figure.of("s", [it.change_cpu]),
        "server_pss": Figure.of("MiB", [it.pss / 2**20]),
        "server_per_client": Figure.of("KiB", [it.own / clients / 1024]),
        "rest_share": Figure.of("", [it.rest_cpu]),
    }
    return {f"{server}.{clients}.{name}": figure for name, figure in figures.items()}


def measure(quick: bool) -> Figures:
    """Ours; and testcontrol, where there is Go, but for a quick look: it takes long."""
    allow_files(8192)
    with our_server(KEEP_ALIVE) as (pid, url, auth_key):
        ours = serve(pid, url, auth_key, CLIENTS, QUICK_CHANGES if quick else CHANGES)
    # What rests costs nothing but keep-alives: their price is in proportion to their number.
    figures = figures_of("embedded", replace(ours, rest_cpu=ours.rest_cpu * KEEP_ALIVE / USUAL), CLIENTS)
    if quick:
        return figures
    try:
        binary = build() / "testcontrol"
    except GoToolsUnavailable as error:
        print(f"without testcontrol: {error}", file=sys.stderr)
        return figures
    with (
        tempfile.TemporaryDirectory() as directory,
        control_slot(),
        running_control(binary, 0, Path(directory) / "log") as go,
    ):
        pin(go.pid)
        theirs = serve(go.pid, go.url, "", CLIENTS, GO_CHANGES)
    return figures | figures_of("real", theirs, CLIENTS)


if __name__ == "__main__":
    run_program("thousand_clients", measure)
