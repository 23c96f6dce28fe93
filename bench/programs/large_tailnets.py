"""Netmaps larger than any server of ours or tailscale's serves: what it costs to receive and hold them.

A running daemon is sent the whole map by our own control server, which is in Python as well: its own share, to compress
and to encrypt, is the larger part of the time.
"""

from __future__ import annotations

import subprocess
import sys

from bench.figures import Figure, Figures, run_program
from bench.peers.our_daemon import measure_daemon

SIZES = ((250_000, "small"), (100_000, "real"))
QUICK_SIZES = ((25_000, "small"), (10_000, "real"))
MIB = 2**20
HOLD_LIMIT = 300.0
"""Seconds."""


def measure_one(peers: int, kind: str) -> Figures:
    """One tailnet, once."""
    command = [sys.executable, "-m", "bench.peers.map_sender", str(peers), kind]
    sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert sender.stdin is not None
        assert sender.stdout is not None
        url = sender.stdout.readline().strip()
        ours = measure_daemon(
            f"--control-url={url}",
            peers=peers,
            limit=HOLD_LIMIT,
            joined=lambda: print("send", file=sender.stdin, flush=True),
        )
        moment, size = map(float, sender.stdout.readline().split())
        print(ours.fresh, file=sender.stdin, flush=True)
        last_written = float(sender.stdout.readline())
    finally:
        sender.kill()
        sender.wait()
    name = f"embedded.{peers}-{kind}"
    return {
        f"{name}.map_size": Figure.of("MiB", [size / MIB]),
        f"{name}.sent_to_fresh": Figure.of("s", [ours.fresh - moment]),
        f"{name}.server": Figure.of("s", [last_written - moment]),
        f"{name}.last_byte_to_fresh": Figure.of("s", [ours.fresh - last_written]),
        f"{name}.cpu": Figure.of("s", [ours.cpu]),
        f"{name}.pss_peak": Figure.of("MiB", [ours.peak_pss / MIB]),
        f"{name}.pss_steady": Figure.of("MiB", [ours.steady_pss / MIB]),
    }


def measure(quick: bool) -> Figures:
    """Small nodes and real ones."""
    figures: Figures = {}
    for peers, kind in QUICK_SIZES if quick else SIZES:
        figures |= measure_one(peers, kind)
    return figures


if __name__ == "__main__":
    run_program("large_tailnets", measure)
