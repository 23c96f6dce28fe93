"""Many Subscribers of the client library in one process: what `follow` asks to be told of each change.

`python -m bench.peers.following_subscribers UPDATES REQUESTS COUNT CHANGES`: prints `ready` once all hold a netmap,
then what each one was told, as lists of DERP regions.
"""

from __future__ import annotations

import json
import sys
import time

import zmq

from bench.peers.open_files import allow_files
from netmap_supervisor import Subscriber

LIMIT = 240.0
"""Seconds."""


def follow(updates: str, requests: str, count: int, changes: int) -> None:
    """Until each was told of as many changes, or the limit."""
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
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline and any(len(regions) < changes for regions in told.values()):
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


if __name__ == "__main__":
    allow_files(8192)
    follow(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
