"""A publisher process and maps that take it seconds: it beats, obeys and drops what has become pointless."""

from __future__ import annotations

import time

from netmap_actors.wire import internal_pb2
from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher

PEERS = 150_000


def large(publisher: PublisherProcess) -> None:
    """Send a map of very small peers, as some servers have them, and wait until it is being worked on."""
    peers = b",".join(b'{"ID":%d}' % number for number in range(2, PEERS + 2))
    publisher.session += 1
    publisher.number = 0
    publisher.map_response(b'{"Node":{"ID":1},"Peers":[' + peers + b"]}")


def test_a_publisher_beats_while_it_applies_a_very_large_map() -> None:
    with running_publisher() as publisher:
        large(publisher)
        beats, deadline = 0, time.monotonic() + LIMIT
        while publisher.next("heartbeat").publisher.peers < PEERS:
            beats += 1
            assert time.monotonic() < deadline
        # One may have been on its way; without a pause for them there is no other.
        assert beats >= 3


def test_a_session_that_ends_and_a_stop_are_obeyed_in_the_middle_of_a_map() -> None:
    with running_publisher() as publisher:
        publisher.new_session(full(node(2), node(3)))
        publisher.statistics(peers=2)
        large(publisher)
        for _ in range(2):
            assert publisher.next("heartbeat").publisher.peers == 2
        publisher.session_ended()
        publisher.new_connection()
        publisher.new_session(full(node(4)))
        seen = set()
        while seen.isdisjoint({1, PEERS}):
            seen.add(publisher.next("heartbeat").publisher.peers)
        assert seen <= {1, 2}, "nothing of a session that has ended is shown"
        large(publisher)
        publisher.next("heartbeat")
        publisher.tell(internal_pb2.Stop(reason="test"))
        assert publisher.process is not None
        assert publisher.process.wait(LIMIT) == 0
        assert publisher.log()[-1].get("error") is None


def test_more_peers_than_the_limit_are_refused_with_a_reason_and_the_publisher_lives() -> None:
    with running_publisher(max_peers=1000) as publisher:
        publisher.new_session(full(node(2)))
        publisher.statistics(peers=1, state="fresh")
        large(publisher)
        assert "limits.max_peers is 1000" in publisher.next("degraded").text
        assert publisher.next("verdict").reason == "error"
        publisher.statistics(peers=1, state="stale")
        publisher.session_ended()
        publisher.new_connection()
        publisher.new_session(full(node(3), node(4)))
        publisher.next("degraded", code="bad_map_response", active=False)
        publisher.statistics(peers=2, state="fresh")
