"""What the wall clock does to a published netmap: keys expire by it, and a wrong one is told."""

from __future__ import annotations

import datetime

import pytest

from netmap_actors.subscriber import PeerUpserted, SelfChanged, Snapshot, Subscriber
from tests.support.netmaps.publishing import SELF, full, node
from tests.support.processes.publisher_process import LIMIT, boottime, running_publisher


@pytest.fixture
def publisher():
    with running_publisher() as publisher:
        yield publisher


def in_seconds(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return moment.isoformat().replace("+00:00", "Z")


def test_a_key_expires_at_its_moment_though_the_server_says_nothing(publisher) -> None:
    with Subscriber(publisher.runtime_dir) as subscriber:
        soon = in_seconds(2.0)
        publisher.new_session(
            full(node(2, KeyExpiry=soon, Endpoints=["192.0.2.1:1"]), node(3, KeyExpiry=in_seconds(3600)))
            | {"Node": SELF | {"KeyExpiry": soon}}
        )
        assert isinstance(subscriber.next_event(LIMIT), Snapshot)
        assert not subscriber.store.netmap.peers["n2"].expired
        seen = [subscriber.next_event(LIMIT), subscriber.next_event(LIMIT)]
        assert datetime.datetime.now(datetime.UTC) >= datetime.datetime.fromisoformat(soon)
        peer = next(event for event in seen if isinstance(event, PeerUpserted))
        assert peer.peer.stable_id == "n2"
        assert peer.previous == {"expired": False, "endpoints": ["192.0.2.1:1"]}
        own = next(event for event in seen if isinstance(event, SelfChanged))
        assert own.changed == ("expired",)
        assert not subscriber.store.netmap.peers["n3"].expired
        assert subscriber.store.state == "fresh"


def test_a_clock_that_differs_from_the_servers_is_told_until_it_does_not(publisher) -> None:
    publisher.new_session(full(node(2), ControlTime=in_seconds(600)))
    told = publisher.next("degraded", code="clock_skew", active=True)
    assert "600 s behind" in told.text or "599 s behind" in told.text
    publisher.map_response({"KeepAlive": True, "ControlTime": in_seconds(0)})
    publisher.next("degraded", code="clock_skew", active=False)


def test_a_message_that_waited_through_a_sleep_does_not_put_the_clock_in_doubt(publisher) -> None:
    with Subscriber(publisher.runtime_dir) as subscriber:
        publisher.new_session(full(node(2), ControlTime=in_seconds(0)))
        publisher.map_response(
            {"OnlineChange": {"2": False}, "ControlTime": in_seconds(-154)}, at=boottime() - 154
        )
        assert subscriber.wait_for(
            lambda n: len(n.netmap.peers) == 1 and n.netmap.peers["n2"].online is False, LIMIT
        )
    publisher.map_response({"KeepAlive": True, "ControlTime": in_seconds(600)})
    told = publisher.next("degraded", code="clock_skew")
    assert told.active
    assert "behind" in told.text, "the first that is told is what is so"
