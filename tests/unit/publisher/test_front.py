"""The sockets for subscribers: who is there, and who wants what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.sockets import Sockets, ipc
from netmap_actors.publisher.front import Front
from netmap_actors.wire.topics import Kind, topic_of
from tests.support.netmaps.publishing import Server

if TYPE_CHECKING:
    from pathlib import Path


def test_heartbeats_are_wanted_by_who_subscribes_to_them(tmp_path: Path) -> None:
    loop, sockets, counted = Loop(), Sockets(), []
    front = Front(
        loop,
        sockets,
        Server().publication,
        updates=ipc(tmp_path / "u"),
        requests=ipc(tmp_path / "r"),
        on_count=lambda: counted.append(front.wants_heartbeats),
        on_arrival=lambda: None,
        on_flood=lambda: None,
        capacity=10,
        on_cut=lambda _: None,
    )
    subscriber = sockets.context.socket(zmq.SUB)
    loop.at(loop.now() + 30.0, lambda: pytest.fail("it waits for ever"))
    try:
        subscriber.setsockopt(zmq.SUBSCRIBE, topic_of(Kind.COMMIT))
        subscriber.connect(ipc(tmp_path / "u"))
        loop.run(lambda: front.subscribers == 1 and front._topic_bytes > 0)
        assert not front.wants_heartbeats
        for topic in (topic_of(Kind.HEARTBEAT), b"netmap/", b""):
            subscriber.setsockopt(zmq.SUBSCRIBE, topic)
            loop.run(lambda: front.wants_heartbeats)
            subscriber.setsockopt(zmq.UNSUBSCRIBE, topic)
            loop.run(lambda: not front.wants_heartbeats)
            assert counted[-2:] == [True, False], "and each is told"
        subscriber.setsockopt(zmq.SUBSCRIBE, b"")
        loop.run(lambda: front.wants_heartbeats)
        subscriber.close(0)
        loop.run(lambda: not front.wants_heartbeats)
    finally:
        subscriber.close(0)
        front.close()
        sockets.close()
        loop.close()
