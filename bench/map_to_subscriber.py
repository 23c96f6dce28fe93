"""From a full map of 50 000 peers, whole at the publisher, to a subscriber in another process that holds it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from bench.publisher_process import PublisherProcess, full_map

from bench.figures import Figure, report
from netmap_supervisor import Subscriber

PEERS = 50_000
BOUND = 0.5
"""Seconds."""


def reader(updates: str, requests: str) -> None:
    """A Subscriber that is there before the map; prints when it holds it, and the CPU time that took it."""
    with Subscriber(endpoint=(updates, requests)) as subscriber:
        assert subscriber.wait_for_answer(60.0)
        print("ready", flush=True)
        cpu = time.process_time()
        subscriber.wait_for(lambda view: len(view.netmap.peers) == PEERS, timeout=120.0)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        print(json.dumps({"held": now, "cpu": time.process_time() - cpu}), flush=True)


def peak(pid: int) -> float:
    """Greatest resident MiB so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> int:
    if len(sys.argv) == 3:
        reader(*sys.argv[1:])
        return 0
    document = full_map(PEERS)
    with PublisherProcess() as publisher:
        endpoints = publisher.endpoints
        command = [sys.executable, "-m", "bench.map_to_subscriber", endpoints.updates, endpoints.requests]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            cpu = publisher.cpu_nanoseconds()
            began = time.clock_gettime(time.CLOCK_BOOTTIME)
            publisher.feed(document)
            publisher.wait_kind("commit", 60.0)
            published = time.clock_gettime(time.CLOCK_BOOTTIME) - began
            told = json.loads(process.stdout.readline())
        cpu = publisher.cpu_nanoseconds() - cpu
        most = peak(publisher.pid)
    figures = [
        Figure(f"{PEERS} peers: map in to commit out", published, "s"),
        Figure(f"{PEERS} peers: map in to a subscriber that holds them", told["held"] - began, "s", BOUND),
        Figure("CPU of the publisher for it", cpu / 1e9, "s"),
        Figure("CPU of the subscriber for it", told["cpu"], "s"),
        Figure("most memory of the publisher", most, "MiB"),
    ]
    return report("map_to_subscriber", figures)


if __name__ == "__main__":
    sys.exit(main())
