"""A Subscriber that comes late: to a publisher that holds 50 000 peers and changes them all the while.

`python -m bench.peers.late_subscriber UPDATES REQUESTS`: reads an empty line and the last seq, then prints when it was
whole and the DERP region of every peer it holds.
"""

from __future__ import annotations

import json
import sys
import time

from netmap_supervisor import Subscriber


def main() -> None:
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    with Subscriber(endpoint=(sys.argv[1], sys.argv[2])) as subscriber:
        assert subscriber.wait_for_answer(60.0)
        whole = time.clock_gettime(time.CLOCK_BOOTTIME)
        sys.stdin.readline()
        last = int(sys.stdin.readline())
        assert subscriber.wait_for(lambda view: view.seq >= last, 30.0)
        regions = {
            peer.id: peer.home_derp for peer in subscriber.store.netmap.peers.values() if peer.home_derp
        }
        print(json.dumps({"whole": whole - began, "at": [began, whole], "regions": regions}), flush=True)


if __name__ == "__main__":
    main()
