"""A subscriber in a process of its own that says when it holds a whole, fresh netmap of so many peers.

`python -m bench.peers.subscriber_probe RUNTIME_DIR PEERS`: prints `ready` once loaded, then one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from netmap_supervisor import Subscriber

LIMIT = 300.0
"""Seconds; who started it may end it sooner."""


def main() -> None:
    runtime_dir, peers = Path(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    with Subscriber(runtime_dir) as subscriber:
        subscriber.wait_for(
            lambda view: view.state == "fresh" and len(view.netmap.peers) >= peers, timeout=LIMIT
        )
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        print(
            json.dumps(
                {"boottime": now, "peers": len(subscriber.store.netmap.peers), "cpu": time.process_time()}
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
