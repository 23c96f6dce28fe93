"""The dev_control actor as a real process: its inherited listener, its commands, its return after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from netmap_actors.boot import Boot, DevControlSettings, Endpoints
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import ForeignEnvelope
from tests.support.clients.control_client import Closed, ControlClient, Node, fetch_key
from tests.support.processes import pairs
from tests.support.waiting import wait_for

RUN = "0123456789abcdef"
LIMIT = 20.0


class Parent:
    """The least a Supervisor must be to this actor."""

    def __init__(self, runtime: Path) -> None:
        self.codec = pairs.supervisor(RUN, "dev_control")
        names = ("supervisor", "liveness", "publisher", "updates", "requests")
        self.endpoints = Endpoints(**{name: f"ipc://{runtime}/{name}" for name in names})
        self.context = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.bind(self.endpoints.supervisor)
        self.life_read, self.life_write = os.pipe()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.state = runtime / "state"
        self.state.mkdir(mode=0o700)
        (self.state / "auth_key").write_text("devkey-auth-test\n")
        self.child: subprocess.Popen[bytes] | None = None
        self.address = b""
        self.tokens = 0

    def spawn(self, incarnation: int = 1) -> None:
        self.codec = pairs.supervisor(RUN, "dev_control", incarnation)
        settings = DevControlSettings(
            state_dir=str(self.state), listen_fd=self.listener.fileno(), nodes=4, churn=0.0, keep_alive=0.2
        )
        boot = Boot(
            run=RUN,
            actor="dev_control",
            generation=incarnation,
            parent_pid=os.getpid(),
            life_fd=self.life_read,
            endpoints=self.endpoints,
            secrets=pairs.secrets_of("dev_control"),
            heartbeat_interval=0.1,
            settings=msgspec.Raw(msgspec.json.encode(settings)),
        )
        read_fd, write_fd = os.pipe()
        os.write(write_fd, msgspec.json.encode(boot))
        os.close(write_fd)
        command = [sys.executable, "-P", "-m", "netmap_actors", "dev_control", "--boot-fd", str(read_fd)]
        inherited = (read_fd, self.life_read, self.listener.fileno())
        self.child = subprocess.Popen(command, pass_fds=inherited, stderr=subprocess.PIPE)
        os.close(read_fd)

    def next(self, body: str) -> internal_pb2.Envelope:
        """The next message of this kind."""
        deadline = time.monotonic() + LIMIT
        while self.router.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            address, data = self.router.recv_multipart()
            try:
                envelope = self.codec.open(data)
            except ForeignEnvelope:
                continue  # a last word of the process before
            self.address = address
            if envelope.WhichOneof("body") == body:
                return envelope
        raise TimeoutError(body)

    def command(self, **fields: Any) -> tuple[bool, Any]:
        self.tokens += 1
        body = internal_pb2.DevCommand(token=self.tokens, json=json.dumps(fields).encode())
        self.router.send_multipart([self.address, self.codec.wrap(body)])
        reply = self.next("dev_reply").dev_reply
        assert reply.token == self.tokens
        answer = json.loads(reply.json)
        return reply.ok, answer["result"] if reply.ok else answer["error"]

    def close(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
        self.listener.close()
        self.context.destroy(linger=0)
        os.close(self.life_read)
        os.close(self.life_write)


@pytest.fixture
def parent() -> Iterator[Parent]:
    with tempfile.TemporaryDirectory(prefix="nm-") as path:
        made = Parent(Path(path))
        try:
            yield made
        finally:
            made.close()


def test_it_serves_on_the_inherited_listener_and_obeys_commands(parent: Parent) -> None:
    parent.spawn()
    url = parent.next("ready").ready.facts["url"]
    assert url == f"http://127.0.0.1:{parent.listener.getsockname()[1]}"
    client = ControlClient(url, Node())
    assert client.register("devkey-auth-test")["MachineAuthorized"]
    stream = client.map()
    assert len(client.message(stream, 0)["Peers"]) == 4

    statistics = wait_for(
        lambda: (beat := parent.next("heartbeat").heartbeat.dev_control).map_streams and beat,
        LIMIT,
        "a statistic",
    )
    assert (statistics.nodes, statistics.clients, statistics.map_streams) == (5, 1, 1)

    ok, nodes = parent.command(command="nodes")
    assert ok
    assert len(nodes) == 5
    assert parent.command(command="add_node", name="printer")[1]["name"] == "printer.dev.netmap.example."
    client.wait(lambda: "printer" in json.dumps(stream.messages))
    ok, why = parent.command(command="nonsense")
    assert not ok
    assert why.startswith("cannot do 'nonsense'")
    assert parent.command(command="fault", name="liveness/slow-drip", speed=1)[0] is False
    assert parent.command(command="remove_node", nobody=1)[0] is False
    assert parent.command(command="fault", name="session/cut") == (True, 1)
    with pytest.raises(Closed, match="reset"):
        client.wait(lambda: False)
    client.close()


def test_after_a_kill_it_is_the_same_server(parent: Parent) -> None:
    parent.spawn()
    url = parent.next("ready").ready.facts["url"]
    key, node = fetch_key(url), Node()
    client = ControlClient(url, node)
    client.register("devkey-auth-test")
    before = client.message(client.map(), 0)
    assert parent.child is not None
    parent.child.send_signal(signal.SIGKILL)
    with pytest.raises(Closed):
        client.wait(lambda: False)
    parent.child.communicate()
    parent.spawn(incarnation=2)
    parent.next("ready")
    assert fetch_key(url) == key
    again = ControlClient(url, node)
    after = again.message(again.map(), 0)
    assert after["Node"]["ID"] == before["Node"]["ID"]
    assert [peer["Key"] for peer in after["Peers"]] == [peer["Key"] for peer in before["Peers"]]
    again.close()
    client.close()
