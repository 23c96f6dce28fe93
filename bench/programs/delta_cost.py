"""What one peer's change costs the publisher, with 100 peers and with 250 000: it must not depend on their number."""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from bench.figures import Figure, Figures, run_program
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map, node

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW, MANY = 100, 250_000
BATCH = 100
BATCHES = 20
MAP_LIMIT = 180.0
"""Seconds for the first map."""


class Cost(NamedTuple):
    """Milliseconds for one change."""

    times: list[float]
    """From MapResponse in to commit out."""
    cpu: list[float]
    """All threads of the publisher, from socket to socket; one value for each batch."""


def changes(peers: int) -> Iterator[bytes]:
    """Alternately a peer going off or on line (as a patch) and a peer sent whole with a new key."""
    rng = random.Random(peers)
    for number in itertools.count():
        target = rng.randrange(2, peers + 2)
        if number % 2:
            change = {
                "PeersChangedPatch": [{"NodeID": target, "Online": number % 4 == 1, "DERPRegion": number}]
            }
        else:
            change = {"PeersChanged": [node(rng, target)]}
        yield json.dumps(change, separators=(",", ":")).encode()


def cost(peers: int, batches: int) -> Cost:
    """Batch by batch, each change after the one before has come out: what disturbs the machine meets few batches."""
    source = changes(peers)
    found = Cost([], [])
    with PublisherProcess() as publisher:
        publisher.feed(full_map(peers))
        publisher.wait_kind("commit", MAP_LIMIT)
        publisher.wait_quiet()
        for _ in range(batches):
            documents = list(itertools.islice(source, BATCH))
            cpu = publisher.cpu_nanoseconds()
            for document in documents:
                began = time.perf_counter()
                publisher.feed(document)
                publisher.wait_kind("commit", 10.0)
                found.times.append(1000 * (time.perf_counter() - began))
            found.cpu.append((publisher.cpu_nanoseconds() - cpu) / 1e6 / BATCH)
    return found


def measure(quick: bool) -> Figures:
    """With few peers and with many."""
    batches = 4 if quick else BATCHES
    figures: Figures = {}
    found = {peers: cost(peers, batches) for peers in (FEW, MANY)}
    for peers, one in found.items():
        figures[f"fed.{peers}.change_time"] = Figure.of("ms", one.times)
        figures[f"fed.{peers}.change_cpu"] = Figure.of("ms", one.cpu)
    figures[f"fed.{MANY}.change_cpu/{FEW}"] = Figure.of("", [min(found[MANY].cpu) / min(found[FEW].cpu)])
    return figures


if __name__ == "__main__":
    run_program("delta_cost", measure)
