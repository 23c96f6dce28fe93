"""Who says it: words between processes, the admin socket and the locks, against processes that lie."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zmq

from netmap_actors.wire import internal_pb2
from netmap_supervisor.admin import admin_path
from tests.process.publisher_process import RUN, running_publisher
from tests.process.test_supervisor import LIMIT, daemon  # noqa: F401  # a fixture

pytestmark = pytest.mark.slow

IDLE = 1100
"""Connections: more than a process may usually have."""


def unproved(actor: str, **body: object) -> bytes:
    """An envelope of somebody who knows all but the secret."""
    return internal_pb2.Envelope(
        version=1, run=bytes.fromhex(RUN), actor=actor, incarnation=1, **body
    ).SerializeToString()


def test_a_child_cannot_speak_in_the_name_of_another(daemon) -> None:  # noqa: F811
    daemon.behave("publisher", "later forge")
    daemon.up()
    (daemon.place / "go").touch()
    daemon.wait_event("degraded", code="forged")
    assert "evil.example" not in json.dumps(daemon.request("status"))
    assert not daemon.events("child_killed")
    assert daemon.row("control_connection")["generation"] == 1


def test_a_publisher_takes_peers_from_nobody_but_the_connection() -> None:
    with running_publisher() as publisher:
        publisher.tell(internal_pb2.ConnectionStarted(generation=1))
        document = json.dumps({"Node": {"ID": 1, "StableID": "n1", "Name": "evil.", "User": 1}}).encode()
        header = internal_pb2.MapResponseReceived(
            generation=1,
            session=1,
            number=1,
            received_at=time.clock_gettime(time.CLOCK_BOOTTIME),
            size=len(document),
        )
        forged = unproved("control_connection", map_response_received=header)
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.connect(publisher.endpoints.publisher)
            push.send_multipart([forged, document])
            # One that belongs there, behind it: the forged one was seen before.
            publisher.session = 1
            publisher.generation = 1
            for _ in range(20):
                beat = publisher.next("heartbeat")
                assert beat.publisher.state in {"", "none"}
                if beat.counters.get("foreign_words"):
                    break
            else:
                pytest.fail("it was not counted")


def test_a_child_gives_no_orders(daemon) -> None:  # noqa: F811
    daemon.behave("control_connection", "later order")
    daemon.up()
    (daemon.place / "go").touch()
    told = daemon.wait_event("degraded", code="ordered")
    assert "cannot take orders" in told["text"]
    assert not daemon.events("fault_on_request")
    assert daemon.request("status")["actors"]


CROWD = """
import resource, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
idle = []
for _ in range(int(sys.argv[2])):
    idle.append(socket.socket(socket.AF_UNIX))
    # It waits for its place in the queue of those who come.
    idle[-1].connect(sys.argv[1])
print(len(idle), flush=True)
sys.stdin.read()
"""


def test_a_thousand_idle_connections_to_the_admin_socket_disturb_nobody(daemon) -> None:  # noqa: F811
    daemon.up()
    resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (256, 4096))
    crowd = subprocess.Popen(
        [sys.executable, "-c", CROWD, str(admin_path(daemon.runtime_dir)), str(IDLE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert crowd.stdout is not None
        assert int(crowd.stdout.readline()) == IDLE
        assert daemon.request("status")["pid"] == daemon.pid
        assert len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 200
    finally:
        crowd.kill()
        crowd.communicate()
    assert daemon.request("status")
    assert daemon.process is not None
    assert daemon.process.poll() is None


def test_no_child_holds_a_descriptor_that_could_release_the_daemons_locks(daemon) -> None:  # noqa: F811
    daemon.up()
    ours = {path.stat().st_ino for path in (daemon.runtime_dir / "lock", daemon.place / "state" / "lock")}
    actors = daemon.request("status")["actors"]
    pids = [row["pid"] for row in actors if row["pid"] and row["name"] != "supervisor"]
    assert len(pids) >= 3
    for pid in pids:
        held = {fd.stat().st_ino for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists()}
        assert not held & ours
