"""Messages of several frames over real sockets, without waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.bus.sockets import is_readable, receive_now, send_now

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    with zmq.Context() as context:
        yield context
        context.destroy(linger=0)


@pytest.mark.parametrize("frames", [[b"one"], [b"", b"two"], [b"1", b"2" * 100_000, b""]])
def test_a_message_is_received_with_all_its_frames_and_then_there_is_none(context, frames) -> None:
    reader, writer = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    reader.bind("inproc://it")
    writer.connect("inproc://it")
    assert receive_now(reader) == []
    assert not is_readable(reader)
    writer.send_multipart(frames)
    writer.send_multipart([b"next"])
    assert reader.poll(2000)
    assert is_readable(reader)
    assert receive_now(reader) == frames
    assert receive_now(reader) == [b"next"]
    assert receive_now(reader) == []
    assert not is_readable(reader)


def test_two_frames_are_sent_as_one_message_and_lost_where_nobody_reads(context) -> None:
    writer, reader = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    writer.setsockopt(zmq.SNDHWM, 1)
    writer.bind("inproc://updates")
    send_now(writer, b"topic", b"nobody is there")
    reader.setsockopt(zmq.RCVHWM, 1)
    reader.subscribe(b"topic")
    reader.connect("inproc://updates")
    assert writer.recv() == b"\x01topic"
    for number in range(1000):
        send_now(writer, b"topic", b"%d" % number)
    assert reader.recv_multipart() == [b"topic", b"0"]
