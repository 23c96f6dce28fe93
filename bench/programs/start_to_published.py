"""From the start of control_connection to a published netmap, against tailscaled and the same testcontrol.

Published: the state is fresh and one subscriber holds the whole netmap.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, report
from bench.instruments.process_tree import Sampler, started_at
from bench.peers.tailscaled import measure_tailscaled
from tests.support.peers.go_tools import build
from tests.support.peers.testcontrol import control_slot, running_control
from tests.support.processes.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
SMALL = 10
TIME_RATIO = {10_000: 1.0, 50_000: 0.5}
MEMORY_RATIO = {10_000: 1.0, 50_000: 0.5}
SMALL_MEMORY = 100.0
"""MiB for the whole tree with a small tailnet."""


@dataclass(frozen=True)
class OurRun:
    """One start of the daemon. Seconds, CPU seconds of the whole tree, bytes."""

    published_after: float
    """Since the start of the control_connection process."""
    since_daemon: float
    """The same moment since the start of the Supervisor."""
    busy_until: float
    cpu: float
    """From the start of control_connection to quiet."""
    cpu_start: float
    """What came before: interpreters, the Supervisor, publisher and liveness."""
    subscriber_cpu: float
    peak_pss: int
    steady_pss: int


def measure_daemon(control_url: str, peers: int, limit: float = 180.0) -> OurRun:
    """Start the daemon with fresh state and wait until one subscriber holds everything."""
    daemon = Daemon(f"--control-url={control_url}", "--hostname=bench")
    probe_command = [
        sys.executable,
        "-m",
        "bench.peers.subscriber_probe",
        str(daemon.runtime_dir),
        str(peers),
    ]
    daemon.runtime_dir.mkdir(mode=0o700)
    probe = subprocess.Popen(probe_command, stdout=subprocess.PIPE, text=True)
    try:
        assert probe.stdout is not None
        assert probe.stdout.readline() == "ready\n"
        with daemon, Sampler(daemon.pid) as sampler:
            try:
                said, _ = probe.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                raise TimeoutError(
                    f"nothing published within {limit:g} s; status: {daemon.status()}"
                ) from None
            result = json.loads(said)
            assert result["peers"] == peers, result
            status = daemon.wait_fresh()
            began = started_at(status["connection"]["pid"])
            ended = sampler.wait_quiet(began, limit)
            return OurRun(
                published_after=result["boottime"] - began,
                since_daemon=result["boottime"] - started_at(daemon.pid),
                busy_until=ended - began,
                cpu=sampler.cpu_at(ended) - sampler.cpu_at(began),
                cpu_start=sampler.cpu_at(began),
                subscriber_cpu=result["cpu"],
                peak_pss=sampler.peak_pss(),
                steady_pss=sampler.steady_pss(),
            )
    finally:
        probe.kill()
        probe.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    tools = build()
    figures: list[Figure] = []
    details: dict[str, object] = {}

    def with_control(nodes: int, measure: Callable[[str], object]) -> object:
        with (
            tempfile.TemporaryDirectory() as scratch,
            control_slot(),
            running_control(tools / "testcontrol", nodes, Path(scratch) / "log") as control,
        ):
            return measure(control.url)

    small = with_control(SMALL, lambda url: measure_daemon(url, SMALL))
    assert isinstance(small, OurRun)
    details[str(SMALL)] = {"ours": asdict(small)}
    figures.append(
        Figure(f"{SMALL} peers: memory of the tree, peak", small.peak_pss / MIB, "MiB", SMALL_MEMORY)
    )
    for nodes in options.nodes:
        ours: list[OurRun] = []
        theirs = []
        for _ in range(options.rounds):
            # In turns, so that a change of the machine's mood meets both.
            theirs.append(with_control(nodes, lambda url: measure_tailscaled(tools, url)))
            one = with_control(nodes, lambda url, nodes=nodes: measure_daemon(url, nodes))
            assert isinstance(one, OurRun)
            ours.append(one)

        def median(runs: list[object] | list[OurRun], field: str) -> float:
            return float(statistics.median(getattr(run, field) for run in runs))

        busy, peak = median(theirs, "busy_until"), median(theirs, "peak_pss") / MIB
        published, our_peak = median(ours, "published_after"), median(ours, "peak_pss") / MIB
        figures += [
            Figure(f"{nodes} peers: tailscaled says Running", median(theirs, "running_after"), "s"),
            Figure(f"{nodes} peers: tailscaled busy until", busy, "s"),
            Figure(f"{nodes} peers: tailscaled CPU", median(theirs, "cpu"), "s"),
            Figure(f"{nodes} peers: tailscaled memory, peak", peak, "MiB"),
            Figure(f"{nodes} peers: published", published, "s"),
            Figure(f"{nodes} peers: published since the daemon's start", median(ours, "since_daemon"), "s"),
            Figure(f"{nodes} peers: busy until", median(ours, "busy_until"), "s"),
            Figure(f"{nodes} peers: CPU of the tree", median(ours, "cpu"), "s"),
            Figure(f"{nodes} peers: memory of the tree, steady", median(ours, "steady_pss") / MIB, "MiB"),
            Figure(f"{nodes} peers: memory of the tree, peak", our_peak, "MiB"),
            Figure(f"{nodes} peers: published ÷ busy until", published / busy, "", TIME_RATIO.get(nodes)),
            Figure(f"{nodes} peers: peak ÷ peak", our_peak / peak, "", MEMORY_RATIO.get(nodes)),
        ]
        details[str(nodes)] = {
            "ours": [asdict(run) for run in ours],
            "tailscaled": [asdict(run) for run in theirs],
        }
    return report("start_to_published", figures, details)


if __name__ == "__main__":
    sys.exit(main())
