"""A recorder and a publisher that was started anew, in every order: a session is recorded whole or told as missed."""

from __future__ import annotations

import itertools
import socket
from typing import TYPE_CHECKING, Any

import msgspec

from netmap_actors.bus.loop import Loop
from netmap_actors.bus.tap import PREFIX
from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.publisher.session_tap import SessionTap
from netmap_actors.recording.format import header_line, read_recording
from netmap_actors.wire import internal_pb2
from netmap_supervisor.cli.diagnostics.recorder import SessionRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Message = tuple[int, int, int]
"""Generation, session, number."""

NEXT: tuple[Message | int | None, ...] = (
    None,  # the process starts, at the socket of the one before
    (2, 1, 3),  # of a session that began before it did
    (2, 2, 1),
    (2, 2, 2),
    (2, 2, 4),  # behind a gap
    (2, 3, 1),
    (2, 3, 2),
    2,  # the connection's end
    (3, 1, 1),
)
ARRIVALS = [("connect", "lost", "show", "know"), ("connect", "know", "show"), ("connect", "show", "know")]
"""`lost`: a ticket is shown that was told to the process before."""


def netmap(message: Message) -> dict[str, Any]:
    generation, session, number = message
    return {"Node": {"ID": generation, "User": session, "Sharer": number}}


class Place:
    """The socket, the process at it if there is one, and who records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.loop = Loop()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(10)
        self.tap: SessionTap | None = None
        self.sock = socket.socket(socket.AF_UNIX)

    def do(self, step: str | Message | int | None) -> None:
        match step:
            case None:
                self.tap = SessionTap(self.loop, self.listener.dup().detach())
            case "connect":
                self.sock.connect(str(self.path))
                self.sock.setblocking(False)
            case "lost":
                self.sock.send(b"y" * 32 + b"\n")
            case "show":
                self.sock.send(b"x" * 32 + b"\n")
            case "know" if self.tap is not None:
                self.tap.admit("x" * 32)
            case (int(generation), int(session), int(number)) if self.tap is not None:
                header = internal_pb2.MapResponseReceived(
                    generation=generation, session=session, number=number, received_at=float(number)
                )
                self.tap.map_response(header, msgspec.json.encode(netmap(step)))
            case int(generation) if self.tap is not None:
                ended = internal_pb2.SessionEnded(generation=generation, reason="closed")
                self.tap.session_ended(ended, self.loop.now())
        # What is told goes on by the next turn; a message is taken before the socket is looked at.
        for _ in range(3 if isinstance(step, str) or step is None else 0):
            for call in self.loop.wait(block=False):
                call()

    def told(self) -> Iterator[tuple[dict[str, Any], bytes]]:
        for _ in range(3):
            for call in self.loop.wait(block=False):
                call()
        try:
            read = self.sock.recv(1 << 20)
        except BlockingIOError:
            return
        while read:
            head, body = PREFIX.unpack_from(read)
            start = PREFIX.size + head
            yield msgspec.json.decode(read[PREFIX.size : start]), read[start : start + body]
            read = read[start + body :]

    def close(self) -> None:
        if self.tap is not None:
            self.tap.close()
        self.listener.close()
        self.sock.close()
        self.loop.close()


def orders(arrival: Sequence[str]) -> Iterator[list[str | Message | int | None]]:
    """The steps of both, each in its order; a ticket is known to a process that has started."""
    total = len(NEXT) + len(arrival)
    for places in itertools.combinations(range(total), len(arrival)):
        theirs, ours = iter(NEXT), iter(arrival)
        order = [next(ours) if place in places else next(theirs) for place in range(total)]
        if order.index("know") > order.index(None):
            yield order


def expected(order: Sequence[str | Message | int | None]) -> tuple[int, list[list[Message]]]:
    """How many messages of a session under way were missed, and the sessions after that."""
    here = order.index("connect")
    whole: list[Message] = []
    recorded: list[list[Message]] = []
    missed = 0
    for place, step in enumerate(order):
        if place == here:
            missed, whole = len(whole), []
        elif isinstance(step, int):
            whole = []
        elif isinstance(step, tuple):
            if step[2] == 1:
                whole = [step]
                if place > here:
                    recorded.append(whole)
            elif whole and step == (*whole[-1][:2], len(whole) + 1):
                whole.append(step)
            else:
                whole = []
    return missed, recorded


def test_each_session_is_recorded_from_its_netmap_on_or_said_to_be_missed(tmp_path: Path) -> None:
    seen = set()
    for number, (arrival, order) in enumerate((one, order) for one in ARRIVALS for order in orders(one)):
        missed, sessions = expected(order)
        place = Place(tmp_path / str(number))
        lines = [header_line("x", 130, {}, "")]
        recorder = SessionRecorder(Pseudonyms(bytes(32)), lines.append, 0)
        recorder.take({"kind": "session"}, b"", "")
        recorder.take({"kind": "map_response", "at": 0.0}, msgspec.json.encode(netmap((2, 1, 1))), "")
        recorder.publisher_ended()
        for step in order:
            place.do(step)
        for header, body in place.told():
            recorder.take(header, body, "")
            if header["kind"] == "hello":
                assert recorder.missed == (missed > 0)
                assert (f"{missed} MapResponse" in recorder.waiting) == (missed > 0), order
        found = read_recording(lines, "x")
        counted = [len(one.documents) for one in found.sessions[1:]]
        assert counted == [len(one) for one in sessions], (arrival, order)
        assert found.missed == recorder.missed
        seen.add((missed, *counted))
        place.close()
    assert {missed for missed, *_ in seen} == {0, 1, 2}
    assert len(seen) > 5
