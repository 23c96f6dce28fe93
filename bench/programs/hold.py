"""50 000 peers and 100 changes a second for a minute, while others come, take the snapshot and follow from there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.figures import Figure, report
from bench.peers.publisher_process import PublisherProcess, full_map

PEERS, RATE, SECONDS = 50_000, 100, 60
JOINERS = (10, 25, 40)
"""Seconds after which a subscriber comes that has nothing yet."""
STALL_BOUND = 50.0
"""Milliseconds an update may wait for a snapshot that is being sent."""
CHANGES = RATE * SECONDS


def joiner(updates: str, requests: str) -> None:
    """A Subscriber that comes late; prints when it is whole, and at its end the DERP region of every peer it holds."""
    from netmap_supervisor import Subscriber  # noqa: PLC0415

    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with Subscriber(endpoint=(updates, requests)) as subscriber:
        assert subscriber.wait_for_answer(60.0)
        whole = time.clock_gettime(time.CLOCK_BOOTTIME)
        sys.stdin.readline()
        last = int(sys.stdin.readline())
        assert subscriber.wait_for(lambda view: view.seq >= last, 30.0)
        regions = {
            peer.id: peer.home_derp for peer in subscriber.store.netmap.peers.values() if peer.home_derp
        }
        print(json.dumps({"whole": whole - began, "at": [began, whole], "regions": regions}), flush=True)


def start_joiner(publisher: PublisherProcess) -> subprocess.Popen[str]:
    endpoints = publisher.endpoints
    command = [sys.executable, "-m", "bench.programs.hold", endpoints.updates, endpoints.requests]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def memory(pid: int) -> float:
    """Resident MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def main() -> int:
    if len(sys.argv) == 3:
        joiner(*sys.argv[1:])
        return 0
    rng = random.Random(1)
    truth: dict[int, int] = {}
    sent: list[float] = []
    waits: list[tuple[float, float]] = []
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        first = publisher.wait_kind("commit", 60.0).seq
        publisher.wait_quiet()
        before, cpu = memory(publisher.pid), publisher.cpu_nanoseconds()
        joiners: list[subprocess.Popen[str]] = []
        pace = threading.Event()
        last = first

        def listen() -> None:
            nonlocal last
            for number in range(CHANGES):
                last = publisher.wait_kind("commit", 10.0).seq
                now = time.clock_gettime(time.CLOCK_BOOTTIME)
                waits.append((now, 1000 * (now - sent[number])))

        ear = threading.Thread(target=listen)
        ear.start()
        began = time.clock_gettime(time.CLOCK_BOOTTIME)
        for number in range(CHANGES):
            target, region = rng.randrange(2, PEERS + 2), 1 + number % 900
            truth[target] = region
            due = began + number / RATE
            pace.wait(max(0.0, due - time.clock_gettime(time.CLOCK_BOOTTIME)))
            sent.append(time.clock_gettime(time.CLOCK_BOOTTIME))
            patch = {"PeersChangedPatch": [{"NodeID": target, "DERPRegion": region}]}
            publisher.feed(json.dumps(patch).encode())
            if number / RATE in JOINERS:
                joiners.append(start_joiner(publisher))
        ear.join()
        took = time.clock_gettime(time.CLOCK_BOOTTIME) - began
        cpu = publisher.cpu_nanoseconds() - cpu
        after = memory(publisher.pid)
        told = [json.loads(process.communicate(f"\n{last}\n")[0]) for process in joiners]
    wrong = sum({int(key): region for key, region in one["regions"].items()} != truth for one in told)
    joining = [wait for at, wait in waits if any(one["at"][0] <= at <= one["at"][1] + 0.1 for one in told)]
    all_waits = sorted(wait for _, wait in waits)
    figures = [
        Figure("changes not published within the minute", CHANGES - len(waits), "", 0.0),
        Figure("time for a minute's changes", took, "s", SECONDS * 1.05),
        Figure("median from MapResponse in to commit out", all_waits[len(all_waits) // 2], "ms"),
        Figure("p99 from MapResponse in to commit out", all_waits[len(all_waits) * 99 // 100], "ms"),
        Figure("longest while a snapshot is taken", max(joining), "ms", STALL_BOUND),
        Figure("slowest of those who came late to be whole", max(one["whole"] for one in told), "s"),
        Figure("late ones whose netmap is not exact", wrong, "", 0.0),
        Figure("the publisher's share of a core", cpu / 1e9 / took, "", 0.3),
        Figure("memory of the publisher before", before, "MiB"),
        Figure("memory of the publisher after", after, "MiB", before * 1.25 + 20),
    ]
    return report("hold", figures)


if __name__ == "__main__":
    sys.exit(main())
