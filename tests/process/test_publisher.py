"""A real publisher process and real subscribers: what they are told is true, whatever happens to either."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import socket
import stat

import pytest
import zmq

from netmap_actors.runtime_paths import requests_path, updates_path
from netmap_actors.subscriber import PeerRemoved, PeerUpserted, Snapshot, StateChanged, Subscriber
from netmap_actors.wire import internal_pb2, netmap_pb2
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, boottime, running_publisher
from tests.support.waiting import Stopwatch


@pytest.fixture
def publisher():
    with running_publisher() as publisher:
        yield publisher


@pytest.fixture
def subscriber(publisher):
    with Subscriber(publisher.runtime_dir) as subscriber:
        yield subscriber


def next_event(subscriber: Subscriber):
    event = subscriber.next_event(LIMIT)
    assert event is not None, "no event"
    return event


def test_who_comes_before_the_netmap_gets_it_as_a_snapshot_when_it_is_there(publisher, subscriber) -> None:
    assert subscriber.wait_for_answer(LIMIT)
    now = subscriber.store.snapshot()
    assert (now.state, len(now.netmap.peers), now.age_s) == ("none", 0, None)
    publisher.new_session(full(node(2), node(3)))
    event = next_event(subscriber)
    assert isinstance(event, Snapshot)
    line = json.loads(json.dumps(event.to_json()))
    assert (line["type"], line["state"], len(line["netmap"]["peers"])) == ("snapshot", "fresh", 2)
    assert 0 <= line["age_s"] < LIMIT
    assert subscriber.store.netmap.peers["n2"].name == "node2.example"
    figures = publisher.statistics(peers=2)
    assert (figures.state, figures.peers_online, figures.self_stable_id) == ("fresh", 2, "self")
    assert (figures.generation, figures.session) == (1, 1)


def test_a_delta_is_one_event_with_what_changed_and_its_old_value(publisher, subscriber) -> None:
    publisher.new_session(full(node(2), node(3)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Online": False}]})
    event = next_event(subscriber)
    assert isinstance(event, PeerUpserted)
    assert (event.peer.stable_id, event.peer.online, event.previous) == ("n2", False, {"online": True})
    publisher.map_response({"PeersRemoved": [3]})
    event = next_event(subscriber)
    assert isinstance(event, PeerRemoved)
    assert event.peer.name == "node3.example"
    assert list(subscriber.store.netmap.peers) == ["n2"]


def test_a_keep_alive_moves_the_age_and_nothing_else(publisher, subscriber) -> None:
    publisher.new_session(full(node(2)))
    assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
    publisher.map_response({"PeersRemoved": [99]}, at=boottime() - 60)
    publisher.map_response({"PeersRemoved": [98]}, at=boottime() - 50)
    seq = subscriber.store.snapshot().seq
    before = publisher.statistics().last_received_at
    publisher.map_response({"KeepAlive": True})
    while publisher.statistics().last_received_at <= before:
        pass
    assert subscriber.wait_for(lambda view: view.age_s is not None and view.age_s < 1.0, LIMIT)
    assert (subscriber.store.snapshot().seq, subscriber.store.state) == (seq, "fresh")


def test_a_session_that_ends_makes_the_netmap_stale_and_the_next_one_yields_true_changes(
    publisher, subscriber
) -> None:
    publisher.new_session(full(node(2), node(3), node(4)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.session_ended()
    event = next_event(subscriber)
    assert isinstance(event, StateChanged)
    assert (event.previous, event.state, event.reason) == ("fresh", "stale", "session_ended")
    assert len(subscriber.store.netmap.peers) == 3, "what was true last is still shown"
    publisher.new_connection()
    publisher.new_session(full(node(2), node(3, Online=False)))
    kinds = [next_event(subscriber) for _ in range(3)]
    assert [type(event) for event in kinds] == [PeerRemoved, PeerUpserted, StateChanged]
    assert kinds[1].previous == {"online": True}
    assert (subscriber.store.state, kinds[2].reason) == ("fresh", "session_started")


def test_the_netmap_decays_by_itself_when_nothing_comes() -> None:
    with running_publisher(silence_timeout=0.5) as publisher, Subscriber(publisher.runtime_dir) as subscriber:
        publisher.new_session(full(node(2)))
        assert isinstance(next_event(subscriber), Snapshot)
        event = next_event(subscriber)
        assert (event.state, event.reason) == ("stale", "silence")
        publisher.statistics(state="stale")
        publisher.map_response({"KeepAlive": True})
        assert next_event(subscriber).state == "fresh"


def test_a_killed_publisher_comes_back_asks_for_the_netmap_and_nobody_sees_a_false_change(
    publisher, subscriber
) -> None:
    publisher.new_session(full(node(2), node(3)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.kill()
    publisher.start()
    publisher.tell(internal_pb2.ConnectionStarted(generation=publisher.generation))
    publisher.next("resync")
    event = next_event(subscriber)
    assert (event.kind, event.state, event.reason) == ("state_changed", "stale", "publisher_restarted")
    assert len(subscriber.store.netmap.peers) == 2, "the last netmap is still shown"
    old_epoch = subscriber.store.snapshot().epoch
    publisher.map_response({"KeepAlive": True})  # of the old session: it does not count
    publisher.new_session(full(node(2), node(5)))
    events = [next_event(subscriber) for _ in range(3)]
    assert [event.kind for event in events] == ["peer_removed", "peer_upserted", "state_changed"]
    assert (events[1].peer.stable_id, events[1].previous) == ("n5", None)
    assert subscriber.store.state == "fresh"
    assert subscriber.store.snapshot().epoch != old_epoch


def test_a_publisher_that_is_silent_makes_the_view_stale(publisher, subscriber) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.kill()
    watch = Stopwatch()
    event = next_event(subscriber)
    assert (event.state, event.reason) == ("stale", "publisher_silent")
    assert 5.0 < watch.wall() < 5.0 + watch.allowed(3.0)
    assert subscriber.store.state == "stale"


def test_a_publisher_that_is_stopped_says_that_nothing_keeps_the_netmap_current(
    publisher, subscriber
) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.tell(internal_pb2.Stop(reason="test"))
    event = next_event(subscriber)
    assert (event.state, event.reason) == ("stale", "publisher_stopped")
    assert publisher.process.wait(LIMIT) == 0


def test_a_gap_makes_the_netmap_stale_and_asks_for_a_resync_on_the_same_connection(
    publisher, subscriber
) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.number += 1
    publisher.map_response({"PeersRemoved": [2]})
    publisher.next("resync")
    event = next_event(subscriber)
    assert (event.state, event.reason) == ("stale", "gap")
    publisher.map_response({"PeersRemoved": [2]})  # behind the gap
    publisher.new_session(full(node(2), node(3)))
    assert [next_event(subscriber).kind for _ in range(2)] == ["peer_upserted", "state_changed"]
    publisher.counters(gaps=1, dropped=2)


@pytest.mark.parametrize("document", [b"\xff{}", b'{"Node": 5}', b"[" * 100_000, b'{"Peers": "none"}'])
def test_what_is_no_map_response_ends_the_connection_and_leaves_the_netmap_stale(
    publisher, subscriber, document
) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.map_response(document)
    verdict = publisher.next("verdict")
    assert (verdict.generation, verdict.session, verdict.stage, verdict.reason) == (1, 1, "map", "error")
    event = next_event(subscriber)
    assert (event.state, event.reason) == ("stale", "bad_map_response")
    publisher.map_response({"PeersRemoved": [2]})  # nothing more of this connection counts
    publisher.new_connection()
    publisher.new_session(full(node(2)))
    assert next_event(subscriber).reason == "session_started"
    publisher.next("degraded", code="bad_map_response", active=False)
    assert len(subscriber.store.netmap.peers) == 1


def test_one_bad_peer_is_quarantined_and_shown(publisher, subscriber) -> None:
    publisher.new_session(full(node(2), node(3, Addresses=7)))
    event = next_event(subscriber)
    assert subscriber.store.netmap.peers["n2"].decoded
    assert not subscriber.store.netmap.peers["n3"].decoded
    assert subscriber.store.netmap.peers["n3"].json["Addresses"] == 7
    assert json.dumps(event.to_json())
    assert "1" in publisher.next("degraded", code="peer_quarantined", active=True).text
    publisher.map_response({"PeersChanged": [node(3)]})
    publisher.next("degraded", code="peer_quarantined", active=False)


def test_peers_that_are_not_shown_for_another_with_their_id_are_told_of(publisher) -> None:
    publisher.new_session(full(node(2, StableID="twin"), node(3, StableID="twin"), node(4)))
    assert "1 peers are not shown" in publisher.next("degraded", code="peer_hidden", active=True).text
    assert publisher.statistics(peers=2).quarantined == 0
    publisher.map_response({"PeersRemoved": [3]})
    publisher.next("degraded", code="peer_hidden", active=False)
    assert publisher.statistics(peers=2).seq


def test_a_transaction_too_large_for_messages_comes_as_a_snapshot(publisher, subscriber) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    publisher.map_response({"PeersChanged": [node(i) for i in range(3, 2003)]})
    assert subscriber.wait_for(lambda view: len(view.netmap.peers) == 2001, LIMIT)
    events = [next_event(subscriber) for _ in range(2000)]
    assert all(isinstance(event, PeerUpserted) and event.is_new for event in events)
    assert subscriber.store.state == "fresh"
    assert subscriber.next_event(0) is None, "a gap that is closed at once is nobody's news"


def test_who_subscribes_amid_a_stream_of_deltas_misses_nothing(publisher) -> None:
    publisher.new_session(full(*(node(i) for i in range(2, 52))))
    publisher.statistics(peers=50)
    with contextlib.ExitStack() as stack:
        joined = []
        for turn in range(1000):
            publisher.map_response({"PeersChangedPatch": [{"NodeID": 2 + turn % 50, "Cap": turn + 1}]})
            if turn % 100 == 0:
                joined.append(stack.enter_context(Subscriber(publisher.runtime_dir)))
                joined[-1].next_event(0)
        expected = {f"n{2 + turn % 50}": turn + 1 for turn in range(950, 1000)}
        for subscriber in joined:
            assert subscriber.wait_for(
                lambda view: {key: peer.cap for key, peer in view.netmap.peers.items()} == expected, LIMIT
            )
            shown: dict[str, int] = {}
            while (event := subscriber.next_event(0)) is not None:
                if isinstance(event, Snapshot):
                    assert not shown
                    shown = {key: peer.cap for key, peer in event.netmap.peers.items()}
                elif not isinstance(event, StateChanged):  # on a busy machine the stream takes more than 6 s
                    assert event.previous == {"cap": shown[event.peer.stable_id]}
                    shown[event.peer.stable_id] = event.peer.cap
            assert shown == expected


def test_subscribers_are_counted(publisher) -> None:
    with Subscriber(publisher.runtime_dir) as one, Subscriber(publisher.runtime_dir) as other:
        assert one.wait_for_answer(LIMIT)
        assert other.wait_for_answer(LIMIT)
        publisher.statistics(subscribers=2)
    publisher.statistics(subscribers=0)


def test_a_subscriber_of_one_kind_is_told_of_nothing_else(publisher) -> None:
    with Subscriber(publisher.runtime_dir, kinds=["dns_changed"]) as subscriber:
        publisher.new_session(full(node(2), DNSConfig={"Domains": ["a"]}))
        event = next_event(subscriber)
        assert (len(event.netmap.peers), event.netmap.dns) == (0, {"Domains": ["a"]})
        publisher.map_response({"PeersRemoved": [2], "DNSConfig": {"Domains": ["b"]}})
        event = next_event(subscriber)
        assert (event.kind, event.value, event.previous) == (
            "dns_changed",
            {"Domains": ["b"]},
            {"Domains": ["a"]},
        )
        publisher.map_response({"PeersChanged": [node(3)]})
        publisher.map_response({"PeersChanged": [node(4)], "DNSConfig": {"Domains": ["c"]}})
        assert next_event(subscriber).value == {"Domains": ["c"]}
        assert len(subscriber.store.netmap.peers) == 0
    with pytest.raises(ValueError, match="no_such_kind"):
        Subscriber(publisher.runtime_dir, kinds=["no_such_kind"])


def test_an_asyncio_program_gets_the_same_events(publisher) -> None:
    async def follow() -> list[str]:
        kinds = []
        with Subscriber(publisher.runtime_dir) as subscriber:
            publisher.new_session(full(node(2)))
            async for event in subscriber:
                kinds.append(event.kind)
                if len(kinds) == 1:
                    publisher.map_response({"PeersChanged": [node(3)]})
                elif len(kinds) == 2:
                    publisher.session_ended()
                else:
                    break
            publisher.new_connection()
            publisher.new_session(full(node(2), node(3)))
            assert await subscriber.wait_for_async(lambda view: view.state == "fresh", LIMIT)
            assert not await subscriber.wait_for_async(lambda view: False, 0.05)
        return kinds

    kinds = asyncio.run(asyncio.wait_for(follow(), LIMIT))
    assert kinds == ["snapshot", "peer_upserted", "state_changed"]


def test_callbacks_hear_what_they_asked_for(publisher, subscriber) -> None:
    heard = []
    subscriber.on("peer_upserted", lambda event: heard.append(event.peer.stable_id))
    publisher.new_session(full(node(2)))
    assert subscriber.wait_for(lambda view: view.netmap.peers, LIMIT)
    publisher.map_response({"PeersChanged": [node(3)], "Domain": "other.example"})
    assert subscriber.wait_for(lambda view: len(view.netmap.peers) == 2, LIMIT)
    assert heard == ["n3"]


def test_only_the_owner_can_reach_the_sockets(publisher) -> None:
    directory = updates_path(publisher.runtime_dir).parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in (updates_path(publisher.runtime_dir), requests_path(publisher.runtime_dir)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to a group")
def test_a_group_can_be_let_in() -> None:
    group = grp.getgrall()[-1]
    with running_publisher(socket_group=group.gr_name) as publisher:
        directory = updates_path(publisher.runtime_dir).parent
        assert (stat.S_IMODE(directory.stat().st_mode), directory.stat().st_gid) == (0o750, group.gr_gid)
        assert publisher.runtime_dir.stat().st_gid == group.gr_gid
        assert stat.S_IMODE(publisher.runtime_dir.stat().st_mode) == 0o710
        for path in (updates_path(publisher.runtime_dir), requests_path(publisher.runtime_dir)):
            assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_gid) == (0o660, group.gr_gid)


def test_a_group_that_does_not_exist_is_a_configuration_error(tmp_path_factory) -> None:
    with (
        pytest.raises(AssertionError, match="there is none"),
        running_publisher(socket_group="no-such-group"),
    ):
        pass


class Raw:
    """Somebody who speaks ZeroMQ to the requests socket, but not our language."""

    def __init__(self, publisher: PublisherProcess) -> None:
        self.context: zmq.Context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDHWM, 0)
        self.socket.setsockopt(zmq.RCVHWM, 1)
        self.socket.connect(publisher.endpoints.requests)

    def request(self, token: bytes = b"t", epoch: int = 0, seq: int = 0) -> None:
        request = netmap_pb2.Request(schema=1, token=token, epoch=epoch, seq=seq)
        self.socket.send(request.SerializeToString())

    def reply(self) -> netmap_pb2.Reply:
        assert self.socket.poll(LIMIT * 1000), "no reply"
        return netmap_pb2.Reply.FromString(self.socket.recv_multipart()[-1])

    def close(self) -> None:
        self.socket.close(0)
        self.context.term()


@pytest.fixture
def raw(publisher):
    raw = Raw(publisher)
    yield raw
    raw.close()


def test_what_is_no_request_is_dropped_and_counted(publisher, raw) -> None:
    nested = b"\x0a\x00" * 30_000
    for data in (
        b"",
        b"\xff" * 100,
        nested,
        netmap_pb2.Request(schema=9).SerializeToString(),
        b"\x12\x41" + b"x" * 65,
    ):
        raw.socket.send(data)
    raw.socket.send_multipart([b"three", b"frames", b"here"])
    raw.request(b"good")
    assert raw.reply().token == b"good"
    publisher.counters(requests_refused=6)


def test_a_request_too_large_costs_only_the_one_who_made_it(publisher, subscriber, raw) -> None:
    raw.socket.send(b"x" * (1 << 20))
    publisher.new_session(full(node(2)))
    assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)


def test_foreign_and_malformed_map_responses_change_nothing(publisher, subscriber) -> None:
    publisher.new_session(full(node(2)))
    assert isinstance(next_event(subscriber), Snapshot)
    for frames in (
        [b""],
        [b"", b"{}"],
        [b"\xff" * 50, b"{}"],
        [b"a", b"b", b"c"],
        [b"\0" * (2 << 20), b"{}"],
    ):
        publisher.connection.send_multipart(frames)
    number = publisher.number
    for key in ((1, 1, 1), (1, 0, 1), (0, 9, 1)):
        publisher.generation, publisher.session, publisher.number = key[0], key[1], key[2] - 1
        publisher.map_response({"PeersRemoved": [2]})
    publisher.generation, publisher.session, publisher.number = 1, 1, number
    publisher.map_response({"PeersChanged": [node(3)]})
    assert next_event(subscriber).peer.stable_id == "n3"
    assert len(subscriber.store.netmap.peers) == 2


def test_raw_bytes_on_the_sockets_harm_nobody(publisher, subscriber) -> None:
    for path in (updates_path(publisher.runtime_dir), requests_path(publisher.runtime_dir)):
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" + b"\0" * 8 + b"\x7f" + b"\xff" * 1000):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(data)
    publisher.new_session(full(node(2)))
    assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)


def test_a_flood_of_requests_does_not_keep_updates_from_the_others(publisher, subscriber, raw) -> None:
    publisher.new_session(full(*(node(i) for i in range(2, 3000))))
    assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
    slowest = 0.0
    for turn in range(20):
        for _ in range(1000):
            raw.request(b"flood")
        watch = Stopwatch()
        publisher.map_response({"PeersChangedPatch": [{"NodeID": 2, "Cap": turn + 1}]})
        assert subscriber.wait_for(lambda view, cap=turn + 1: view.netmap.peers["n2"].cap == cap, LIMIT)
        slowest = max(slowest, watch.seconds())
    assert slowest < 2.0


def test_who_does_not_read_its_snapshot_does_not_hold_up_who_does(publisher, raw) -> None:
    publisher.new_session(full(*(node(i, DataPlaneAuditLogID="x" * 2000) for i in range(2, 4000))))
    publisher.statistics(peers=3998)
    lazy = [Raw(publisher) for _ in range(12)]  # more than are answered at a time
    try:
        for one in lazy:
            one.request()
        raw.request(b"mine")
        parts = [raw.reply()]
        while not parts[-1].last:
            parts.append(raw.reply())
        assert len(parts) > 30
        assert [part.part for part in parts] == list(range(len(parts)))
        assert sum(len(part.snapshot.peers) for part in parts) == 3998
        assert {part.seq for part in parts} == {parts[0].seq}
    finally:
        for one in lazy:
            one.close()


def test_the_ring_gives_what_was_missed_and_a_stranger_gets_it_all(publisher, raw) -> None:
    publisher.new_session(full(node(2)))
    raw.request()
    first = raw.reply()
    while first.WhichOneof("body") == "not_yet":
        raw.request()
        first = raw.reply()
    publisher.map_response({"PeersChanged": [node(3)]})
    publisher.statistics(peers=2)
    raw.request(epoch=first.epoch, seq=first.seq)
    missed = raw.reply()
    assert missed.last
    assert [message.topic for message in missed.catch_up.messages] == [
        "netmap/1/peer_upserted",
        "netmap/1/commit",
    ]
    raw.request(epoch=first.epoch + 1, seq=first.seq)
    assert raw.reply().WhichOneof("body") == "snapshot"
    raw.request(epoch=first.epoch, seq=first.seq + 1000)
    assert raw.reply().WhichOneof("body") == "snapshot"
