"""What recorders are told of sessions: each from its number 1 on, and nothing after its end."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.tap import PREFIX
from netmap_actors.publisher.session_tap import SessionTap
from netmap_actors.wire import internal_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Place:
    def __init__(self, path: Path) -> None:
        self.loop = Loop()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(10)
        self.tap = SessionTap(self.loop, listener.detach())
        self.recorder = socket.socket(socket.AF_UNIX)
        self.recorder.connect(str(path))
        self.recorder.setblocking(False)
        self.tap.admit("ticket")
        self.recorder.send(b"ticket\n")

    def turn(self) -> None:
        for _ in range(3):
            for call in self.loop.wait(block=False):
                call()

    def came(self, generation: int, session: int, number: int, at: float = 0.0) -> None:
        header = internal_pb2.MapResponseReceived(
            generation=generation, session=session, number=number, received_at=at
        )
        self.tap.map_response(header, f"{generation}.{session}.{number}".encode())

    def ended(self, generation: int) -> None:
        ended = internal_pb2.SessionEnded(generation=generation, reason="closed", stage="map", detail="x")
        self.tap.session_ended(ended, self.loop.now() - 0.99)

    def told(self) -> list[str]:
        read, found = self.recorder.recv(1 << 20), []
        while read:
            head, body = PREFIX.unpack_from(read)
            start = PREFIX.size + head
            header: dict[str, Any] = msgspec.json.decode(read[PREFIX.size : start])
            found.append(read[start : start + body].decode() or header["kind"])
            read = read[start + body :]
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "s")
    yield place
    place.tap.close()
    place.recorder.close()
    place.loop.close()


def test_a_recorder_gets_whole_sessions_only(place: Place) -> None:
    place.came(1, 1, 2)  # its number 1 went to another process
    place.turn()
    assert place.tap.recorders == 1
    place.came(1, 1, 3)
    place.ended(1)
    place.came(2, 1, 1)
    place.came(1, 1, 3)
    place.came(2, 1, 2)
    place.came(2, 1, 2)
    place.came(2, 2, 1)
    place.ended(2)
    place.came(2, 2, 2)  # it was on its way when the end was told
    place.came(3, 1, 2)
    place.came(3, 1, 3)
    place.ended(3)
    assert place.told() == ["hello", "session", "2.1.1", "2.1.2", "session", "2.2.1", "2.2.2", "end"]


def test_an_end_is_told_although_nothing_follows(place: Place) -> None:
    place.turn()
    place.came(1, 1, 1)
    place.ended(1)
    while place.tap._end is not None:
        for call in place.loop.wait():
            call()
    assert place.told() == ["hello", "session", "1.1.1", "end"]


def test_a_message_that_was_lost_ends_what_is_recorded_of_the_session(place: Place) -> None:
    place.turn()
    for number in (1, 2, 4, 5, 1):
        place.came(1, 1, number)
    place.ended(1)
    place.came(1, 2, 1)
    assert place.told() == ["hello", "session", "1.1.1", "1.1.2", "end", "session", "1.2.1"]


@pytest.mark.parametrize(
    ("before", "missed"),
    [([], 0), ([1], 1), ([1, 2], 2), ([2, 3], 0), ([1, 3], 0), ([1, 2, "end"], 0)],
    ids=["none", "begun", "under-way", "not-whole", "a-gap", "ended"],
)
def test_who_comes_late_is_told_how_much_has_passed(
    place: Place, before: list[int | str], missed: int
) -> None:
    place.recorder.close()
    place.turn()
    for one in before:
        if isinstance(one, int):
            place.came(1, 1, one)
        else:
            place.ended(1)
    assert place.tap._greeting()["missed"] == missed
