"""A replica shows fresh only while that is proved, and gets the netmap however rarely its program looks."""

from __future__ import annotations

import collections
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.subscriber.events import StateChanged
from netmap_actors.subscriber.replica import CLOCK_SLIP, SETTLE, SILENCE_LIMIT, Replica
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import Kind
from tests.support.netmaps.publishing import Follower, Server, full, node
from tests.unit.subscriber.test_replica import synced

HEARTBEAT = 2.0


class RarePoller:
    """A program that polls and does something else; its sockets and the publisher go on meanwhile."""

    def __init__(self, server: Server, *, period: float) -> None:
        self.server, self.period, self.now = server, period, 1000.0
        tokens = itertools.count(1)
        self.replica = Replica(jitter=lambda: 0.5, token=lambda: next(tokens).to_bytes(8, "big"))
        self.replica.start(self.now)
        self.updates: collections.deque = collections.deque()
        self.answers: collections.deque[bytes] = collections.deque()
        self.requests: list[bytes] = []
        self.alive = True
        self.number = 1
        self.states: list[str] = []

    def poll(self) -> None:
        """What `Subscriber.poll` does."""
        replica, busy = self.replica, True
        while busy:
            busy = False
            while self.updates:
                message = self.updates.popleft()
                replica.receive(message.topic, message.message, self.now)
                busy = True
            while self.answers:
                replica.receive_answer(self.answers.popleft(), self.now)
                busy = True
            deadline = replica.deadline()
            if deadline is not None and self.now >= deadline:
                replica.expire(self.now)
            sent = replica.to_send()
            self.requests += sent
            busy = busy or bool(sent)
        self.states.append(replica.state(self.now))

    def sleep(self) -> None:
        """Until the next poll; the publisher answers at once, beats every 2 s and has news now and then."""
        until = self.now + self.period
        while self.now < until:
            if self.alive:
                self._let_publisher_run()
            self.now = min(until, self.now + HEARTBEAT / 4)

    def _let_publisher_run(self) -> None:
        publication = self.server.publication
        beat = self.now % HEARTBEAT == 0
        if beat and self.number % 3:
            self.number += 1
            self.server.feed({"PeersChanged": [node(3, Cap=self.number)]}, self.now, number=self.number)
        elif beat:
            self.number += 1
            self.server.feed({"KeepAlive": True}, self.now, number=self.number)
        self.updates += publication.take_outgoing()
        for data in self.requests:
            request = netmap_pb2.Request.FromString(data)
            self.answers += publication.answer(request.token, request.epoch, request.seq, lambda: self.now)
        self.requests.clear()
        if beat:
            self.updates.append(publication.heartbeat(self.now))


def running(period: float) -> RarePoller:
    server = Server()
    server.feed(full(node(2)), 999.0)
    server.publication.take_outgoing()
    return RarePoller(server, period=period)


RARE = (6.0, 6.5, 7.0, 30.0, 600.0)
PERIODS = [
    0.5,
    2.0,
    3.5,
    5.5,
    *RARE,
]


@pytest.mark.parametrize("period", PERIODS)
def test_a_program_that_polls_rarely_has_the_netmap_with_its_second_poll_and_knows_that_it_is_fresh(
    period,
) -> None:
    program = running(period)
    for _ in range(12):
        program.poll()
        program.sleep()
    assert program.states[2:] == ["fresh"] * 10
    program.poll()
    assert program.replica.seq == program.server.publication.seq
    assert dict(program.replica._contents.peers) == program.server.truth()


@pytest.mark.parametrize("period", PERIODS)
def test_a_program_that_polls_rarely_follows_the_next_publisher(period) -> None:
    program = running(period)
    for _ in range(4):
        program.poll()
        program.sleep()
    program.server = Server(restarted=True)
    program.server.feed(full(node(2), node(4)), program.now)
    program.number = 1
    for _ in range(5):
        program.sleep()
        program.poll()
    assert program.states[-1] == "fresh"
    assert dict(program.replica._contents.peers) == program.server.truth()


@pytest.mark.parametrize("period", [2.5, 3.5])
def test_a_publisher_that_died_is_not_fresh_for_longer_because_its_words_were_read_late(period) -> None:
    program = running(period)
    for _ in range(6):
        program.poll()
        program.sleep()
    died_at, program.alive = program.now, False
    program.now += 2.0
    program.poll()
    assert program.replica.synced
    program.now = died_at + SILENCE_LIMIT
    assert program.replica.state(program.now) == "stale"


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 40.0), min_size=1, max_size=12), st.floats(0.0, 9.0))
def test_whenever_it_polls_it_is_never_fresh_six_seconds_after_the_last_word(pauses, after) -> None:
    program = running(1.0)
    for _ in range(3):
        program.poll()
        program.sleep()
    for pause in pauses:
        program.period = pause
        program.sleep()
        program.poll()
    program.sleep()
    last_word, program.alive = program.now, False
    program.now += after
    program.poll()
    program.now = max(program.now, last_word + SILENCE_LIMIT)
    assert program.replica.state(program.now) == "stale"
    program.poll()
    assert program.replica.state(program.now) == "stale"


def test_a_new_publisher_without_a_netmap_ends_the_trust_in_what_the_old_one_said() -> None:
    server, follower = synced(node(2))
    other = Server(restarted=True)
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    *_lost, commit = server.publication.take_outgoing()
    follower.hear([commit], 2.0)
    waiting = server.publication.heartbeat(2.1)
    assert follower.ask(other.publication, 2.2) == 1, "which answers that there is no netmap"
    assert follower.replica.state(2.2) == "stale"
    told = follower.events[-1]
    assert isinstance(told, StateChanged)
    assert (told.state, told.reason) == ("stale", "publisher_restarted")
    follower.hear([waiting], 2.3)
    assert follower.replica.state(2.3) == "stale", "the old one had said it before"
    follower.ask(other.publication, 3.0)
    follower.hear([other.publication.heartbeat(4.0)], 4.0)
    assert follower.replica.state(4.0) == "stale"
    other.feed(full(node(2), node(5)), 5.0)
    follower.hear(other.publication.take_outgoing(), 5.0)
    follower.ask(other.publication, 5.2)
    assert follower.replica.state(5.2) == "fresh"
    assert sorted(follower.replica.netmap.peers) == ["n2", "n5"]


def test_an_age_counts_the_time_a_word_waited() -> None:
    server, follower = synced(node(2))
    beat = server.publication.heartbeat(3.0)
    follower.hear([beat], 8.0)
    assert follower.replica.age(8.0) == 7.0, "the MapResponse came at 1.0"


def test_an_answer_in_parts_that_is_read_part_by_part_over_minutes_is_used() -> None:
    server = Server()
    server.feed(full(*(node(i, DataPlaneAuditLogID="x" * 2000) for i in range(2, 500))), 1.0)
    follower = Follower(1.0)
    follower.replica.expire(1.0)
    request = netmap_pb2.Request.FromString(follower.replica.to_send()[0])
    now = 1.0
    for part in server.publication.answer(request.token, 0, 0, lambda: 1.0):
        now += 40.0
        follower.events += follower.replica.receive_answer(part, now)
    assert len(follower.replica.netmap.peers) == 498
    assert follower.replica.state(now) == "stale"


def test_a_clock_that_stood_still_makes_no_old_word_new() -> None:
    """A virtual machine was paused: our clock says 5, the publisher's 95, and what waits is of 20."""
    server, follower = synced(node(2))
    follower.hear([server.publication.heartbeat(4.0)], 4.0)
    waiting = server.publication.heartbeat(20.0)
    follower.hear([waiting], 5.0)
    assert follower.replica.deadline() <= 5.0 + SETTLE, "how old it is has to be asked"
    assert follower.replica.state(4.0 + SILENCE_LIMIT) == "stale", "it proved nothing"
    assert follower.ask(server.publication, 5.0 + SETTLE) == 1
    follower.hear([server.publication.heartbeat(6.0 + CLOCK_SLIP / 2)], 6.0)
    assert follower.replica.state(6.0) == "fresh"
    assert follower.replica.state(6.0 + SILENCE_LIMIT) == "stale"


def test_a_publisher_that_stamps_nothing_is_asked_again_and_again() -> None:
    def unstamped(data: bytes, kind: type) -> bytes:
        message = kind.FromString(data)
        message.ClearField("said_at")
        return message.SerializeToString()

    server, replica = Server(), Follower(1.0).replica
    server.feed(full(node(2)), 1.0)
    now, asked = 1.0, 0
    for turn in range(100):
        now += 0.1
        if turn % 20 == 0:
            beat = server.publication.heartbeat(now)
            replica.receive(beat.topic, unstamped(beat.message, netmap_pb2.BusMessage), now)
        replica.expire(now)
        for data in replica.to_send():
            asked += 1
            request = netmap_pb2.Request.FromString(data)
            for part in server.publication.answer(request.token, request.epoch, request.seq, lambda: now):  # noqa: B023
                replica.receive_answer(unstamped(part, netmap_pb2.Reply), now)
        assert replica.state(now) == "fresh" or turn < 10
    assert 3 <= asked <= 8, "after each heartbeat"


def test_changes_that_an_old_answer_brings_are_told_as_stale() -> None:
    _, follower = synced(node(2))
    other = Server(restarted=True)
    other.feed(full(node(2), node(3)), 2.0)
    follower.hear([other.publication.heartbeat(2.0)], 2.0)
    follower.events.clear()
    follower.events += follower.replica.expire(2.5)
    request = netmap_pb2.Request.FromString(follower.replica.to_send()[0])
    for part in other.publication.answer(request.token, 0, 0, lambda: 2.5):
        follower.events += follower.replica.receive_answer(part, 60.0)
    assert "peer_upserted" in [event.kind for event in follower.events]
    assert {event.state for event in follower.events} == {"stale"}


def test_a_snapshot_for_who_begins_to_follow_now_says_what_is_shown_now() -> None:
    _, follower = synced(node(2))
    assert follower.replica.snapshot(1.5).state == "fresh"
    assert follower.replica.snapshot(60.0).state == "stale"


@pytest.mark.parametrize("stamp", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_stamp_that_is_none_proves_nothing(stamp) -> None:
    server, follower = synced(node(2))
    message = netmap_pb2.BusMessage.FromString(server.publication.heartbeat(4.0).message)
    message.said_at = stamp
    follower.events += follower.replica.receive(b"netmap/1/heartbeat", message.SerializeToString(), 4.0)
    assert follower.replica.state(1.0 + SILENCE_LIMIT) == "stale"
    assert follower.ask(server.publication, 5.0) == 1
    assert follower.replica.state(5.0) == "fresh"


def test_a_session_that_ends_while_its_snapshot_is_on_the_way_is_told_as_fresh_and_then_as_stale() -> None:
    _, follower = synced(node(2))
    other = Server(restarted=True)
    other.feed(full(node(2), node(3)), 3.0)
    other.publication.take_outgoing()
    follower.hear([other.publication.heartbeat(3.0)], 3.0)
    follower.events.clear()
    follower.events += follower.replica.expire(3.2)
    request = netmap_pb2.Request.FromString(follower.replica.to_send()[0])
    answer = list(other.publication.answer(request.token, request.epoch, request.seq, lambda: 3.2))
    other.publication.session_ended(1, 3.3)
    follower.hear(other.publication.take_outgoing(), 3.3)
    for part in answer:
        follower.events += follower.replica.receive_answer(part, 3.4)
    told = [(event.kind, event.seq - other.publication.seq, event.state) for event in follower.events]
    assert told == [
        ("peer_upserted", -2, "fresh"),
        ("state_changed", -2, "fresh"),
        ("state_changed", 0, "stale"),
    ]
    assert [event.reason for event in follower.events[1:]] == ["caught_up", "session_ended"]
    assert follower.replica.state(3.4) == "stale"


CHECKS = 60.0


def checking(now: float) -> tuple[Server, Follower]:
    """A follower that takes no heartbeats, in step."""
    server = Server()
    server.feed(full(node(2)), now, number=1)
    server.publication.take_outgoing()
    follower = Follower(now, frozenset(Kind) - {Kind.HEARTBEAT}, CHECKS)
    assert follower.ask(server.publication, now) == 1
    assert follower.replica.state(now) == "fresh"
    return server, follower


def test_without_heartbeats_it_asks_now_and_then_and_is_fresh_as_long_as_it_is_answered() -> None:
    server, follower = checking(100.0)
    replica = follower.replica
    for number, at in enumerate((160.0, 220.0), start=2):
        assert replica.deadline() == at
        assert follower.ask(server.publication, at - 0.1) == 0
        assert follower.ask(server.publication, at) == 1
        server.feed({"KeepAlive": True}, at, number=number)
        assert replica.state(at + 1) == "fresh"
    assert follower.ask(server.publication, 280.0, lose=True) == 1
    assert replica.state(220.0 + CHECKS + SILENCE_LIMIT - 0.1) == "fresh"
    assert replica.state(220.0 + CHECKS + SILENCE_LIMIT) == "stale"


def test_without_heartbeats_a_lost_tail_is_found_with_the_next_question() -> None:
    server, follower = checking(100.0)
    server.feed({"PeersChanged": [node(3)]}, 101.0, number=2)
    server.publication.take_outgoing()
    assert follower.ask(server.publication, 101.0 + CHECKS) == 1
    assert follower.pieces() == server.truth()


def test_what_comes_puts_the_question_off() -> None:
    server, follower = checking(100.0)
    server.feed({"PeersChanged": [node(3)]}, 150.0, number=2)
    follower.hear(server.publication.take_outgoing(), 150.0)
    assert follower.replica.deadline() == 150.0 + CHECKS
