"""From `run` with the embedded control server to fresh, beside `python -c pass`."""

from __future__ import annotations

import statistics

from bench.figures import Figure, Figures, run_program
from bench.instruments.yardstick import empty_interpreter
from bench.peers.our_daemon import measure_daemon

PEERS = 8
"""Simulated nodes of the embedded server."""
ROUNDS = 10
MIB = 2**20


def measure(quick: bool) -> Figures:
    """Each round both."""
    passes, runs = [], []
    for _ in range(3 if quick else ROUNDS):
        passes.append(statistics.median(empty_interpreter() for _ in range(3)))
        runs.append(measure_daemon("--control-url=embedded", peers=PEERS))
    times = [1000 * (one.fresh - one.started) for one in runs]
    return {
        f"embedded.{PEERS}.run_to_fresh": Figure.of("ms", times),
        f"embedded.{PEERS}.run_to_fresh/pass": Figure.ratio(times, passes),
        f"embedded.{PEERS}.pass": Figure.of("ms", passes),
        f"embedded.{PEERS}.pss_peak": Figure.of("MiB", [one.peak_pss / MIB for one in runs]),
    }


if __name__ == "__main__":
    run_program("embedded_start", measure)
