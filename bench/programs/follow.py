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

from bench.figures import Figure, Figures, run_program
from bench.peers.open_files import allow_files
from bench.peers.publisher_process import PublisherProcess
from bench.peers.tailnets import full_map

SUBSCRIBERS, WORKERS = 1_000, 4
PEERS, CHANGES = 100, 100
SPACING = 0.5
"""Seconds between two changes: 1 000 replicas on two cores need some of it to apply one."""


def measure(quick: bool) -> Figures:
    """One round."""
    changes = 20 if quick else CHANGES
    allow_files(8192)
    with PublisherProcess() as publisher:
        publisher.feed(full_map(PEERS))
        publisher.wait_kind("commit", 20.0)
        ends = publisher.endpoints
        command = [sys.executable, "-m", "bench.peers.following_subscribers", ends.updates, ends.requests]
        command += [str(SUBSCRIBERS // WORKERS), str(changes)]
        began = time.monotonic()
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
        try:
            for process in workers:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
            whole = time.monotonic() - began
            pace = threading.Event()
            for number in range(changes):
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
    expected = list(range(1, changes + 1))
    wrong = SUBSCRIBERS - sum(one == expected for one in told)
    return {
        f"fed.{PEERS}.followers_whole": Figure.of("s", [whole]),
        f"fed.{PEERS}.followers_wrong": Figure.of("", [wrong]),
        f"fed.{PEERS}.followers_last": Figure.of("s", [late]),
    }


if __name__ == "__main__":
    run_program("follow", measure)
