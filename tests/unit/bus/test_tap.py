"""Recorders at a tap: what each gets, and that none of them is waited for."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from netmap_actors.bus import tap as room
from netmap_actors.bus.loop import Loop
from netmap_actors.bus.tap import MAX_RECORDERS, PREFIX, Tap

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HELLO = {"kind": "hello"}


class House:
    """A tap, and who comes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(10)
        self.tap = Tap(self.loop, listener.detach(), lambda: HELLO)
        self.came: list[socket.socket] = []

    def come(self, ticket: bytes | None = b"ticket\n") -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(self.path))
        one.setblocking(False)
        if ticket is not None:
            self.tap.admit("ticket")
            one.send(ticket)
        self.came.append(one)
        self.turn()
        return one

    def turn(self) -> None:
        for _ in range(3):
            for call in self.loop.wait(block=False):
                call()

    def taken(self, one: socket.socket) -> list[tuple[dict[str, Any], bytes]]:
        """All that comes, read to its end while the loop turns."""
        read, idle = b"", 0
        while idle < 3:
            try:
                data = one.recv(1 << 20)
                if not data:
                    break
                read, idle = read + data, 0
            except BlockingIOError:
                idle += 1
            self.turn()
        found = []
        while read:
            head, body = PREFIX.unpack_from(read)
            start = PREFIX.size + head
            found.append((msgspec.json.decode(read[PREFIX.size : start]), read[start : start + body]))
            assert len(read) >= start + body, "whole messages only"
            read = read[start + body :]
        return found

    def close(self) -> None:
        self.tap.close()
        for one in self.came:
            one.close()
        self.loop.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "tap.sock")
    yield house
    house.close()


def test_everybody_gets_what_follows_a_beginning_they_were_there_for(house: House) -> None:
    early = house.come()
    house.tap.tell({"n": 0}, b"before")
    house.tap.begin({"n": 1})
    late = house.come()
    house.tap.tell({"n": 2}, b"body")
    house.tap.begin({"n": 3})
    assert house.taken(early) == [(HELLO, b""), ({"n": 1}, b""), ({"n": 2}, b"body"), ({"n": 3}, b"")]
    assert house.taken(late) == [(HELLO, b""), ({"n": 3}, b"")]


@pytest.mark.parametrize("large", [100, 3 << 20])
def test_who_falls_behind_is_told_so_after_a_whole_message_and_cut_off(
    house: House, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MAX_BEHIND", 4 << 20)
    slow, quick = house.come(), house.come()
    house.tap.begin({"n": 0})
    sent = 0
    told: list[tuple[dict[str, Any], bytes]] = []
    while house.tap.cut_off == 0:
        sent += 1
        house.tap.tell({"n": sent}, bytes(large))
        told += house.taken(quick)
    assert [header.get("n") for header, _ in told] == [None, *range(sent + 1)]
    found = house.taken(slow)
    assert found[-1][0] == {"kind": "cut_off", "why": "it is more than 4 MiB behind"}
    assert [len(body) for header, body in found if header.get("n")] == [large] * (len(found) - 3)
    assert slow.recv(1) == b""
    assert len(house.tap.recorders) == 1


def test_who_does_not_even_take_that_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MAX_BEHIND", 0)
    monkeypatch.setattr(room, "_LAST_WORDS", 0.0)
    deaf = house.come()
    house.tap.begin({})
    for _ in range(2):
        house.tap.tell({}, bytes(4 << 20))
    house.turn()
    assert (house.tap.cut_off, len(house.tap.recorders), len(list(house.tap.acceptor))) == (1, 0, 0)
    while deaf.recv(1 << 20):
        pass


def test_there_are_a_few_at_most(house: House) -> None:
    for _ in range(MAX_RECORDERS):
        house.come()
    assert house.taken(house.come()) == [
        ({"kind": "cut_off", "why": f"{MAX_RECORDERS} recorders are here already"}, b"")
    ]
    house.came[0].close()
    house.turn()
    assert house.taken(house.come()) == [(HELLO, b"")]


def test_who_says_something_or_has_gone_is_no_recorder(house: House) -> None:
    talks, goes = house.come(), house.come()
    talks.send(b"x")
    goes.close()
    house.turn()
    assert not house.tap.recorders
    house.tap.tell({}, b"nobody")


@pytest.mark.parametrize("ticket", [b"\n", b"ticke\n", b"ticket", b"x" * 100 + b"\n"])
def test_without_a_ticket_nobody_is_let_in(house: House, ticket: bytes) -> None:
    house.come(ticket)
    assert not house.tap.recorders


def test_a_ticket_may_come_before_it_is_known_and_lets_in_once(house: House) -> None:
    early, late = house.come(None), house.come(None)
    for one in (early, late):
        one.send(b"another\n")
    house.turn()
    assert not house.tap.recorders
    house.tap.admit("another")
    house.turn()
    assert len(house.tap.recorders) == 1
    assert house.taken(early) == [(HELLO, b"")]


def test_a_ticket_that_was_told_to_another_process_can_be_followed_by_one_that_was_not(house: House) -> None:
    one = house.come(None)
    for ticket in ("a" * 32, "b" * 32, "c" * 32):
        one.send(f"{ticket}\n".encode())
        house.turn()
    house.tap.admit("b" * 32)
    assert not house.tap.recorders
    house.tap.admit("c" * 32)
    assert house.taken(one) == [(HELLO, b"")]


def test_who_waits_at_the_socket_when_something_begins_takes_part(house: House) -> None:
    late = socket.socket(socket.AF_UNIX)
    late.connect(str(house.path))
    late.setblocking(False)
    house.came.append(late)
    house.tap.admit("ticket")
    house.tap.begin({"n": 1})
    house.tap.tell({"n": 2}, b"body")
    late.send(b"ticket\n")
    house.turn()
    assert house.taken(late) == [(HELLO, b""), ({"n": 1}, b""), ({"n": 2}, b"body")]


def test_who_shows_none_is_hung_up_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_TICKET_LIMIT", 0.0)
    silent = house.come(None)
    house.turn()
    assert silent.recv(1) == b""


def test_another_user_is_none(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    monkeypatch.setattr("netmap_actors.bus.acceptor.origin_of", lambda _: room_origin(4712))
    assert house.come(None).recv(1) == b""
    assert not house.tap.recorders


def room_origin(user: int) -> Any:
    from netmap_actors.bus.admission import Origin

    return Origin(user, 1)
