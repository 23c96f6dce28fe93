from __future__ import annotations

import subprocess
import sys

import pytest

SENDING = """
import os, sys, tempfile, zmq
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.push_queue import PushQueue

with tempfile.TemporaryDirectory() as directory:
    context = zmq.Context()
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.bind(f"ipc://{directory}/socket")
    push.connect(f"ipc://{directory}/socket")
    queue = PushQueue(Loop(), push, limit=0)
    queue.send([b"header", b"small"])
    assert pull.recv_multipart() == [b"header", b"small"]
    threads = len(os.listdir("/proc/self/task"))
    body = os.urandom(int(sys.argv[1]))
    queue.send([b"header", body])
    assert pull.recv_multipart() == [b"header", body]
    print(len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.parametrize(("size", "more_threads"), [(450_000, False), (3_000_000, True)])
def test_the_first_map_of_a_thousand_peers_starts_no_thread(size: int, *, more_threads: bool) -> None:
    """Zero copy is for what is large: pyzmq gives it a context and a thread of its own."""
    command = [sys.executable, "-P", "-c", SENDING, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (int(done.stdout) > 0) is more_threads
