"""One change to 1 000 local subscribers: when the last one has it, and whether any missed one.

A bare XPUB of the same libzmq, which sends to the same subscribers in the same run, shows what no publisher could do
better. Deliveries that never come end it by TimeoutError.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from bench.figures import Figure, Figures, run_program
from bench.peers.bare_publisher import BarePublisher
from bench.peers.open_files import allow_files
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SUBSCRIBERS = 1_000
PEERS = 100
CHANGES, ROUNDS = 30, 3
SPACING = 0.25
"""Seconds between two changes: each meets subscribers at rest."""
GREETING = 0.1
"""Seconds between two heartbeats of the bare publisher, until all have heard one."""


@contextlib.contextmanager
def subscribers(endpoint: str, changes: int, beat: Callable[[], object]) -> Iterator[subprocess.Popen[str]]:
    """All of them in one process, each with its subscription in place. `beat()` sends them a heartbeat."""
    command = [sys.executable, "-m", "bench.peers.bare_subscribers", endpoint, str(SUBSCRIBERS), str(changes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        while not select.select([process.stdout], [], [], GREETING)[0]:
            beat()
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


class Deliveries:
    """Changes that were sent, and their arrivals."""

    def __init__(self) -> None:
        self._sent: list[tuple[int, float]] = []
        self._arrivals: dict[int, list[float]] = {}

    def send(self, number: int, change: Callable[[int], int]) -> None:
        """`change(number)` sends one and returns its seq."""
        moment = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._sent.append((change(number), moment))

    def arrived(self, process: subprocess.Popen[str]) -> None:
        """Take in what the subscribers report at their end."""
        said, _ = process.communicate(timeout=30)
        self._arrivals = {int(seq): moments for seq, moments in json.loads(said).items()}

    def late(self, share: float) -> list[float]:
        """Milliseconds after which this share of the deliveries was there, by round."""
        found = []
        for first in range(0, len(self._sent), CHANGES):
            latencies = sorted(
                1000 * (arrival - moment)
                for seq, moment in self._sent[first : first + CHANGES]
                for arrival in self._arrivals.get(seq, [])
            )
            found.append(latencies[int(len(latencies) * share)])
        return found

    @property
    def lost(self) -> int:
        return SUBSCRIBERS * len(self._sent) - sum(map(len, self._arrivals.values()))


def by_a_publisher(rounds: int) -> tuple[Deliveries, list[float]]:
    """Deliveries of the product, and its milliseconds of processor time for a change, by round."""
    deliveries, cpu = Deliveries(), []
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        publisher.wait_kind("commit", 20.0)

        def change(number: int) -> int:
            patch = {"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": number + 1}]}
            publisher.feed(json.dumps(patch).encode())
            return publisher.wait_kind("commit", 5.0).seq

        pace = threading.Event()
        with subscribers(publisher.endpoints.updates, rounds * CHANGES, lambda: None) as process:
            for number in range(rounds * CHANGES):
                if number % CHANGES == 0:
                    cpu.append(publisher.cpu_nanoseconds() / 1e6)
                deliveries.send(number, change)
                pace.wait(SPACING)
            cpu.append(publisher.cpu_nanoseconds() / 1e6)
            deliveries.arrived(process)
    return deliveries, [(after - before) / CHANGES for before, after in itertools.pairwise(cpu)]


def by_an_xpub(rounds: int) -> Deliveries:
    """Deliveries of libzmq alone."""
    deliveries = Deliveries()
    with BarePublisher() as publisher:

        def change(number: int) -> int:
            publisher.change(number + 1)
            return number + 1

        pace = threading.Event()
        with subscribers(publisher.endpoint, rounds * CHANGES, publisher.beat) as process:
            for number in range(rounds * CHANGES):
                deliveries.send(number, change)
                pace.wait(SPACING)
            deliveries.arrived(process)
    return deliveries


def measure(quick: bool) -> Figures:
    """Rounds of changes to the same subscribers."""
    rounds = 1 if quick else ROUNDS
    allow_files(8192)
    floor = by_an_xpub(rounds)
    ours, cpu = by_a_publisher(rounds)
    return {
        f"fed.{PEERS}.delivery_median": Figure.of("ms", ours.late(0.5)),
        f"fed.{PEERS}.delivery_p99": Figure.of("ms", ours.late(0.99)),
        f"fed.{PEERS}.bare_delivery_p99": Figure.of("ms", floor.late(0.99)),
        f"fed.{PEERS}.delivered_change_cpu": Figure.of("ms", cpu),
        f"fed.{PEERS}.deliveries_lost": Figure.of("", [ours.lost]),
    }


if __name__ == "__main__":
    run_program("fan_out", measure)
