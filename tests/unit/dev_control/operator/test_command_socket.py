"""The command socket of a control server: limits for clients that send much and read little."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.dev_control.operator.command_socket import (
    MAX_COMMAND,
    MAX_COMMAND_CONNECTIONS,
    CommandSocket,
    SocketInUse,
)
from netmap_actors.errors import ConfigurationError, NetmapError

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNS = 10_000


class Commands:
    """Answers a number with so many bytes, and remembers whom it answered."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def execute(self, document: bytes) -> bytes:
        self.asked.append(document)
        if not document.isdigit():
            raise NetmapError("cannot do that")
        return b"x" * int(document)


class Place:
    def __init__(self, directory: Path) -> None:
        self.loop = Loop()
        self.commands = Commands()
        self.path = directory / "below" / "commands.sock"
        self.socket = self.open()

    def open(self) -> CommandSocket:
        return CommandSocket(self.path, self.commands, self.loop)

    def asker(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(self.path))
        made.setblocking(False)
        return made

    def turn(self) -> bool:
        """One turn of the loop; False: there was nothing to do."""
        calls = self.loop.wait(block=False)
        for call in calls:
            call()
        return bool(calls)

    def settle(self) -> None:
        for _ in range(TURNS):
            if not self.turn():
                return
        raise AssertionError("the loop never rests")

    def read(self, sock: socket.socket) -> bytes:
        """All that comes until its end, or until nothing does."""
        got = bytearray()
        for _ in range(TURNS):
            busy = self.turn()
            try:
                data = sock.recv(1 << 20)
            except BlockingIOError:
                if not busy:
                    break
                continue
            if not data:
                break
            got += data
        return bytes(got)


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="nm-") as directory:
        made = Place(Path(directory))
        yield made
        made.socket.close()
        made.loop.close()


def test_it_is_its_owners_alone_and_gone_at_the_end(place: Place) -> None:
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.path.parent.stat().st_mode) == 0o700
    with pytest.raises(SocketInUse, match="another server answers there"):
        place.open()
    place.socket.close()
    assert not place.path.exists()
    place.path.write_text("somebody's notes")
    with pytest.raises(ConfigurationError, match="is no socket"):
        place.open()
    assert place.path.read_text() == "somebody's notes"
    place.path.unlink()
    place.socket = place.open()


def test_the_name_of_another_server_is_left_to_it(place: Place) -> None:
    place.path.unlink()
    other = place.open()
    place.socket.close()
    assert place.path.exists()
    other.close()
    assert not place.path.exists()
    place.socket = place.open()


def test_answers_come_in_the_order_of_the_questions(place: Place) -> None:
    with place.asker() as sock:
        sock.sendall(b"3\nwhat\n\n5\n")
        lines = place.read(sock).splitlines()
    refusal = json.dumps({"error": "cannot do that"}, separators=(",", ":")).encode()
    assert lines == [b"xxx", refusal, refusal, b"xxxxx"]


def test_who_asks_and_hangs_up_half_gets_all_answers(place: Place) -> None:
    with place.asker() as sock:
        sock.sendall(b"400000\n" * 3)
        sock.shutdown(socket.SHUT_WR)
        assert [len(line) for line in place.read(sock).splitlines()] == [400_000] * 3
        assert sock.recv(1) == b""


def test_one_answer_at_most_waits_for_who_does_not_read(place: Place) -> None:
    with place.asker() as deaf:
        deaf.sendall(b"1000000\n" * 1000)
        place.settle()
        assert len(place.commands.asked) == 1


def test_a_thousand_questions_of_one_wait_for_one_of_another(place: Place) -> None:
    with place.asker() as many, place.asker() as one:
        many.sendall(b"9\n" * 1000)
        place.turn()
        one.sendall(b"8\n")
        assert place.read(many).count(b"\n") == 1000
        assert place.commands.asked.index(b"8") < 10


@pytest.mark.parametrize("end", [b"\n7\n", b""])
def test_a_line_that_is_too_long_is_refused_and_is_the_last(place: Place, end: bytes) -> None:
    with place.asker() as sock:
        rest = b"1" * (MAX_COMMAND + 1) + end
        with contextlib.suppress(BrokenPipeError):
            while rest:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[sock.send(rest) :]
                place.turn()
        assert b"more than 1048576 bytes" in place.read(sock)
    assert place.commands.asked == []


def test_there_is_room_for_so_many_at_once(place: Place) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_COMMAND_CONNECTIONS):
            stack.enter_context(place.asker())
            place.settle()
        # Who has said nothing for longest makes room.
        with place.asker() as late:
            late.sendall(b"1\n")
            assert place.read(late) == b"x\n"
    place.settle()
    with place.asker() as again:
        again.sendall(b"2\n")
        assert place.read(again) == b"xx\n"
