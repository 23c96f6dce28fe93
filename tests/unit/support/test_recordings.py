"""The recorder of a subscriber and the judge of its recordings: what is in order passes, whatever the machine does."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.clock import SystemClock
from netmap_actors.wire import netmap_pb2
from netmap_supervisor import Subscriber
from tests.support.clients.recording_subscriber import Recorder
from tests.support.histories.recordings import Judge
from tests.support.netmaps.publishing import Server
from tests.support.netmaps.true_netmaps import MapResponses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SetClock(SystemClock):
    now = 1.0

    def boottime(self) -> float:
        return self.now


class Recorded:
    """A Subscriber that is recorded; what it hears and when is up to the test."""

    def __init__(self, runtime_dir: Path) -> None:
        self.clock = SetClock()
        self.server = Server()
        self.responses = MapResponses(random.Random(7), 20)
        self.subscriber = Subscriber(runtime_dir, clock=self.clock)
        self._path = runtime_dir / "record"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._recorder = Recorder(self.subscriber, self._file)
        self.subscriber.on("*", self._recorder.on_event)
        self.server.feed(self.responses.first(), self.clock.now)
        self.server.publication.take_outgoing()
        self.catch_up()

    def changes(self, count: int, *, every: float) -> None:
        """Nobody hears of them."""
        for _ in range(count):
            self.clock.now += every
            self.server.feed(self.responses.delta(), self.clock.now, number=self.responses.truth.last + 1)
        self.server.publication.take_outgoing()

    def catch_up(self) -> None:
        """It hears of a commit that it has not, and asks."""
        replica, publication = self.subscriber._replica, self.server.publication
        beat = publication.heartbeat(self.clock.now)
        self.subscriber._keep_current(replica.receive, beat.topic, beat.message)
        self.clock.now += 0.3
        self.subscriber._keep_current(replica.expire)
        for data in replica.to_send():
            request = netmap_pb2.Request.FromString(data)
            for part in publication.answer(request.token, request.epoch, request.seq, lambda: self.clock.now):
                self.subscriber._keep_current(replica.receive_answer, part)

    def records(self) -> list[dict[str, Any]]:
        self._recorder.end()
        return [msgspec.json.decode(line) for line in self._path.read_bytes().splitlines()]

    def close(self) -> None:
        self.subscriber.close()
        os.close(self._file)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    made = Recorded(tmp_path)
    yield made
    made.close()


def test_commits_of_one_answer_are_one_step_although_the_old_ones_are_stale_and_the_new_ones_fresh(
    recorded: Recorded,
) -> None:
    recorded.changes(20, every=1.0)
    recorded.catch_up()
    records = recorded.records()
    assert {record["event"]["state"] for record in records if "event" in record} == {"stale", "fresh"}
    assert Judge("one", recorded.responses.truth).judge(records).steps == [0, 0, 20]
    assert [record["shown"]["state"] for record in records if "shown" in record] == [
        "fresh",
        "stale",
        "fresh",
    ]


def test_a_step_is_one_although_the_view_becomes_stale_while_it_is_written(recorded: Recorded) -> None:
    def take_long(_event: object) -> None:
        recorded.clock.now += 4.0

    recorded.changes(20, every=0.1)
    recorded.subscriber.on("peer_upserted", take_long)
    recorded.catch_up()
    assert recorded.subscriber.store.state == "stale"
    records = recorded.records()
    assert Judge("one", recorded.responses.truth).judge(records).steps == [0, 20]


@pytest.mark.parametrize("kind", ["peer_upserted", "state_changed"])
def test_a_recording_in_which_an_event_is_missing_is_refused(recorded: Recorded, kind: str) -> None:
    recorded.changes(20, every=1.0)
    recorded.catch_up()
    records = recorded.records()
    last = max(at for at, record in enumerate(records) if record.get("event", {}).get("type") == kind)
    del records[last]
    with pytest.raises(AssertionError):
        Judge("one", recorded.responses.truth).judge(records)
