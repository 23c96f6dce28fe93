"""A publisher that was stopped, as by a suspend, says nothing afterwards that had become false meanwhile."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.subscriber import Subscriber
from netmap_actors.subscriber.replica import SILENCE_LIMIT
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import SCHEMA
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import boottime, running_publisher
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.processes.publisher_process import PublisherProcess

pytestmark = pytest.mark.xdist_group("waits")

SILENCE = 0.6
"""Longer than a heartbeat's interval: it is due as well when the process goes on."""
LIMIT = 30.0
FRESH, STALE = netmap_pb2.NETMAP_STATE_FRESH, netmap_pb2.NETMAP_STATE_STALE
STOPS = 8


class Listener:
    """Reads the bus as it is on the wire: a Subscriber would have a judgement of its own."""

    def __init__(self, publisher: PublisherProcess) -> None:
        self._context: zmq.Context = zmq.Context()
        self.updates = self._context.socket(zmq.SUB)
        self.updates.setsockopt(zmq.SUBSCRIBE, b"")
        self.updates.connect(publisher.endpoints.updates)
        self.requests = self._context.socket(zmq.DEALER)
        self.requests.setsockopt(zmq.LINGER, 0)
        self.requests.connect(publisher.endpoints.requests)
        self.said: list[netmap_pb2.BusMessage | netmap_pb2.Reply] = []

    def ask(self) -> None:
        self.requests.send(netmap_pb2.Request(schema=SCHEMA, token=b"t").SerializeToString())

    def read(self) -> None:
        while self.updates.poll(0):
            self.said.append(netmap_pb2.BusMessage.FromString(self.updates.recv_multipart()[1]))
        while self.requests.poll(0):
            self.said.append(netmap_pb2.Reply.FromString(self.requests.recv_multipart()[-1]))

    def hears(self, kind: type, state: netmap_pb2.NetmapState) -> None:
        def told() -> bool:
            self.read()
            return any(isinstance(said, kind) and said.state == state for said in self.said)

        wait_for(told, LIMIT, f"a {kind.__name__} with state {state}")

    def close(self) -> None:
        self._context.destroy(linger=0)


@pytest.fixture
def publisher() -> Iterator[PublisherProcess]:
    with running_publisher(silence_timeout=SILENCE) as publisher:
        yield publisher


def test_no_message_says_fresh_of_what_is_older_than_the_limit(publisher: PublisherProcess) -> None:
    listener = Listener(publisher)
    try:
        for _ in range(STOPS):
            listener.said.clear()
            publisher.new_session(full(node(2)))
            listener.hears(netmap_pb2.BusMessage, FRESH)
            assert publisher.process is not None
            os.kill(publisher.process.pid, signal.SIGSTOP)
            try:
                # Answered when it goes on, before or after whatever else is due then.
                listener.ask()
                over = boottime() + SILENCE
                wait_for(lambda: boottime() > over, LIMIT, "more than the limit has passed")  # noqa: B023
            finally:
                os.kill(publisher.process.pid, signal.SIGCONT)
            listener.hears(netmap_pb2.Reply, STALE)
            listener.hears(netmap_pb2.BusMessage, STALE)
            wrong = [said for said in listener.said if said.state == FRESH and said.age_s >= SILENCE]
            assert not wrong
    finally:
        listener.close()


@pytest.mark.slow
def test_a_program_that_polls_every_six_seconds_has_a_fresh_netmap_and_loses_it_with_the_publisher() -> None:
    def rarely(subscriber: Subscriber) -> str:
        again = boottime() + SILENCE_LIMIT + 0.1
        wait_for(lambda: boottime() >= again, LIMIT, "the program does something else")
        subscriber.poll()
        return subscriber.store.state

    with (
        running_publisher(heartbeat_interval=2.0) as publisher,
        Subscriber(publisher.runtime_dir) as subscriber,
    ):
        publisher.new_session(full(*(node(i, DataPlaneAuditLogID="x" * 2000) for i in range(2, 4000))))
        publisher.statistics(peers=3998)
        subscriber.poll()
        assert rarely(subscriber) == "fresh"
        assert len(subscriber.store.netmap.peers) == 3998
        publisher.map_response({"PeersRemoved": [2]})
        assert rarely(subscriber) == "fresh"
        assert len(subscriber.store.netmap.peers) == 3997
        publisher.kill()
        assert rarely(subscriber) == "stale"
