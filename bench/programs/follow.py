"""1 000 Subscribers of the client library and 100 changes: every one of them is told of every change, in order.

The subscribers decode and apply what they get, on the same cores as the publisher: how soon a message is at a
subscriber's socket is what `fan_out` measures.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import zmq

from bench.figures import Figure, report
from bench.peers.publisher_process import PublisherProcess, full_map
from bench.programs.fan_out import allow_files
from netmap_supervisor import Subscriber

SUBSCRIBERS, WORKERS = 1_000, 4
PEERS, CHANGES = 100, 100
SPACING = 0.5
"""Seconds between two changes: 1 000 replicas on two cores need some of it to apply one."""


def worker(updates: str, requests: str, count: int) -> None:
    """`count` subscribers in this process; prints `ready`, then what each one was told, as lists of DERP regions."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 2 * count + 8)
    poller = zmq.Poller()
    owners: dict[zmq.Socket[bytes], Subscriber] = {}
    told: dict[Subscriber, list[int]] = {}
    for _ in range(count):
        subscriber = Subscriber(endpoint=(updates, requests), context=context)
        told[subscriber] = []
        for socket in subscriber.sockets:
            owners[socket] = subscriber
            poller.register(socket, zmq.POLLIN)
    whole: set[Subscriber] = set()
    deadline = time.monotonic() + 240.0
    while time.monotonic() < deadline and any(len(regions) < CHANGES for regions in told.values()):
        ready = {owners[socket] for socket, _ in poller.poll(200)}
        for subscriber in ready or told:
            for event in subscriber.poll():
                if event.kind == "peer_upserted":
                    told[subscriber].append(event.peer.home_derp)
                elif event.kind == "snapshot":
                    whole.add(subscriber)
                    if len(whole) == count:
                        print("ready", flush=True)
    print(json.dumps(list(told.values())), flush=True)
    for subscriber in told:
        subscriber.close()
    context.term()


def main() -> int:
    allow_files(8192)
    if len(sys.argv) == 4:
        worker(sys.argv[1], sys.argv[2], int(sys.argv[3]))
        return 0
    share = SUBSCRIBERS // WORKERS
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        publisher.wait_kind("commit", 20.0)
        endpoints = publisher.endpoints
        command = [
            sys.executable,
            "-m",
            "bench.programs.follow",
            endpoints.updates,
            endpoints.requests,
            str(share),
        ]
        began = time.monotonic()
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
        try:
            for process in workers:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            whole = time.monotonic() - began
            pace = threading.Event()
            for number in range(CHANGES):
                patch = {"PeersChangedPatch": [{"NodeID": 2 + number % PEERS, "DERPRegion": number + 1}]}
                publisher.feed(json.dumps(patch).encode())
                pace.wait(SPACING)
            ended = time.monotonic()
            told = [one for process in workers for one in json.loads(process.communicate(timeout=120)[0])]
            late = time.monotonic() - ended
        finally:
            for process in workers:
                process.kill()
                process.wait()
    expected = list(range(1, CHANGES + 1))
    figures = [
        Figure(f"{SUBSCRIBERS} subscribers started and whole", whole, "s"),
        Figure(
            "subscribers not told of each change once and in order",
            sum(one != expected for one in told),
            "",
            0.0,
        ),
        Figure("subscribers that ended early", SUBSCRIBERS - len(told), "", 0.0),
        Figure("from the last change to the last subscriber's end", late, "s"),
    ]
    return report("follow", figures)


if __name__ == "__main__":
    sys.exit(main())
