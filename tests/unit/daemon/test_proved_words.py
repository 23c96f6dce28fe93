"""Real sockets and the real liveness, in one process: who is believed on the way to it and to the Supervisor."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zmq

from netmap_actors.boot import Boot, LivenessSettings
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import Sockets
from netmap_actors.liveness.actor import Liveness
from netmap_actors.nursery.orders import Rooms
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.codec import Codec
from netmap_actors.wire.secret import Secret
from netmap_supervisor.daemon.boot_records import endpoints_of
from netmap_supervisor.daemon.children import MAX_CHILD_MESSAGE, Children
from netmap_supervisor.daemon.keyring import Keyring
from netmap_supervisor.daemon.nursery import Nursery
from netmap_supervisor.daemon.output.log_pipes import LogPipes
from netmap_supervisor.system.log import Log
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN = "00112233445566ff"
LIMIT = 20.0


class Run:
    """A Supervisor's ears and mouth, and liveness in a thread."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack) -> None:
        self.endpoints = endpoints_of(directory, directory)
        self.keyring = Keyring()
        self.loop, self.sockets = Loop(), Sockets()
        log = Log(self.loop.clock, form="json", level="error")
        stack.callback(log.close)
        pipes = LogPipes(self.loop, log)
        self.children = Children(
            self.loop,
            self.sockets,
            run=RUN,
            endpoint=self.endpoints.supervisor,
            log_pipes=pipes,
            nursery=Nursery(
                self.loop, pipes, first=None, rooms=Rooms(), by_exec=(), environment={}, wanted=False
            ),
            on_messages=lambda _: None,
            on_exit=lambda _: None,
        )
        self.context: zmq.Context[Any] = zmq.Context()
        self.heard: list[internal_pb2.Envelope] = []
        self._stack = stack
        stack.callback(self.loop.close)
        stack.callback(self.sockets.close)
        stack.callback(self.children.close)
        stack.callback(lambda: self.context.destroy(linger=0))

    def expect(self, actor: str, generation: int = 1) -> None:
        """As if this process of the actor had been started."""
        secret = self.keyring.with_us(actor, generation)
        self.children.expect(actor, generation, secret)

    def liveness(self, generation: int) -> None:
        """Start the first, or the next."""
        self.expect("liveness", generation)
        read_fd, write_fd = os.pipe()
        boot = Boot(
            run=RUN,
            actor="liveness",
            generation=generation,
            parent_pid=os.getppid(),
            life_fd=read_fd,
            endpoints=self.endpoints,
            secrets=self.keyring.secrets_for("liveness", generation),
            heartbeat_interval=0.1,
            settings=msgspec.Raw(msgspec.json.encode(LivenessSettings())),
        )
        actor = Liveness(boot)
        thread = threading.Thread(target=actor.run)

        def end() -> None:
            assert self.children.tell("liveness", internal_pb2.Stop(reason="the test is over")) is None
            thread.join(LIMIT)
            assert not thread.is_alive()
            os.close(read_fd)
            os.close(write_fd)

        self.end_liveness = end
        thread.start()
        self.until("ready", generation)

    def take(self) -> bool:
        before = len(self.heard) + self.children.foreign_words
        self.heard += self.children.take(1)
        return len(self.heard) + self.children.foreign_words > before

    def until(self, body: str, generation: int, **fields: object) -> Any:
        def found() -> Any:
            while self.take():
                pass
            for envelope in reversed(self.heard):
                if (envelope.WhichOneof("body"), envelope.incarnation) == (body, generation):
                    shown = getattr(envelope, body)
                    inner = shown.liveness if body == "heartbeat" else shown
                    if all(getattr(inner, name) == value for name, value in fields.items()):
                        return shown
            return None

        return wait_for(found, LIMIT, f"{body} {fields}")

    def connect(self, kind: int, endpoint: str, identity: str = "") -> Any:
        socket = self.context.socket(kind)
        if identity:
            socket.setsockopt(zmq.IDENTITY, identity.encode())
        socket.connect(endpoint)
        return socket

    def progress(self, session: int) -> internal_pb2.Progress:
        now = self.loop.now()
        return internal_pb2.Progress(generation=1, session=session, stage="map", stage_since=now, limit=120.0)


@pytest.fixture
def run() -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="nm-") as path, contextlib.ExitStack() as stack:
        yield Run(Path(path), stack)


def test_a_word_in_the_name_of_another_is_dropped_and_the_answer_goes_where_it_belongs(run: Run) -> None:
    for actor in ("control_connection", "publisher", "http_endpoint"):
        run.expect(actor)
    sockets = {
        name: run.connect(zmq.DEALER, run.endpoints.supervisor, f"{name}-1-00000000")
        for name in ("http_endpoint", "publisher")
    }
    codecs = {
        name: Codec(RUN, name, 1, peer="supervisor", secret=run.keyring.with_us(name, 1)) for name in sockets
    }
    for name, codec in codecs.items():
        sockets[name].send(codec.wrap(internal_pb2.Ready(facts={"of": name})))
        run.until("ready", 1, facts={"of": name})
    # The publisher says what others may say, with all it knows.
    own = run.keyring.with_us("publisher", 1)
    bodies = {
        "control_connection": internal_pb2.LoginNeeded(url="https://evil.example"),
        "http_endpoint": internal_pb2.StatusRequest(token=1),
        "liveness": internal_pb2.Verdict(generation=1, session=1, stage="map", reason="silence"),
    }
    for name, body in bodies.items():
        sockets["publisher"].send(Codec(RUN, name, 1, peer="supervisor", secret=own).wrap(body))
        sockets["publisher"].send(Codec(RUN, name, 1, peer="supervisor", secret=Secret(bytes(32))).wrap(body))
    said = codecs["publisher"].wrap(internal_pb2.Resync(reason="its own"))
    sockets["publisher"].send(said)
    run.until("resync", 1)
    sockets["publisher"].send(said)
    wait_for(lambda: run.take() or run.children.foreign_words == 2 * len(bodies) + 1, LIMIT, "all counted")
    run.until("resync", 1)
    wait_for(
        lambda: not run.take() and run.children.foreign_words == 2 * len(bodies) + 1, LIMIT, "all counted"
    )
    assert {envelope.WhichOneof("body") for envelope in run.heard} == {"ready", "resync"}
    # The answer to http_endpoint still goes to http_endpoint.
    assert run.children.tell("http_endpoint", internal_pb2.StatusReply(token=9)) is None
    assert sockets["http_endpoint"].poll(LIMIT * 1000)
    assert codecs["http_endpoint"].open(sockets["http_endpoint"].recv()).status_reply.token == 9
    assert not sockets["publisher"].poll(0)


def test_words_of_a_process_that_was_replaced_are_refused(run: Run) -> None:
    run.expect("publisher", 1)
    run.expect("publisher", 2)
    before = run.connect(zmq.DEALER, run.endpoints.supervisor, "publisher-1-00000000")
    before.send(
        Codec(RUN, "publisher", 1, peer="supervisor", secret=run.keyring.with_us("publisher", 1)).wrap(
            internal_pb2.Ready()
        )
    )
    wait_for(lambda: run.take() and run.children.foreign_words == 1, LIMIT, "it is counted")
    assert not run.heard


def test_liveness_hears_its_connection_alone_also_after_a_restart(run: Run) -> None:
    told = run.keyring.secrets_for("control_connection", 1)
    codec = Codec(RUN, "control_connection", 1, peer="liveness", secret=Secret.from_text(told.liveness))
    run.liveness(1)
    try:
        push = run.connect(zmq.PUSH, run.endpoints.liveness)
        assert run.children.tell("liveness", internal_pb2.ConnectionStarted(generation=1)) is None
        push.send(codec.wrap(run.progress(1)))
        run.until("heartbeat", 1, session=1)
        # Another who knows the run, and the publisher with what it knows of the connection.
        plain = internal_pb2.Envelope(
            version=2, run=bytes.fromhex(RUN), actor="control_connection", incarnation=1, number=99
        )
        plain.progress.CopyFrom(run.progress(7))
        others = Secret.from_text(told.publisher)
        forger = Codec(RUN, "control_connection", 1, peer="liveness", secret=others)
        for forged in (plain.SerializeToString(), forger.wrap(run.progress(7))):
            push.send(forged)
        beat = run.until("heartbeat", 1, session=1, foreign_dropped=2)
        assert beat.counters["foreign_words"] == 2
    finally:
        run.end_liveness()
    # The next one, before it knows of the connection: messages sent meanwhile are not lost.
    push.send(codec.wrap(run.progress(2)))
    run.liveness(2)
    try:
        assert run.children.tell("liveness", internal_pb2.ConnectionStarted(generation=1)) is None
        push.send(codec.wrap(run.progress(3)))
        assert run.until("heartbeat", 2, session=3).liveness.foreign_dropped == 0
    finally:
        run.end_liveness()


def test_liveness_takes_no_orders_but_the_supervisors(run: Run) -> None:
    run.liveness(1)
    try:
        address = run.children._addresses["liveness"]
        stop = internal_pb2.Stop(reason="forged")
        for secret in (run.keyring.with_us("publisher", 1), Secret(bytes(32))):
            forged = Codec(RUN, "supervisor", 1, peer="liveness", secret=secret).wrap(stop)
            run.children._router.send_multipart([address, forged])
        run.until("heartbeat", 1, foreign_dropped=2)
    finally:
        run.end_liveness()


def test_words_of_nobody_are_counted_and_not_looked_at(run: Run) -> None:
    """Senders without a name of a child, or with a name that is none."""
    run.expect("publisher")
    codec = Codec(RUN, "publisher", 1, peer="supervisor", secret=run.keyring.with_us("publisher", 1))
    for number, identity in enumerate(("", "supervisor-1-00000000", "view", "\xff\xfe"), 1):
        run.connect(zmq.DEALER, run.endpoints.supervisor, identity).send(codec.wrap(internal_pb2.Ready()))
        wait_for(lambda n=number: run.take() or run.children.foreign_words == n, LIMIT, "it is counted")
    assert not run.heard


def test_nobody_has_more_than_two_connections_and_those_who_have_keep_theirs(run: Run) -> None:
    run.expect("publisher")
    codec = Codec(RUN, "publisher", 1, peer="supervisor", secret=run.keyring.with_us("publisher", 1))
    own = run.connect(zmq.DEALER, run.endpoints.supervisor, "publisher-1-00000000")
    own.send(codec.wrap(internal_pb2.Ready()))
    run.until("ready", 1)
    path = run.endpoints.supervisor.removeprefix("ipc://")
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(20)]
        for one in others:
            one.connect(path)

        def cut() -> int:
            for call in run.loop.wait(block=False):
                call()
            return sum(is_at_its_end(one) for one in others)

        wait_for(lambda: cut() == len(others) - 1, LIMIT, "all but two connections cut")
    own.send(codec.wrap(internal_pb2.Resync(reason="still heard")))
    run.until("resync", 1, reason="still heard")


def test_a_long_word_is_one_only_where_an_operator_asked_for_it(run: Run) -> None:
    run.expect("dev_control")
    codec = Codec(RUN, "dev_control", 1, peer="supervisor", secret=run.keyring.with_us("dev_control", 1))
    own = run.connect(zmq.DEALER, run.endpoints.supervisor, "dev_control-1-00000000")
    long = "x" * MAX_CHILD_MESSAGE
    own.send(codec.wrap(internal_pb2.Degraded(code="a", text=long, active=True)))
    own.send(codec.wrap(internal_pb2.DevReply(token=1, ok=True, json=long.encode())))
    assert run.until("dev_reply", 1).token == 1
    assert [word.WhichOneof("body") for word in run.heard] == ["dev_reply"]
    assert run.children.foreign_words == 1


def test_who_sends_a_message_without_end_is_let_go_of_and_others_are_heard(run: Run) -> None:
    run.expect("publisher")
    codec = Codec(RUN, "publisher", 1, peer="supervisor", secret=run.keyring.with_us("publisher", 1))
    own = run.connect(zmq.DEALER, run.endpoints.supervisor, "publisher-1-00000000")
    own.send(codec.wrap(internal_pb2.Ready()))
    run.until("ready", 1)
    endless = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, run.endpoints.supervisor.removeprefix("ipc://")],
        stdout=subprocess.PIPE,
    )
    with endless:
        assert endless.stdout is not None
        assert endless.stdout.read(1) == b"+", "it is on its way"

        def let_go() -> bool:
            for call in run.loop.wait(block=False):
                call()
            run.take()
            run.children.hang_up_on_floods() or run.children.hang_up_on_all()
            return endless.poll() is not None

        wait_for(let_go, LIMIT, "the end of it")
        assert endless.returncode == 3, "it was hung up on"
    own.send(codec.wrap(internal_pb2.Resync(reason="still heard")))
    run.until("resync", 1, reason="still heard")


ENDLESS = """
import socket, sys
one = socket.socket(socket.AF_UNIX)
one.connect(sys.argv[1])
# ZMTP 3.1 with the mechanism NULL, a DEALER, and frames that are followed by another one each.
one.sendall(b"\\xff" + bytes(8) + b"\\x7f\\3\\0" + b"NULL".ljust(20, b"\\0") + bytes(32))
one.recv(64, socket.MSG_WAITALL)
ready = b"\\5READY\\x0bSocket-Type\\0\\0\\0\\6DEALER"
one.sendall(bytes((4, len(ready))) + ready)
one.recv(1)
frame = b"\\3" + (1 << 16).to_bytes(8, "big") + bytes(1 << 16)
try:
    for number in range(100_000):
        one.sendall(frame)
        if number == 100:
            print("+", end="", flush=True)
except OSError:
    sys.exit(3)
"""


def is_at_its_end(one: socket.socket) -> bool:
    """Read whatever ZeroMQ greets with."""
    try:
        while one.recv(4096, socket.MSG_DONTWAIT):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True
