"""One client does its worst, all the time: an ordinary subscriber still gets every change, soon.

Not here: that bad requests are refused and counted, and what one of them costs (`test_publisher`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq

from netmap_actors.publisher.front import SEND_HWM
from netmap_actors.runtime_paths import requests_path, updates_path
from netmap_actors.subscriber import PeerUpserted, Snapshot, Subscriber
from tests.support.clients.hostile_client import CONNECTIONS, DEAF, HALF_GREETINGS, LAZY, SUBSCRIPTIONS
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SEED_VARIABLE = "NETMAP_TEST_SEED"
PEERS = 1000
CHANGES = 200
INTERVAL = 0.01
"""Seconds between two changes."""
BOUND = 0.1
"""Seconds from a MapResponse to its event, at the 99th percentile."""
LATENCY_LIMIT = 5 * BOUND
"""What is asserted of the median: the machine may be busy with other things, for a second at a time."""
STARVATION_LIMIT = 2.0
"""Of the 99th percentile."""
MIB = 1 << 20
UNREAPED = 128
"""MiB that ended connections may hold before the publisher buries them: some 55 KiB each, thousands of them a second,
and a busy machine gives it a processor when it likes. Kept for good they would be a gibibyte."""


class HostileClient:
    """One harm that goes on."""

    def __init__(self, publisher: PublisherProcess, harm: str, *user: int, at: str = "") -> None:
        """`user`: who it is; `at`: another socket than those of the subscribers."""
        paths = (
            (at, at) if at else (updates_path(publisher.runtime_dir), requests_path(publisher.runtime_dir))
        )
        seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().randrange(1 << 32))
        print(f"{SEED_VARIABLE}={seed}")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "tests.support.clients.hostile_client", harm),
                *map(str, (*paths, seed, *user)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
        )

    def wait_begun(self) -> None:
        stdout = self.process.stdout
        assert stdout is not None
        assert select.select([stdout], [], [], LIMIT)[0], "the harm did not begin"
        assert stdout.readline() == "begun\n"

    def end(self) -> dict[str, int]:
        """Tell it that it is enough; what it has done."""
        said, _ = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0
        facts: dict[str, int] = json.loads(said)
        return facts

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class Ordinary:
    """A publisher with some peers, and a subscriber that only wants to know."""

    def __init__(self, publisher: PublisherProcess, peer: dict[str, Any]) -> None:
        self.publisher = publisher
        self.pid = publisher.process.pid
        self.subscriber = Subscriber(publisher.runtime_dir)
        publisher.new_session(full(*(node(number, **peer) for number in range(2, 2 + PEERS))))
        assert isinstance(self.subscriber.next_event(LIMIT), Snapshot)
        self.caps: list[int] = []
        self.seconds: list[float] = []
        self.told = 0
        """Messages to the Supervisor."""

    def changes(self, patches: int) -> None:
        """Some two hundred, each as large as told, while the subscriber takes what comes."""
        made: list[float] = []
        begin = time.monotonic()
        while len(self.caps) < CHANGES:
            due = begin + len(made) * INTERVAL
            if len(made) < CHANGES and time.monotonic() >= due:
                caps = [{"NodeID": 2 + number, "Cap": 1 + len(made)} for number in range(patches)]
                # From when it was due: a publisher that takes nothing must not stop the clock.
                made.append(due)
                self.publisher.map_response({"PeersChangedPatch": caps})
                continue
            self._hear_supervisor_messages()
            assert time.monotonic() < begin + LIMIT, f"{len(self.caps)} of {len(made)} changes came"
            event = self.subscriber.next_event(
                max(0.0, due - time.monotonic()) if len(made) < CHANGES else 1.0
            )
            if event is None:
                continue
            assert isinstance(event, PeerUpserted)
            if event.peer.stable_id == "n2":
                self.seconds.append(time.monotonic() - made[len(self.caps)])
                self.caps.append(event.peer.cap)

    def _hear_supervisor_messages(self) -> None:
        """As a Supervisor would; a full queue must not be what is measured."""
        with contextlib.suppress(zmq.Again):
            while True:
                self.publisher.router.recv_multipart(zmq.DONTWAIT)
                self.told += 1


@pytest.fixture
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher() as publisher:
        yield publisher


@contextlib.contextmanager
def files_allowed(soft: int) -> Iterator[None]:
    """Processes started meanwhile may have so many files open, and may raise that for themselves."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most), most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def memory(pid: int, name: str = "VmHWM") -> int:
    """Bytes of a process from its status; VmHWM is the most it ever held."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def withstand(
    publisher: PublisherProcess,
    harm: str,
    *,
    mebibytes: int,
    patches: int = 1,
    peer: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Changes under this harm: all of them come, soon, and the publisher grows by so much at most."""
    with contextlib.ExitStack() as stack:
        ordinary = Ordinary(publisher, peer or {})
        stack.callback(ordinary.subscriber.close)
        before = memory(ordinary.pid)
        hostile = HostileClient(publisher, harm)
        stack.callback(hostile.close)
        hostile.wait_begun()
        watch = Stopwatch()
        ordinary.changes(patches)
        facts = hostile.end()
        grown = memory(ordinary.pid) - before
        seconds = sorted(ordinary.seconds)
        median, p99 = seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100 - 1]
        print(
            f"{harm}: {facts}; p50 {median * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, "
            f"max {seconds[-1] * 1000:.1f} ms (bound {BOUND * 1000:g} ms); VmHWM {before / MIB:.0f} MiB "
            f"and {grown / MIB:.1f} MiB more (bound {mebibytes} MiB); {ordinary.told} messages to the Supervisor"
        )
        assert ordinary.caps == list(range(1, CHANGES + 1)), "a change was lost or came twice"
        assert ordinary.subscriber._replica.gaps == 0, "nothing had to be asked for again"
        assert median <= watch.allowed(LATENCY_LIMIT)
        assert p99 <= watch.allowed(STARVATION_LIMIT)
        assert grown <= mebibytes * MIB
        assert publisher.process.poll() is None
        assert publisher.process.pid == ordinary.pid
        publisher.statistics(subscribers=1)  # whoever did harm has been let go of
        return facts


LARGE = {"DataPlaneAuditLogID": "x" * 4000}
"""A thousand such peers make a snapshot of some megabytes, more than waits for one requester."""


def test_f60_requests_without_end(publisher) -> None:
    facts = withstand(publisher, "requests_without_end", mebibytes=32, peer=LARGE)
    assert facts["asked"] > CHANGES
    assert facts["parts"]


def test_f60_answers_that_nobody_reads(publisher) -> None:
    facts = withstand(publisher, "unread_answers", mebibytes=8 + 2 * LAZY, peer=LARGE)
    assert facts["asked"] > LAZY


def test_f60_subscribers_that_do_not_read(publisher) -> None:
    patches = 20
    assert CHANGES * (patches + 1) > 2 * SEND_HWM
    facts = withstand(publisher, "deaf_subscribers", mebibytes=8 + 2 * DEAF, patches=patches)
    assert facts["connections"] == DEAF


@pytest.mark.parametrize(
    "files",
    [
        4096,
        # What a service, a container and a login shell have unless somebody raised it.
        1024,
    ],
)
def test_f60_a_thousand_connections(files: int) -> None:
    with contextlib.ExitStack() as stack:
        with files_allowed(files):
            publisher = stack.enter_context(running_publisher())
        facts = withstand(publisher, "many_connections", mebibytes=64)
    assert facts["held"] == CONNECTIONS
    assert facts["made"] > CONNECTIONS // 2


def test_f60_tens_of_thousands_of_subscriptions(publisher) -> None:
    facts = withstand(publisher, "many_subscriptions", mebibytes=UNREAPED)
    assert facts["subscriptions"] >= SUBSCRIPTIONS


def test_f60_garbage_and_half_greetings(publisher) -> None:
    facts = withstand(publisher, "garbage", mebibytes=UNREAPED)
    assert facts["made"] > CHANGES // 4
    assert facts["half_closed"] == HALF_GREETINGS, "who does not complete its greeting is let go of"


def test_f60_messages_without_end(publisher) -> None:
    """No mark of ZeroMQ's counts a message before its last frame: in these seconds two gibibytes would be kept."""
    facts = withstand(publisher, "messages_without_end", mebibytes=1024)
    assert facts["cut"] > 3, "whoever sends it is cut"
    assert any(event["event"] == "words_without_end" for event in publisher.log())


def test_f60_a_gibibyte_is_announced(publisher) -> None:
    facts = withstand(publisher, "huge_messages", mebibytes=16)
    assert facts["made"] == facts["refused"] > 0


def test_f60_a_topic_too_long_is_refused(publisher) -> None:
    publisher.new_session(full(node(2)))
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.connect(publisher.endpoints.updates)
    try:
        with Subscriber(publisher.runtime_dir) as subscriber:
            assert subscriber.wait_for_answer(LIMIT)
            socket.subscribe("x" * 600)
            publisher.map_response({"PeersRemoved": [2]})
            assert subscriber.wait_for(lambda view: not view.netmap.peers, LIMIT)
    finally:
        context.destroy(0)
