"""Many sockets that only listen, in one process: what `fan_out` delivers to.

`python -m bench.peers.bare_subscribers ENDPOINT COUNT CHANGES`: prints `ready`, then the moments (CLOCK_BOOTTIME) at
which each change arrived, by its seq.
"""

from __future__ import annotations

import json
import sys
import time

import zmq

from bench.peers.open_files import allow_files
from netmap_actors.wire import netmap_pb2


def listen(endpoint: str, count: int, changes: int) -> None:
    """Until each socket has had each change. Raises TimeoutError when the publisher falls silent."""
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
    missing = count * changes
    while missing:
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
            missing -= 1
    print(json.dumps(arrivals), flush=True)
    context.destroy(linger=0)


if __name__ == "__main__":
    allow_files(8192)
    listen(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
