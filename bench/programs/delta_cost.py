"""What one peer's change costs the publisher, with 100 peers and with 50 000: it must not depend on their number."""

from __future__ import annotations

import json
import random
import statistics
import sys
import time

from bench.figures import Figure, report
from bench.peers.publisher_process import PublisherProcess, full_map, node

FEW, MANY = 100, 50_000
CHANGES = 500
RATIO = 2.0
CPU_BOUND = 1.0
"""Milliseconds of the publisher's CPU for one change."""


def changes(peers: int) -> list[bytes]:
    """Alternately a peer going off or on line (as a patch) and a peer sent whole with a new key."""
    rng = random.Random(peers)
    documents = []
    for number in range(CHANGES):
        target = rng.randrange(2, peers + 2)
        if number % 2:
            change = {
                "PeersChangedPatch": [{"NodeID": target, "Online": number % 4 == 1, "DERPRegion": number}]
            }
        else:
            change = {"PeersChanged": [node(rng, target)]}
        documents.append(json.dumps(change, separators=(",", ":")).encode())
    return documents


def measure(peers: int) -> tuple[float, float]:
    """Median milliseconds from MapResponse in to commit out, and milliseconds of CPU for each change."""
    documents = changes(peers)
    with PublisherProcess() as publisher:
        publisher.feed(full_map(peers))
        publisher.wait_kind("commit", 60.0)
        publisher.wait_quiet()
        times: list[float] = []
        cpu = publisher.cpu_nanoseconds()
        for document in documents:
            began = time.perf_counter()
            publisher.feed(document)
            publisher.wait_kind("commit", 10.0)
            times.append(1000 * (time.perf_counter() - began))
        cpu = publisher.cpu_nanoseconds() - cpu
    return statistics.median(times), cpu / 1e6 / CHANGES


def main() -> int:
    few, few_cpu = measure(FEW)
    many, many_cpu = measure(MANY)
    figures = [
        Figure(f"{FEW} peers: change in to update out", few, "ms"),
        Figure(f"{MANY} peers: change in to update out", many, "ms"),
        Figure(f"{FEW} peers: CPU of one change", few_cpu, "ms"),
        Figure(f"{MANY} peers: CPU of one change", many_cpu, "ms", CPU_BOUND),
        Figure(f"time with {MANY} ÷ time with {FEW}", many / few, "", RATIO),
    ]
    return report("delta_cost", figures)


if __name__ == "__main__":
    sys.exit(main())
