"""What one replica does in the cases a history hardly meets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.subscriber.events import (
    PeerRemoved,
    PeerUpserted,
    SelfChanged,
    Snapshot,
    StateChanged,
    UserProfilesChanged,
)
from netmap_actors.subscriber.replica import (
    ANSWER_TIMEOUT,
    ASK_JITTER,
    BEHIND_LIMIT,
    MAX_BUFFERED,
    SETTLE,
    SILENCE_LIMIT,
    subscribed_kinds,
)
from netmap_actors.wire import netmap_pb2
from netmap_actors.wire.topics import Kind, topic_of
from tests.support.netmaps.publishing import SELF, Follower, Server, full, node


def synced(*peers: dict, kinds: frozenset[Kind] = frozenset(Kind), **fields) -> tuple[Server, Follower]:
    server = Server()
    server.feed(full(*(peers or (node(2),)), **fields), 1.0)
    server.publication.take_outgoing()
    follower = Follower(1.0, kinds)
    follower.ask(server.publication, 1.0)
    follower.hear([server.publication.heartbeat(1.0)], 1.0)
    assert follower.replica.synced
    return server, follower


def test_the_first_event_is_the_snapshot_and_it_does_not_move() -> None:
    server, follower = synced(node(2), node(3))
    (snapshot,) = follower.events
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.state, snapshot.epoch, snapshot.age_s) == ("fresh", server.publication.epoch, 0.0)
    server.feed({"PeersRemoved": [2]}, 2.0, number=2)
    follower.hear(server.publication.take_outgoing(), 2.0)
    assert list(follower.replica.netmap.peers) == ["n3"]
    assert sorted(snapshot.netmap.peers) == ["n2", "n3"]


def test_nothing_is_shown_before_the_commit() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3), node(4)], "PeersRemoved": [2]}, 2.0, number=2)
    *updates, commit = server.publication.take_outgoing()
    follower.hear(updates, 2.0)
    assert list(follower.replica.netmap.peers) == ["n2"]
    follower.hear([commit], 2.0)
    assert list(follower.replica.netmap.peers) == ["n3", "n4"]


def test_a_heartbeat_shows_that_the_tail_was_lost() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    server.publication.take_outgoing()
    follower.hear([server.publication.heartbeat(3.0)], 3.0)
    assert not follower.replica.synced
    assert follower.replica.gaps == 1
    assert follower.ask(server.publication, 4.0) == 1
    assert sorted(follower.replica.netmap.peers) == ["n2", "n3"]
    assert [event.kind for event in follower.events[1:]] == ["peer_upserted"]


def test_a_message_twice_changes_nothing() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    out = server.publication.take_outgoing()
    follower.hear(out, 2.0)
    follower.hear(out, 2.0)
    assert len(follower.events) == 2
    assert follower.replica.synced


def test_without_a_word_for_six_seconds_the_view_says_stale_and_then_fresh_again() -> None:
    server, follower = synced()
    deadline = follower.replica.deadline()
    assert deadline == 1.0 + SILENCE_LIMIT
    assert follower.replica.expire(deadline - 0.1) == []
    (event,) = follower.replica.expire(deadline)
    assert (event.previous, event.state, event.reason) == ("fresh", "stale", "publisher_silent")
    assert follower.replica.deadline() is None
    assert follower.replica.age(deadline) == SILENCE_LIMIT
    follower.hear([server.publication.heartbeat(9.0)], 9.0)
    follower.ask(server.publication, 9.5)
    (event,) = follower.events[1:]
    assert (event.state, event.reason) == ("fresh", "caught_up")


def test_what_waited_while_we_were_stopped_makes_nothing_fresh() -> None:
    """It was true when it was written; what it says of now only the publisher can tell."""
    server, follower = synced()
    waiting = [server.publication.heartbeat(2.0)]
    for number in range(2, 5):
        server.feed({"PeersChanged": [node(2 + number)]}, float(number), number=number)
        waiting += [*server.publication.take_outgoing(), server.publication.heartbeat(number + 0.5)]
    server.publication.session_ended(1, 5.0)  # and what told of it did not fit into our socket any more
    server.publication.take_outgoing()
    for message in waiting:
        follower.hear([message], 60.0)
        assert follower.replica.state(60.0) == "stale"
    assert follower.ask(server.publication, 60.0 + SETTLE + ASK_JITTER) == 1
    assert sorted(follower.replica.netmap.peers) == ["n2", "n4", "n5", "n6"]
    assert [e.state for e in follower.events if isinstance(e, StateChanged)] == ["stale"]
    assert follower.replica.age(61.0) > 50.0


def test_an_answer_from_before_a_stop_is_asked_for_again() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    server.publication.take_outgoing()
    follower.hear([server.publication.heartbeat(2.0)], 2.0)
    follower.events += follower.replica.expire(3.0)
    request = netmap_pb2.Request.FromString(follower.replica.to_send()[0])
    answer = list(server.publication.answer(request.token, request.epoch, request.seq, lambda: 3.0))
    server.publication.session_ended(1, 4.0)
    for part in answer:
        follower.events += follower.replica.receive_answer(part, 60.0)
        assert follower.replica.state(60.0) == "stale"
    follower.ask(server.publication, 61.0)
    assert sorted(follower.replica.netmap.peers) == ["n2", "n3"]
    assert follower.replica.state(61.0) == "stale", "the publisher says so"
    server.publication.connection_started(2, 62.0)
    server.feed(full(node(2)), 62.0, generation=2)
    follower.hear(server.publication.take_outgoing(), 62.0)
    assert follower.replica.state(62.0) == "fresh"


def test_a_bus_that_is_never_quiet_does_not_put_the_question_off() -> None:
    server, follower = synced()
    follower.hear([server.publication.heartbeat(2.0)], 60.0)
    now = 60.0
    for number in range(2, 20):
        now += SETTLE / 2
        server.feed({"PeersChanged": [node(3, Cap=number)]}, now, number=number)
        follower.hear(server.publication.take_outgoing(), now)
        follower.ask(server.publication, now)
    assert follower.replica.state(now) == "fresh"


def test_a_publisher_that_answers_and_then_says_nothing_at_all_is_silent_too() -> None:
    _, follower = synced()
    assert follower.replica.state(1.0) == "fresh"
    assert follower.replica.deadline() == 1.0 + SILENCE_LIMIT
    assert [event.reason for event in follower.replica.expire(1.0 + SILENCE_LIMIT)] == ["publisher_silent"]
    assert follower.replica.state(1.0 + SILENCE_LIMIT) == "stale"


def test_who_was_absent_asks_when_what_waited_has_been_taken() -> None:
    server, follower = synced()
    follower.hear([server.publication.heartbeat(2.0)], 2.0)
    for number in (2, 3, 4):
        server.feed({"PeersChanged": [node(2 + number)]}, 3.0, number=number)
    *first, _lost, _its_commit = server.publication.take_outgoing()
    follower.hear(first, 6.0)
    assert follower.replica.synced
    assert sorted(follower.replica.netmap.peers) == ["n2", "n4", "n5"]
    assert follower.ask(server.publication, 6.0 + SETTLE) == 1
    assert sorted(follower.replica.netmap.peers) == ["n2", "n4", "n5", "n6"]
    assert follower.replica.gaps == 1


def test_who_was_absent_and_missed_nothing_does_not_ask() -> None:
    server, follower = synced()
    follower.hear([server.publication.heartbeat(2.0)], 2.0)
    follower.hear([server.publication.heartbeat(6.0)], 6.0)
    assert follower.ask(server.publication, 7.0) == 0
    assert follower.replica.gaps == 0


def test_a_gap_that_stays_open_makes_the_view_stale() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    server.publication.take_outgoing()
    follower.hear([server.publication.heartbeat(2.0)], 2.0)
    follower.ask(server.publication, 3.0, lose=True)
    assert follower.replica.state(3.0) == "fresh"
    assert follower.replica.expire(2.0 + BEHIND_LIMIT)[0].reason == "behind"
    follower.ask(server.publication, 3.0 + 2 * ANSWER_TIMEOUT)
    assert [event.kind for event in follower.events[-2:]] == ["peer_upserted", "state_changed"]


def test_what_came_of_a_transaction_before_its_gap_is_not_counted_when_it_comes_again() -> None:
    server, follower = synced()
    server.feed({"PeersChanged": [node(3), node(4)]}, 2.0, number=2)
    first, _second, commit = server.publication.take_outgoing()
    follower.hear([first, commit], 2.0)
    assert not follower.replica.synced
    follower.ask(server.publication, 3.0)
    assert follower.replica.synced
    assert sorted(follower.replica.netmap.peers) == ["n2", "n3", "n4"]
    assert follower.replica.gaps == 1


def test_a_new_publisher_is_believed_only_when_it_has_the_netmap_and_shows_true_changes_only() -> None:
    _, follower = synced(node(2), node(3))
    other = Server(restarted=True)
    follower.hear([other.publication.heartbeat(2.0)], 2.0)
    assert isinstance(follower.events[-1], StateChanged)
    assert (follower.events[-1].state, follower.events[-1].reason) == ("stale", "publisher_restarted")
    follower.ask(other.publication, 3.0)
    assert follower.replica.state(3.0) == "stale"
    assert len(follower.replica.netmap.peers) == 2
    other.feed(full(node(2), node(3, Cap=9)), 4.0)
    follower.hear(other.publication.take_outgoing(), 4.0)
    follower.ask(other.publication, 5.0)
    assert [event.kind for event in follower.events[2:]] == ["peer_upserted", "state_changed"]
    assert follower.events[2].previous == {"cap": 0}
    assert follower.replica.state(5.0) == "fresh"


def test_a_request_without_an_answer_is_made_again_and_parts_of_the_first_are_ignored() -> None:
    server = Server()
    server.feed(full(node(2)), 1.0)
    replica = Follower(1.0).replica
    replica.expire(1.0)
    (first,) = replica.to_send()
    assert replica.expire(1.0 + ANSWER_TIMEOUT) == []
    assert replica.to_send() == []
    replica.expire(1.0 + 2 * ANSWER_TIMEOUT)
    (second,) = replica.to_send()
    old, new = (netmap_pb2.Request.FromString(data).token for data in (first, second))
    assert old != new
    for part in server.publication.answer(old, 0, 0, lambda: 2.0):
        assert replica.receive_answer(part, 6.0) == []
    assert not replica.has_netmap
    for part in server.publication.answer(new, 0, 0, lambda: 2.0):
        replica.receive_answer(part, 6.0)
    assert replica.has_netmap


@pytest.mark.parametrize(
    "spoil",
    [
        lambda parts: parts[1:],
        lambda parts: [parts[0], *parts[2:]],
        lambda parts: [parts[0], b"\x92\x01\xff\xff\xff\x0f"],
        lambda parts: [parts[0][: len(parts[0]) // 2]],
        lambda parts: [parts[0], parts[0]],
    ],
)
def test_a_broken_answer_is_asked_for_again_and_shows_nothing(spoil) -> None:
    server = Server()
    server.feed(full(*(node(i, DataPlaneAuditLogID="x" * 2000) for i in range(2, 500))), 1.0)
    follower = Follower(1.0)
    follower.replica.expire(1.0)
    token = netmap_pb2.Request.FromString(follower.replica.to_send()[0]).token
    for part in spoil(list(server.publication.answer(token, 0, 0, lambda: 1.0))):
        follower.replica.receive_answer(part, 1.0)
    assert not follower.replica.has_netmap
    assert follower.replica.malformed == 1
    assert follower.ask(server.publication, 2.0) == 1
    assert len(follower.replica.netmap.peers) == 498


@given(st.sampled_from(list(Kind)), st.binary(max_size=200))
def test_no_bytes_harm_a_replica(kind, data) -> None:
    _, follower = synced()
    shown = follower.pieces()
    follower.replica.receive(topic_of(kind), data, 2.0)
    follower.replica.receive_answer(data, 2.0)
    assert follower.pieces() == shown


@pytest.mark.parametrize("topic", [b"", b"netmap/2/commit", b"netmap/1/added_later", b"other"])
def test_unknown_topics_are_nothing_to_us(topic) -> None:
    _, follower = synced()
    assert follower.replica.receive(topic, b"\xff", 2.0) == []
    assert follower.replica.malformed == 0


def test_what_waits_for_an_answer_is_bounded() -> None:
    server, _ = synced()
    follower = Follower(1.0)
    follower.replica.expire(1.0)
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    message = server.publication.take_outgoing()[0]
    follower.hear([message] * (MAX_BUFFERED + 10), 2.0)
    assert len(follower.replica._buffer) <= MAX_BUFFERED


def test_the_kinds_of_peers_come_together() -> None:
    assert subscribed_kinds(None) == frozenset(Kind)
    assert subscribed_kinds(["dns_changed"]) == {
        Kind.DNS_CHANGED,
        Kind.STATE_CHANGED,
        Kind.COMMIT,
        Kind.HEARTBEAT,
    }
    assert {Kind.PEER_REMOVED, Kind.USER_PROFILES_CHANGED} <= subscribed_kinds(["peer_upserted"])
    with pytest.raises(ValueError, match="nonsense"):
        subscribed_kinds(["nonsense"])


def test_a_filtered_replica_sees_the_gaps_of_its_topics_only() -> None:
    kinds = subscribed_kinds(["dns_changed"])
    server, follower = synced(kinds=kinds, DNSConfig={"Domains": ["a"]})
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    follower.hear([m for m in server.publication.take_outgoing() if b"peer" not in m.topic], 2.0)
    assert follower.replica.synced
    server.feed({"DNSConfig": {"Domains": ["b"]}}, 3.0, number=3)
    follower.hear([m for m in server.publication.take_outgoing() if b"dns" not in m.topic], 3.0)
    assert not follower.replica.synced
    follower.ask(server.publication, 4.0)
    assert follower.replica.netmap.dns == {"Domains": ["b"]}
    assert len(follower.replica.netmap.peers) == 0
    assert follower.events[-1].to_json()["previous"] == {"dns": {"Domains": ["a"]}}


def test_users_are_known_before_their_peers_are_told_of() -> None:
    server, follower = synced()
    profile = {"ID": 7, "LoginName": "bob@example", "DisplayName": "Bob"}
    server.feed({"UserProfiles": [profile], "PeersChanged": [node(3, User=7)]}, 2.0, number=2)
    follower.hear(server.publication.take_outgoing(), 2.0)
    events = follower.events[1:]
    assert {type(event) for event in events} == {UserProfilesChanged, PeerUpserted}
    assert next(event for event in events if isinstance(event, PeerUpserted)).peer.user == "bob@example"
    assert [peer.stable_id for peer in follower.replica.netmap.peers.by_user("bob@example")] == ["n3"]


def test_a_peer_that_leaves_the_last_netmap_of_its_user_had_that_user() -> None:
    bob, eve = (
        {"ID": number, "LoginName": name, "DisplayName": name} for number, name in ((7, "bob"), (8, "eve"))
    )
    server, follower = synced(node(2, User=7), node(3, User=7), UserProfiles=[bob, eve])
    server.feed({"PeersChanged": [node(2, User=8)], "PeersRemoved": [3]}, 2.0, number=2)
    follower.hear(server.publication.take_outgoing(), 2.0)
    told = follower.events[1:]
    (changed,) = (event for event in told if isinstance(event, PeerUpserted))
    (gone,) = (event for event in told if isinstance(event, PeerRemoved))
    assert any(isinstance(event, UserProfilesChanged) for event in told), "nobody is bob's any more"
    assert changed.peer.user == "eve"
    assert changed.previous == {"user": "bob", "user_id": 7}
    assert gone.peer.user == "bob"


def test_changes_of_fields_nobody_named_are_changes_too() -> None:
    server, follower = synced(node(2, Sharer=5, UnsignedPeerAPIOnly=True))
    server.feed({"PeersChanged": [node(2, Sharer=6, Hostinfo={"OS": "linux"})]}, 2.0, number=2)
    server.feed({"Node": SELF | {"Cap": 5}}, 3.0, number=3)
    follower.hear(server.publication.take_outgoing(), 3.0)
    peer, self_changed = follower.events[1:]
    assert peer.previous == {
        "os": "",
        "node.Hostinfo": None,
        "node.UnsignedPeerAPIOnly": True,
        "sharer_id": 5,
    }
    assert isinstance(self_changed, SelfChanged)
    assert self_changed.to_json()["changed"] == ["cap"]


def test_what_an_event_says_as_plain_values_is_plain() -> None:
    """An enumeration's member prints as itself, and not every encoder knows it."""
    _, follower = synced()
    events = [*follower.events, *follower.replica.expire(1000.0)]
    shown = follower.replica.snapshot(1000.0)
    assert events[-1].to_json()["previous"] == {"state": "fresh"}
    values = [
        shown.head_json()["state"],
        events[-1].to_json()["previous"]["state"],
        *(event.to_json()["state"] for event in events),
    ]
    assert {type(value) for value in values} == {str}


def test_a_view_without_listeners_works_out_no_changes() -> None:
    server, follower = synced()
    follower.replica.emit = False
    server.feed({"PeersChanged": [node(3)]}, 2.0, number=2)
    follower.hear(server.publication.take_outgoing(), 2.0)
    assert len(follower.events) == 1
    assert sorted(follower.replica.netmap.peers) == ["n2", "n3"]
