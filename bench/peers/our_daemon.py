"""Measures one start of `run`: until a subscriber holds everything, and what the whole tree cost until it was quiet."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.instruments.process_tree import Sampler, started_at
from tests.support.processes.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class OurRun:
    """One start. Moments in seconds of CLOCK_BOOTTIME, CPU seconds of the whole tree, bytes."""

    started: float
    """Of the Supervisor."""
    connection_started: float
    """Of the process control_connection."""
    fresh: float
    """The state is fresh and one subscriber holds the whole netmap."""
    cpu: float
    """From the start to quiet."""
    peak_pss: int
    steady_pss: int


@contextlib.contextmanager
def _subscriber(daemon: Daemon, peers: int) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for so many peers before the daemon has begun."""
    daemon.runtime_dir.mkdir(mode=0o700)
    command = [sys.executable, "-m", "bench.peers.subscriber_probe", str(daemon.runtime_dir), str(peers)]
    probe = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert probe.stdout is not None
        assert probe.stdout.readline() == "ready\n"
        yield probe
    finally:
        probe.kill()
        probe.wait()


def measure_daemon(
    *options: str,
    peers: int,
    limit: float = 180.0,
    history: bool = False,
    joined: Callable[[], object] = lambda: None,
) -> OurRun:
    """Start it with fresh state. `history`: with the process that keeps it, which is measured apart.

    `joined` is called once the daemon runs, and may make the server send the map.
    """
    daemon = Daemon("--hostname=bench", *options, history=history)
    with _subscriber(daemon, peers) as probe, daemon, Sampler(daemon.pid) as sampler:
        joined()
        try:
            said, _ = probe.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"nothing published within {limit:g} s; status: {daemon.status()}") from None
        result = json.loads(said)
        assert result["peers"] >= peers, result
        status = daemon.wait_fresh()
        began = started_at(daemon.pid)
        ended = sampler.wait_quiet(result["boottime"], limit)
        return OurRun(
            started=began,
            connection_started=started_at(status["connection"]["pid"]),
            fresh=result["boottime"],
            cpu=sampler.cpu_at(ended),
            peak_pss=sampler.peak_pss(),
            steady_pss=sampler.steady_pss(),
        )
