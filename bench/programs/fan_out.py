"""One change to 1 000 local subscribers: when the last one has it, and whether any missed one."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time

from bench.figures import Figure, Figures, run_program
from bench.peers.open_files import allow_files
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map

SUBSCRIBERS, WORKERS = 1_000, 4
PEERS = 100
CHANGES, ROUNDS = 30, 3
SPACING = 0.25
"""Seconds between two changes: each meets subscribers at rest."""


def measure(quick: bool) -> Figures:
    """Rounds of changes to the same subscribers; deliveries that never come end it by TimeoutError."""
    rounds = 1 if quick else ROUNDS
    allow_files(8192)
    sent: list[tuple[int, float]] = []
    arrivals: dict[int, list[float]] = {}
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        publisher.wait_kind("commit", 20.0)
        command = [sys.executable, "-m", "bench.peers.bare_subscribers", publisher.endpoints.updates]
        command += [str(SUBSCRIBERS // WORKERS), str(rounds * CHANGES)]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
        try:
            for process in workers:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            pace = threading.Event()
            cpu: list[float] = []
            for number in range(rounds * CHANGES):
                if number % CHANGES == 0:
                    cpu.append(publisher.cpu_nanoseconds() / 1e6)
                moment = time.clock_gettime(time.CLOCK_BOOTTIME)
                publisher.feed(
                    json.dumps({"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": number + 1}]}).encode()
                )
                sent.append((publisher.wait_kind("commit", 5.0).seq, moment))
                pace.wait(SPACING)
            cpu.append(publisher.cpu_nanoseconds() / 1e6)
            for process in workers:
                said, _ = process.communicate(timeout=30)
                for seq, moments in json.loads(said).items():
                    arrivals.setdefault(int(seq), []).extend(moments)
        finally:
            for process in workers:
                process.kill()
                process.wait()
    medians, late = [], []
    for first in range(0, len(sent), CHANGES):
        latencies = sorted(
            1000 * (arrival - moment)
            for seq, moment in sent[first : first + CHANGES]
            for arrival in arrivals.get(seq, [])
        )
        medians.append(latencies[len(latencies) // 2])
        late.append(latencies[len(latencies) * 99 // 100])
    lost = SUBSCRIBERS * len(sent) - sum(map(len, arrivals.values()))
    return {
        f"fed.{PEERS}.delivery_median": Figure.of("ms", medians),
        f"fed.{PEERS}.delivery_p99": Figure.of("ms", late),
        f"fed.{PEERS}.delivered_change_cpu": Figure.of(
            "ms", [(after - before) / CHANGES for before, after in itertools.pairwise(cpu)]
        ),
        f"fed.{PEERS}.deliveries_lost": Figure.of("", [lost]),
    }


if __name__ == "__main__":
    run_program("fan_out", measure)
