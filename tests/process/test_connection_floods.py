"""Connections without end, of several processes and users: nobody else notices, and nothing has to be started anew.

Not here: floods of messages (`test_publisher_floods`), who has to go (`tests/unit/test_admission`).
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import TYPE_CHECKING

import pytest

from netmap_actors.subscriber import Subscriber
from netmap_actors.wire import internal_pb2
from tests.process.publisher_process import LIMIT, PublisherProcess, running_publisher
from tests.process.test_publisher_floods import MIB, HostileClient, Ordinary, memory
from tests.unit.publishing import full, node
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

NOBODY, DAEMON = 65_534, 1
GROWN = 200 * MIB
"""Of what is left of connections, at most; 12 000 that are kept would be 650."""


@contextlib.contextmanager
def hard_limit(files: int) -> Iterator[None]:
    """Processes started meanwhile may never have more files open."""
    before = resource.prlimit(0, resource.RLIMIT_NOFILE)
    if os.geteuid() != 0 and files < before[1]:
        pytest.skip("a hard limit that was lowered cannot be raised again without being root")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, before[1]), min(files, before[1])))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def open_to_all(publisher: PublisherProcess) -> tuple[int, ...]:
    """Let other users reach the sockets; which ones there are to be."""
    if os.geteuid() != 0:
        return (os.geteuid(),)
    directory = publisher.runtime_dir / "pub"
    for path, mode in ((publisher.runtime_dir, 0o711), (directory, 0o711)):
        path.chmod(mode)
    for path in directory.iterdir():
        path.chmod(0o666)
    return (0, NOBODY, DAEMON)


@pytest.mark.parametrize(
    ("files", "harm"), [(1024, "idle_thousands"), (4096, "idle_thousands"), (1024, "in_and_out")]
)
def test_a_flood_of_connections_from_several_processes_and_users_disturbs_nobody(
    files: int, harm: str
) -> None:
    with contextlib.ExitStack() as stack:
        with hard_limit(files):
            publisher = stack.enter_context(running_publisher())
        ordinary = Ordinary(publisher, {})
        stack.callback(ordinary.subscriber.close)
        before = memory(ordinary.pid)
        users = open_to_all(publisher)
        hostiles = [HostileClient(publisher, harm, users[number % len(users)]) for number in range(3)]
        for hostile in hostiles:
            stack.callback(hostile.close)
        for hostile in hostiles:
            hostile.wait_begun()
        publisher.tell(internal_pb2.Freeze(seconds=1.0))
        ordinary.changes(1)
        with Subscriber(publisher.runtime_dir) as newcomer:
            assert newcomer.wait_for(lambda view: view.state == "fresh", LIMIT), "a new one did not get in"
        made = sum(hostile.end()["made"] for hostile in hostiles)
        assert made > 3000, "that was no flood"
        assert publisher.process.poll() is None
        assert publisher.process.pid == ordinary.pid
        assert ordinary.subscriber._replica.gaps == 0, "nothing had to be asked for again"
        assert memory(ordinary.pid) - before <= GROWN
        publisher.statistics(subscribers=1)  # whoever did harm has gone, and is remembered no more
        with Subscriber(publisher.runtime_dir) as newcomer:
            assert newcomer.wait_for(lambda view: view.state == "fresh", LIMIT)


def test_more_connections_than_files_at_a_socket_between_two_children() -> None:
    with contextlib.ExitStack() as stack:
        with hard_limit(1024):
            publisher = stack.enter_context(running_publisher())
        publisher.new_session(full(node(2), node(3)))
        subscriber = stack.enter_context(Subscriber(publisher.runtime_dir))
        assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
        publisher.tell(internal_pb2.Freeze(seconds=1.0))
        hostile = HostileClient(
            publisher, "idle_thousands", at=publisher.endpoints.publisher.removeprefix("ipc://")
        )
        stack.callback(hostile.close)
        hostile.wait_begun()
        publisher.map_response({"PeersRemoved": [3]})
        assert subscriber.wait_for(lambda view: list(view.peers) == ["n2"], LIMIT)
        assert publisher.process.poll() is None
        wait_for(
            lambda: len(os.listdir(f"/proc/{publisher.process.pid}/fd")) < 100,  # noqa: PTH208
            LIMIT,
            "those connections to be cut",
        )
        assert any(event["event"] == "connections_cut" for event in publisher.log())


def test_topics_without_end_cost_their_sockets_and_not_the_publisher() -> None:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2), node(3)))
        with Subscriber(publisher.runtime_dir) as subscriber:
            assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
            pid, epoch = publisher.process.pid, subscriber.epoch
            hostile = HostileClient(publisher, "topics_without_end")
            try:
                hostile.wait_begun()
                wait_for(
                    lambda: any(event["event"] == "too_many_topics" for event in publisher.log()),
                    LIMIT,
                    "the flood to be noticed",
                )
            finally:
                hostile.close()
            publisher.map_response({"PeersRemoved": [3]})
            assert subscriber.wait_for(lambda view: list(view.peers) == ["n2"], LIMIT)
            assert (publisher.process.poll(), publisher.process.pid, subscriber.epoch) == (None, pid, epoch)
