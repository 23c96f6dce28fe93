"""50 000 peers and 100 changes a second for a minute, while others come, take the snapshot and follow from there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.figures import Figure, Figures, run_program
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map

PEERS, RATE, SECONDS = 50_000, 100, 60
JOINERS = 3
"""Subscribers that come while it runs and have nothing yet."""


def start_joiner(publisher: PublisherProcess) -> subprocess.Popen[str]:
    """One of them."""
    ends = publisher.endpoints
    command = [sys.executable, "-m", "bench.peers.late_subscriber", ends.updates, ends.requests]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def memory(pid: int) -> float:
    """Resident MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def measure(quick: bool) -> Figures:
    """One minute; a quick one has fifteen seconds, and its time is scaled to the minute."""
    seconds = 15 if quick else SECONDS
    changes = RATE * seconds
    joins = {RATE * seconds * (2 * number + 1) // (2 * JOINERS) for number in range(JOINERS)}
    rng = random.Random(1)
    truth: dict[int, int] = {}
    sent: list[float] = []
    waits: list[tuple[float, float]] = []
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        last = publisher.wait_kind("commit", 60.0).seq
        publisher.wait_quiet()
        before, cpu = memory(publisher.pid), publisher.cpu_nanoseconds()
        joiners: list[subprocess.Popen[str]] = []
        pace = threading.Event()

        def listen() -> None:
            nonlocal last
            for number in range(changes):
                last = publisher.wait_kind("commit", 10.0).seq
                now = time.clock_gettime(time.CLOCK_BOOTTIME)
                waits.append((now, 1000 * (now - sent[number])))

        ear = threading.Thread(target=listen)
        ear.start()
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        for number in range(changes):
            target, region = rng.randrange(2, PEERS + 2), 1 + number % 900
            truth[target] = region
            due = began + number / RATE
            pace.wait(max(0.0, due - time.clock_gettime(time.CLOCK_BOOTTIME)))
            sent.append(time.clock_gettime(time.CLOCK_BOOTTIME))
            patch = {"PeersChangedPatch": [{"NodeID": target, "DERPRegion": region}]}
            publisher.feed(json.dumps(patch).encode())
            if number in joins:
                joiners.append(start_joiner(publisher))
        ear.join()
        took = time.clock_gettime(time.CLOCK_BOOTTIME) - began
        cpu = publisher.cpu_nanoseconds() - cpu
        after = memory(publisher.pid)
        told = [json.loads(process.communicate(f"\n{last}\n")[0]) for process in joiners]
    assert len(waits) == changes, f"{changes - len(waits)} changes were not published"
    wrong = sum({int(key): region for key, region in one["regions"].items()} != truth for one in told)
    stalls = [
        max(wait for at, wait in waits if one["at"][0] <= at <= one["at"][1] + 0.1)
        for one in told
    ]  # fmt: skip
    return {
        f"fed.{PEERS}.time_for_changes": Figure.of("s", [took * SECONDS / seconds]),
        f"fed.{PEERS}.change_wait": Figure.of("ms", [wait for _, wait in waits]),
        f"fed.{PEERS}.stall": Figure.of("ms", [max(stalls)]),
        f"fed.{PEERS}.late_ones_whole": Figure.of("s", [one["whole"] for one in told]),
        f"fed.{PEERS}.late_ones_wrong": Figure.of("", [wrong]),
        f"fed.{PEERS}.publisher_share": Figure.of("", [cpu / 1e9 / took]),
        f"fed.{PEERS}.publisher_memory": Figure.of("MiB", [after]),
        f"fed.{PEERS}.growth": Figure.of("", [after / (before + 16)]),
    }


if __name__ == "__main__":
    run_program("hold", measure)
