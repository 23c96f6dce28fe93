"""Our control server with a tailnet larger than it simulates: it lets everybody in, and sends a prepared map at a word.

`python -m bench.peers.map_sender PEERS small|real`: prints its URL once the map is made; at a line on standard input it
waits for a map stream, sends the map on it and prints the moment (CLOCK_BOOTTIME) and the map's bytes; told in the next
line when a subscriber had it, it prints when it had sent the last byte.
"""

from __future__ import annotations

import sys
import threading

from bench.instruments.process_tree import boottime
from bench.instruments.server_watch import INTERVAL, Count, share_of
from bench.peers.tailnets import all_peers
from netmap_supervisor.testing import DevControl, dev_control_server

JOIN_LIMIT = 120.0
"""Seconds."""


def watch(server: DevControl, counts: list[Count], ended: threading.Event) -> None:
    """Python's sockets do not count in /proc/PID/io, so the server itself is asked."""
    while not ended.wait(INTERVAL):
        clients = server.clients()
        counts += [Count(boottime(), one.bytes_received, one.bytes_sent) for one in clients]


def main() -> None:
    prepared = all_peers(int(sys.argv[1]), real_size=sys.argv[2] == "real").decode()
    counts: list[Count] = []
    ended = threading.Event()
    with dev_control_server(require_auth=False, stalled_limit=300.0) as server:
        print(server.url, flush=True)
        sys.stdin.readline()
        server.wait_for_map(limit=JOIN_LIMIT)
        moment = boottime()
        counts.append(Count(moment, 0, 0))
        assert server.raw(prepared) == 1
        print(moment, len(prepared), flush=True)
        watcher = threading.Thread(target=watch, args=(server, counts, ended))
        watcher.start()
        until = float(sys.stdin.readline())
        ended.set()
        watcher.join()
        print(share_of(counts, moment, until).last_written, flush=True)


if __name__ == "__main__":
    main()
