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
from netmap_actors.wire.codec import VERSION, connection_secret
from netmap_actors.wire.secret import PROOF_BYTES, Secret
from netmap_supervisor.admin.socket import admin_path
from tests.process.test_supervisor import daemon  # noqa: F401  # a fixture
from tests.support.netmaps.publishing import full, node
from tests.support.processes import pairs
from tests.support.processes.publisher_process import RUN, running_publisher

pytestmark = pytest.mark.slow

IDLE = 1100
"""Connections: more than a process may usually have."""


def forged(header: internal_pb2.MapResponseReceived, document: bytes) -> list[bytes]:
    """What somebody makes who knows all but the secret: right in everything, proved by nothing or by another one."""
    word = internal_pb2.Envelope(
        version=VERSION,
        run=bytes.fromhex(RUN),
        actor="control_connection",
        incarnation=1,
        number=1,
        map_response_received=header,
    ).SerializeToString()
    others = [Secret(bytes(32)), pairs.OURS, pairs.INBOX, connection_secret(pairs.INBOX, 2)]
    proofs = [bytes(PROOF_BYTES), *(one.proof(word, document) for one in others)]
    # The true one of another document.
    proofs.append(connection_secret(pairs.INBOX, 1).proof(word, document + b" "))
    return [proof + (1).to_bytes(8, "big") + word for proof in proofs]


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
        document = json.dumps(full(node(66))).encode()
        header = internal_pb2.MapResponseReceived(
            generation=1,
            session=1,
            number=1,
            received_at=time.clock_gettime(time.CLOCK_BOOTTIME),
            size=len(document),
        )
        words = forged(header, document)
        with zmq.Context() as context, context.socket(zmq.PUSH) as push:
            push.connect(publisher.endpoints.publisher)
            for word in words:
                push.send_multipart([word, document])
            publisher.counters(foreign_words=len(words))
            figures = publisher.next("heartbeat").publisher
            assert (figures.state, figures.peers) == ("none", 0)
            # The same word is taken from who can prove it: nothing else was wrong with the others.
            publisher.new_session(full(node(66)))
            assert publisher.statistics(peers=1).state == "fresh"
            assert publisher.next("heartbeat").counters["foreign_words"] == len(words)


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
    directories = (daemon.runtime_dir, daemon.place / "state")
    ours = {(one / "lock").stat().st_ino for one in directories}
    shared = {(one / "lock.children").stat().st_ino for one in directories}
    actors = daemon.request("status")["actors"]
    pids = [row["pid"] for row in actors if row["pid"] and row["name"] != "supervisor"]
    assert len(pids) >= 3
    for pid in pids:
        held = {fd.stat().st_ino for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.exists()}
        assert not held & ours
        assert shared <= held, "it keeps the directories for as long as it lives"
