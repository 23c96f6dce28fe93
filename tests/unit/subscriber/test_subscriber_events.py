"""The events of a Subscriber begin with a Snapshot and follow from it, whoever takes them and however time passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netmap_actors.clock import SystemClock
from netmap_actors.subscriber import client
from netmap_actors.subscriber.replica import SILENCE_LIMIT
from netmap_actors.wire import netmap_pb2
from netmap_supervisor import Subscriber
from tests.support.netmaps.event_netmap import EventNetmap
from tests.support.netmaps.publishing import Server, full, node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from netmap_actors.subscriber.events import Event


class PassingClock(SystemClock):
    """Time passes with each look at it."""

    now, step = 1.0, 0.0

    def boottime(self) -> float:
        self.now += self.step
        return self.now


class Program:
    """A Subscriber that shows a netmap, and the publisher it follows."""

    def __init__(self, runtime_dir: Path) -> None:
        self.clock, self.server = PassingClock(), Server()
        self.subscriber = Subscriber(runtime_dir, clock=self.clock)
        self.server.feed(full(node(2)), 1.0)
        self.server.publication.take_outgoing()
        self.expire()
        replica = self.subscriber._replica
        request = netmap_pb2.Request.FromString(replica.to_send()[0])
        for part in self.server.publication.answer(request.token, request.epoch, request.seq, lambda: 1.0):
            self.subscriber._keep_current(replica.receive_answer, part)
        assert self.subscriber.store.state == "fresh"

    def change(self, *peers: int, number: int = 2) -> None:
        self.server.feed({"PeersChanged": [node(one) for one in peers]}, 1.0, number=number)
        for message in self.server.publication.take_outgoing():
            self.subscriber._keep_current(self.subscriber._replica.receive, message.topic, message.message)

    def expire(self) -> None:
        self.subscriber._keep_current(self.subscriber._replica.expire)

    def taken(self) -> EventNetmap:
        """What its events tell."""
        told = EventNetmap()
        told.take(list(self.subscriber._events))
        return told


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program(tmp_path)
    yield made
    made.subscriber.close()


def test_a_callback_hears_a_snapshot_before_the_changes_of_it(program: Program) -> None:
    first: list[Event] = []
    second: list[Event] = []
    peers: list[Event] = []
    program.subscriber.on("*", first.append)
    program.change(3)
    program.subscriber.on("snapshot", second.append)
    program.subscriber.on("*", second.append)
    program.subscriber.on("peer_upserted", peers.append)
    program.change(4, number=3)
    assert [event.kind for event in first] == ["snapshot", "peer_upserted", "peer_upserted"]
    assert [event.kind for event in second] == ["snapshot", "snapshot", "peer_upserted"]
    assert [event.kind for event in peers] == ["peer_upserted"]
    for heard in (first, second[1:]):
        told = EventNetmap()
        told.take(heard)
        assert sorted(told.peers) == ["n2", "n3", "n4"]


def test_the_snapshot_that_events_begin_with_has_the_state_that_the_next_change_of_it_names(
    program: Program,
) -> None:
    program.clock.now, program.clock.step = 1.0 + SILENCE_LIMIT - 1.5, 1.0
    program.subscriber._read()
    program.expire()
    assert program.taken().state == "stale"


def test_so_has_the_snapshot_that_takes_the_place_of_events_nobody_took(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_EVENTS", 3)
    program.subscriber._read()
    # The commit is the fifth message: it is taken just before the limit.
    program.clock.now, program.clock.step = 1.0 + SILENCE_LIMIT - 5.5, 1.0
    program.change(3, 4, 5, 6)
    program.expire()
    told = program.taken()
    assert (told.state, sorted(told.peers)) == ("stale", ["n2", "n3", "n4", "n5", "n6"])
