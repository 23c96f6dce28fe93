from __future__ import annotations

import pytest

from bench.peers.bare_publisher import BarePublisher
from bench.peers.bare_subscribers import COMMIT, HEARTBEAT, LONG, MORE, Messages, frame, subscribed
from netmap_actors.wire.topics import Kind, topic_of
from tests.support.waiting import wait_for

TWO = frame(b"topic", MORE) + bytes((LONG,)) + (300).to_bytes(8) + bytes(300) + frame(b"t", MORE) + frame(b"")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 11, 300, len(TWO)])
def test_messages_are_read_from_whatever_pieces_they_come_in(piece: int) -> None:
    messages, read = Messages(), []
    for start in range(0, len(TWO), piece):
        read += messages.read(TWO[start : start + piece])
    assert read == [[b"topic", bytes(300)], [b"t", b""]]


def test_libzmq_takes_it_for_a_subscriber_of_every_topic() -> None:
    with BarePublisher() as publisher:
        connection, messages, read = subscribed(publisher.endpoint.removeprefix("ipc://")), Messages(), []

        def heard(topic: bytes) -> bool:
            publisher.beat()
            try:
                read.extend(messages.read(connection.recv(1 << 16)))
            except BlockingIOError:
                return False
            return any(frames[0] == topic for frames in read)

        wait_for(lambda: heard(HEARTBEAT), 20.0, "a heartbeat: the subscription has arrived")
        change = [[topic_of(kind), kind.value.encode()] for kind in Kind if kind is not Kind.HEARTBEAT]
        publisher.send(change)
        wait_for(lambda: heard(COMMIT), 20.0, "the change")
        assert [frames for frames in read if frames[0] != HEARTBEAT] == change
        connection.close()
