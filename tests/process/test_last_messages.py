"""What a child said before it ended is heard, however busy the Supervisor was meanwhile."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import zmq

from netmap_actors.bus.sockets import Sockets, ipc
from netmap_supervisor.daemon.children import INTAKE_HWM

ATTEMPT = 24
"""Messages of an attempt from Hello to its end, each stage with a heartbeat, and some more."""
SAYS_AND_ENDS = """
import sys, time, zmq
context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.setsockopt(zmq.LINGER, 5000)
socket.connect(sys.argv[1])
for number in range(int(sys.argv[2])):
    socket.send(b"%d" % number)
    # Said one by one, as a stage follows another: what is read with those before it is not left in the kernel.
    time.sleep(0.02)
socket.close()
context.term()
"""


def test_an_attempt_that_ends_while_nobody_reads_is_heard_to_its_end() -> None:
    """libzmq gives up what lies unread in the kernel when a peer is gone and its queue is full."""
    with tempfile.TemporaryDirectory(prefix="nml-", dir="/tmp") as place:
        sockets = Sockets()
        try:
            endpoint = ipc(Path(place) / "words.sock")
            router = sockets.router_bind(endpoint, intake=INTAKE_HWM)
            command = [sys.executable, "-P", "-c", SAYS_AND_ENDS, endpoint, str(ATTEMPT)]
            subprocess.run(command, check=True, timeout=30)
            heard = []
            while router.poll(1000):
                heard.append(int(router.recv_multipart(zmq.DONTWAIT)[1]))
            assert heard == list(range(ATTEMPT))
        finally:
            sockets.close()
