"""One change to 1 000 local subscribers: when the last one has it, and whether any missed one."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import threading
import time

import zmq

from bench.figures import Figure, report
from bench.peers.publisher_process import PublisherProcess, full_map
from netmap_actors.wire import netmap_pb2

SUBSCRIBERS, WORKERS = 1_000, 4
CHANGES = 30
SPACING = 0.25
"""Seconds between two changes: each meets subscribers at rest."""
BOUND = 100.0
"""Milliseconds for 99 of 100 deliveries."""


def allow_files(count: int) -> None:
    """Raise the soft limit of open files, as far as the hard one lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def worker(endpoint: str, count: int) -> None:
    """`count` subscribers in this process; prints `ready`, then every arrival of a commit as [seq, moment]."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, count + 8)
    poller = zmq.Poller()
    greeted: set[zmq.Socket[bytes]] = set()
    for _ in range(count):
        socket = context.socket(zmq.SUB)
        socket.subscribe(b"netmap/1/commit")
        socket.subscribe(b"netmap/1/heartbeat")
        socket.connect(endpoint)
        poller.register(socket, zmq.POLLIN)
    arrivals: dict[int, list[float]] = {}
    while True:
        events = poller.poll(5_000)
        if not events:
            raise TimeoutError("no heartbeat for 5 s")
        for socket, _ in events:
            topic, body = socket.recv_multipart()[:2]
            now = time.clock_gettime(time.CLOCK_BOOTTIME)
            if topic == b"netmap/1/heartbeat":
                if len(greeted) < count:
                    greeted.add(socket)
                    if len(greeted) == count:
                        print("ready", flush=True)
                continue
            seq = netmap_pb2.BusMessage.FromString(body).seq
            arrivals.setdefault(seq, []).append(now)
        if sum(map(len, arrivals.values())) >= count * CHANGES:
            break
    print(json.dumps(arrivals), flush=True)
    context.destroy(linger=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", nargs=2, metavar=("ENDPOINT", "COUNT"))
    options = parser.parse_args()
    allow_files(8192)
    if options.worker:
        worker(options.worker[0], int(options.worker[1]))
        return 0
    share = SUBSCRIBERS // WORKERS
    sent: dict[int, float] = {}
    latencies: list[float] = []
    with PublisherProcess() as publisher:
        publisher.feed(full_map(100))
        publisher.wait_kind("commit", 20.0)
        command = [
            sys.executable,
            "-m",
            "bench.programs.fan_out",
            "--worker",
            publisher.endpoints.updates,
            str(share),
        ]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
        try:
            for process in workers:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            pace = threading.Event()
            for number in range(CHANGES):
                moment = time.clock_gettime(time.CLOCK_BOOTTIME)
                publisher.feed(
                    json.dumps({"PeersChangedPatch": [{"NodeID": 2, "DERPRegion": number + 1}]}).encode()
                )
                sent[publisher.wait_kind("commit", 5.0).seq] = moment
                pace.wait(SPACING)
            for process in workers:
                said, _ = process.communicate(timeout=30)
                for seq, moments in json.loads(said).items():
                    latencies += [1000 * (moment - sent[int(seq)]) for moment in moments]
        finally:
            for process in workers:
                process.kill()
                process.wait()
    latencies.sort()
    figures = [
        Figure(f"{SUBSCRIBERS} subscribers: median delivery", latencies[len(latencies) // 2], "ms"),
        Figure(
            f"{SUBSCRIBERS} subscribers: p99 of delivery", latencies[len(latencies) * 99 // 100], "ms", BOUND
        ),
        Figure("deliveries lost", SUBSCRIBERS * CHANGES - len(latencies), "", 0.0),
    ]
    return report("fan_out", figures)


if __name__ == "__main__":
    sys.exit(main())
