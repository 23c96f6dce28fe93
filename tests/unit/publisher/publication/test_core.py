"""Transactions, numbers, states and answers of one publisher process."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.errors import BadMapResponse
from netmap_actors.publisher.publication.core import MAX_UPDATES
from netmap_actors.publisher.publication.freshness import FRESH, NONE, STALE, Freshness
from netmap_actors.publisher.publication.intake import Remedy
from netmap_actors.publisher.publication.ring import Published, Ring
from netmap_actors.publisher.publication.sequences import MAX_EPOCH, Sequences
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import PART_BYTES, Kind, topic_of
from tests.support.netmaps.publishing import SILENCE, WALL, Server, full, node


def opened(server: Server) -> list[netmap_pb2.BusMessage]:
    out = []
    for published in server.publication.take_outgoing():
        message = netmap_pb2.BusMessage.FromString(published.message)
        assert published.topic == topic_of(Kind(message.WhichOneof("body")))
        assert published.seq == message.seq
        out.append(message)
    return out


def bodies(messages: list[netmap_pb2.BusMessage]) -> list[str]:
    return [message.WhichOneof("body") for message in messages]


def replies(server: Server, epoch: int = 0, seq: int = 0, now: float = 0.0) -> list[netmap_pb2.Reply]:
    return [
        netmap_pb2.Reply.FromString(part) for part in server.publication.answer(b"t", epoch, seq, lambda: now)
    ]


def test_one_map_response_is_one_transaction_that_ends_with_its_commit() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    first = opened(server)
    assert bodies(first)[-2:] == ["state_changed", "commit"]
    assert "peer_upserted" in bodies(first)
    assert {message.txn for message in first} == {1}
    assert [message.seq for message in first] == list(range(1, len(first) + 1))
    assert {(message.schema, message.epoch, message.state) for message in first} == {
        (1, server.publication.epoch, FRESH)
    }
    commit = first[-1].commit
    assert (commit.txn, commit.seq, commit.updates) == (1, first[-1].seq, len(first) - 1)
    assert commit.topic_seq["peer_upserted"] == 1
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    second = opened(server)
    assert bodies(second) == ["peer_upserted", "commit"]
    assert [message.topic_seq for message in second] == [2, 2]
    assert second[0].peer_upserted.name == "node3.example"


@pytest.mark.parametrize(
    "response", [{"KeepAlive": True}, {"ControlTime": "2026-11-23T00:00:00Z"}, {"PeersChanged": [node(2)]}]
)
def test_what_changes_nothing_publishes_nothing_but_feeds_the_age(response) -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    opened(server)
    server.feed(response, 50.0, number=2)
    assert opened(server) == []
    assert server.publication.last_received_at == 50.0


def test_a_new_session_publishes_only_what_is_different() -> None:
    server = Server()
    server.feed(full(node(2), node(3), node(4)), 1.0)
    opened(server)
    server.feed(full(node(2), node(4, Online=False), node(5)), 2.0, session=2)
    changed = opened(server)
    assert sorted(bodies(changed)) == ["commit", "peer_removed", "peer_upserted", "peer_upserted"]


def test_a_keep_alive_that_brings_settings_is_read() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    opened(server)
    server.feed({"KeepAlive": True, "ClientVersion": {"RunningLatest": True}}, 2.0, number=2)
    assert bodies(opened(server)) == ["settings_changed", "commit"]


def test_before_the_first_full_map_there_is_nothing_to_tell() -> None:
    server = Server()
    server.feed({"KeepAlive": True, "ClientVersion": {"RunningLatest": True}}, 1.0)
    assert opened(server) == []
    assert server.publication.state(1.0) == NONE
    assert [reply.WhichOneof("body") for reply in replies(server)] == ["not_yet"]
    beat = netmap_pb2.BusMessage.FromString(server.publication.heartbeat(1.0).message)
    assert (beat.seq, beat.heartbeat.last_commit.seq, beat.state) == (0, 0, NONE)
    server.feed(full(node(2)), 2.0, number=2)
    assert server.publication.state(2.0) == FRESH


def test_silence_makes_it_stale_and_a_keep_alive_fresh_again() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    opened(server)
    assert server.publication.deadline(1.0) == 1.0 + SILENCE
    server.publication.expire(SILENCE + 0.9)
    assert opened(server) == []
    server.publication.expire(SILENCE + 1.0)
    (changed, commit) = opened(server)
    assert (changed.state, changed.state_changed.reason, commit.age_s) == (STALE, "silence", SILENCE)
    server.feed({"KeepAlive": True}, SILENCE + 2.0, number=2)
    assert opened(server)[0].state == FRESH


def test_the_end_of_a_session_is_told_once_and_an_older_one_never() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0, generation=5)
    opened(server)
    server.publication.session_ended(4, 2.0)
    assert opened(server) == []
    server.publication.session_ended(5, 3.0)
    assert bodies(opened(server)) == ["state_changed", "commit"]
    server.publication.session_ended(5, 4.0)
    server.feed({"PeersRemoved": [2]}, 5.0, generation=5, number=2)
    assert opened(server) == []
    assert server.publication.state(5.0) == STALE


@pytest.mark.parametrize(
    "document", [b"", b"{", b"null", b"[]", b"\xff{}", b'{"Peers": 1}', b'{"Node": "x"}']
)
def test_what_is_no_map_response_is_refused_with_the_netmap_unchanged(document) -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    opened(server)
    truth = server.truth()
    from netmap_actors.wire.internal_pb2 import MapResponseReceived

    header = MapResponseReceived(generation=1, session=1, number=2, received_at=2.0, size=len(document))
    with pytest.raises(BadMapResponse):
        server.publication.map_response(header, document, 2.0, WALL)
    assert server.truth() == truth
    assert opened(server)[0].state_changed.reason == "bad_map_response"
    assert server.publication.expire(2.0) is Remedy.END_SESSION
    assert server.publication.bad == 1


def test_of_a_large_transaction_only_the_commit_is_sent_and_the_numbers_show_the_gap() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    before = opened(server)[-1].seq
    server.feed({"PeersChanged": [node(i) for i in range(3, MAX_UPDATES + 4)]}, 2.0, number=2)
    (commit,) = opened(server)
    assert commit.seq == before + MAX_UPDATES + 2
    assert commit.commit.updates == MAX_UPDATES + 1
    assert replies(server, server.publication.epoch, before)[0].WhichOneof("body") == "snapshot"
    assert len(replies(server, server.publication.epoch, commit.seq)[0].catch_up.messages) == 0
    server.feed({"PeersRemoved": [2]}, 3.0, number=3)
    caught_up = replies(server, server.publication.epoch, commit.seq)
    assert [m.topic for m in caught_up[0].catch_up.messages] == ["netmap/1/peer_removed", "netmap/1/commit"]


def test_a_snapshot_comes_in_parts_of_one_commit_with_every_peer_once() -> None:
    server = Server()
    peers = [node(i, DataPlaneAuditLogID="x" * 3000) for i in range(2, 400)]
    server.feed(
        full(*peers, DNSConfig={"Domains": ["a"]}, UserProfiles=[{"ID": 1, "LoginName": "ann@example"}]), 1.0
    )
    parts = server.publication.answer(b"t", 0, 0, lambda: 2.0)
    first = netmap_pb2.Reply.FromString(next(parts))
    server.feed({"PeersRemoved": [2, 3]}, 2.0, number=2)  # between two parts
    rest = [netmap_pb2.Reply.FromString(part) for part in parts]
    answer = [first, *rest]
    assert len(answer) > 3
    assert [reply.part for reply in answer] == list(range(len(answer)))
    assert [reply.last for reply in answer] == [False] * (len(answer) - 1) + [True]
    assert {(reply.token, reply.seq, reply.epoch) for reply in answer} == {
        (b"t", first.seq, server.publication.epoch)
    }
    assert [p.id for reply in answer for p in reply.snapshot.peers] == list(range(2, 400))
    assert first.snapshot.peer_count == 398
    assert first.snapshot.topic_seq["commit"] == 1
    assert json.loads(first.snapshot.dns) == {"Domains": ["a"]}
    assert [p.login_name for p in first.snapshot.user_profiles] == ["ann@example"]
    assert first.snapshot.self.stable_id == "self"
    assert all(reply.ByteSize() < PART_BYTES + 8192 for reply in answer)


def test_a_process_that_was_stopped_says_stale_with_its_first_word() -> None:
    """Which of what became due meanwhile comes first is chance: a heartbeat, a request or the end of the patience."""
    server = Server()
    server.feed(full(node(2)), 1.0)
    opened(server)
    late = 1.0 + SILENCE
    beat = netmap_pb2.BusMessage.FromString(server.publication.heartbeat(late).message)
    told = opened(server)
    assert bodies(told) == ["state_changed", "commit"]
    assert told[0].state_changed.reason == "silence"
    assert (beat.state, beat.age_s, beat.seq) == (STALE, SILENCE, told[-1].seq)

    server.feed({"KeepAlive": True}, late + 1.0, number=2)
    opened(server)
    later = late + 1.0 + SILENCE
    (reply,) = replies(server, now=later)
    assert (reply.state, reply.age_s, reply.seq) == (STALE, SILENCE, server.publication.seq)
    assert bodies(opened(server)) == ["state_changed", "commit"]


def test_an_answer_interrupted_for_long_does_not_end_with_what_was_true_when_it_began() -> None:
    server = Server()
    server.feed(full(*[node(i, DataPlaneAuditLogID="x" * 3000) for i in range(2, 400)]), 1.0)
    now = 2.0
    parts = server.publication.answer(b"t", 0, 0, lambda: now)
    first = netmap_pb2.Reply.FromString(next(parts))
    now = 1.0 + SILENCE
    rest = [netmap_pb2.Reply.FromString(part) for part in parts]
    assert (first.state, first.age_s) == (FRESH, 1.0)
    assert {(reply.state, reply.age_s, reply.seq) for reply in rest} == {(STALE, SILENCE, first.seq)}


def test_a_heartbeat_repeats_the_last_commit_and_takes_no_number() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    commit = opened(server)[-1]
    for now in (3.0, 5.0):
        beat = netmap_pb2.BusMessage.FromString(server.publication.heartbeat(now).message)
        assert (beat.seq, beat.heartbeat.last_commit, beat.age_s) == (commit.seq, commit.commit, now - 1.0)
    server.feed({"PeersRemoved": [2]}, 6.0, number=2)
    assert opened(server)[0].seq == commit.seq + 1


def test_an_epoch_fits_into_a_float() -> None:
    for epoch in (0, -1, MAX_EPOCH):
        with pytest.raises(ValueError, match="cannot use"):
            Sequences(epoch)
    assert float(Sequences(MAX_EPOCH - 1).epoch) == MAX_EPOCH - 1


def published(seq: int, size: int = 0) -> Published:
    return Published(seq, b"t", b"x" * size)


@given(st.lists(st.integers(0, 900), max_size=40), st.integers(0, 4000), st.integers(-1, 50))
def test_the_ring_gives_all_after_a_number_or_nothing(sizes, limit, asked) -> None:
    ring = Ring(limit)
    for seq, size in enumerate(sizes, 1):
        ring.append([published(seq, size)])
        assert ring.size <= limit
    missed = ring.after(asked)
    if missed is None:
        assert asked < ring.base or asked > len(sizes)
    else:
        assert [m.seq for m in missed] == list(range(asked + 1, len(sizes) + 1))


def test_the_ring_takes_no_message_out_of_turn_and_forgets_what_was_not_built() -> None:
    ring = Ring(10_000)
    ring.append([published(1), published(2)])
    with pytest.raises(ValueError, match="3 is the next"):
        ring.append([published(5)])
    ring.reset(700)
    assert ring.after(2) is None
    assert ring.after(700) == []
    ring.append([published(701)])
    assert ring.after(700) == [published(701)]


def test_freshness_needs_a_full_map_a_living_session_and_a_young_message() -> None:
    freshness = Freshness(10.0)
    freshness.received(1.0)
    assert (freshness.state(1.0), freshness.deadline(1.0)) == (NONE, None)
    freshness.session_began()
    freshness.full_map_applied()
    assert (freshness.state(10.9), freshness.deadline(10.9)) == (FRESH, 11.0)
    assert (freshness.state(11.0), freshness.deadline(11.0)) == (STALE, None)
    freshness.received(0.5)
    assert freshness.age(11.0) == 10.0, "a late message does not make it older"
    freshness.received(12.0)
    freshness.session_began()
    assert freshness.state(12.0) == STALE, "the new session's map is not here yet"
    freshness.full_map_applied()
    freshness.lost()
    assert freshness.state(12.0) == STALE
