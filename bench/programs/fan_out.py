"""One change to 1 000 local subscribers: when the last one has it, and whether any missed one.

Each subscribes to all topics, so that a change is an update and a commit. A bare XPUB of the same libzmq, which sends
the same messages to as many subscribers in the same run, shows what no publisher could do better. Deliveries that never
come end it by TimeoutError.
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
from bench.peers.bare_subscribers import COMMIT, HEARTBEAT
from bench.peers.open_files import allow_files
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map
from netmap_actors.wire import netmap_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import zmq

Transaction = list[list[bytes]]
"""The messages of one change, each as topic and body, the commit last."""

SUBSCRIBERS = 1_000
PEERS = 100
CHANGES, ROUNDS = 30, 3
SPACING = 0.25
"""Seconds between two changes: each meets subscribers at rest."""
LIMIT_MS = 20_000
"""Milliseconds in which a change has to be sent."""
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


def next_transaction(updates: zmq.Socket[bytes]) -> Transaction:
    """Wait for the next change. Raises TimeoutError."""
    messages: Transaction = []
    while not messages or messages[-1][0] != COMMIT:
        if not updates.poll(LIMIT_MS):
            raise TimeoutError(f"no commit within {LIMIT_MS} ms")
        message = updates.recv_multipart()
        if message[0] != HEARTBEAT:
            messages.append(message)
    return messages


class Deliveries:
    """Changes that were sent, and their arrivals."""

    def __init__(self) -> None:
        self._sent: list[tuple[int, float]] = []
        self._arrivals: dict[int, list[float]] = {}

    def sent(self, transaction: Transaction, moment: float) -> None:
        """It was sent at this moment (CLOCK_BOOTTIME)."""
        self._sent.append((netmap_pb2.BusMessage.FromString(transaction[-1][1]).seq, moment))

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


def by_a_publisher(rounds: int) -> tuple[Deliveries, list[float], list[Transaction]]:
    """Deliveries of the product, its milliseconds of processor time for a change, by round, and what it sent."""
    deliveries, cpu, transactions = Deliveries(), [], []
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        next_transaction(publisher.updates)
        pace = threading.Event()
        with subscribers(publisher.endpoints.updates, rounds * CHANGES, lambda: None) as process:
            for number in range(rounds * CHANGES):
                if number % CHANGES == 0:
                    cpu.append(publisher.cpu_nanoseconds() / 1e6)
                patch = {"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": number + 1}]}
                moment = time.clock_gettime(time.CLOCK_BOOTTIME)
                publisher.feed(json.dumps(patch).encode())
                pace.wait(SPACING)
                # Read when all have it: reading takes a core that the publisher and the subscribers need.
                transactions.append(next_transaction(publisher.updates))
                deliveries.sent(transactions[-1], moment)
            cpu.append(publisher.cpu_nanoseconds() / 1e6)
            deliveries.arrived(process)
    return deliveries, [(after - before) / CHANGES for before, after in itertools.pairwise(cpu)], transactions


def by_an_xpub(transactions: list[Transaction]) -> Deliveries:
    """Deliveries of libzmq alone, of the same messages."""
    deliveries = Deliveries()
    with BarePublisher() as publisher:
        pace = threading.Event()
        with subscribers(publisher.endpoint, len(transactions), publisher.beat) as process:
            for transaction in transactions:
                moment = time.clock_gettime(time.CLOCK_BOOTTIME)
                publisher.send(transaction)
                deliveries.sent(transaction, moment)
                pace.wait(SPACING)
            deliveries.arrived(process)
    return deliveries


def measure(quick: bool) -> Figures:
    """Rounds of changes to the same subscribers."""
    rounds = 1 if quick else ROUNDS
    allow_files(8192)
    ours, cpu, transactions = by_a_publisher(rounds)
    floor = by_an_xpub(transactions)
    return {
        f"fed.{PEERS}.delivery_median": Figure.of("ms", ours.late(0.5)),
        f"fed.{PEERS}.delivery_p99": Figure.of("ms", ours.late(0.99)),
        f"fed.{PEERS}.bare_delivery_p99": Figure.of("ms", floor.late(0.99)),
        f"fed.{PEERS}.delivered_change_cpu": Figure.of("ms", cpu),
        f"fed.{PEERS}.deliveries_lost": Figure.of("", [ours.lost]),
    }


if __name__ == "__main__":
    run_program("fan_out", measure)
