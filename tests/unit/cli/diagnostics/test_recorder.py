"""What becomes of the messages of a tap."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.recording.format import RecordedEnd, Recording, header_line, read_recording
from netmap_supervisor.cli.diagnostics.record import map_request_fields
from netmap_supervisor.cli.diagnostics.recorder import SessionRecorder

FIRST = b'{"Node":{"ID":1,"Name":"secret-box.corp.example.","Key":"nodekey:%s"}}' % (b"ab" * 32)
BEGIN = ({"kind": "session", "generation": 3}, b"")


def message(at: float, body: bytes = b"{}") -> tuple[dict[str, Any], bytes]:
    return {"kind": "map_response", "at": at}, body


def end(at: float, detail: str = "") -> tuple[dict[str, Any], bytes]:
    return {"kind": "end", "at": at, "reason": "closed", "stage": "map", "detail": detail}, b""


class Desk:
    def __init__(self, sessions: int = 0) -> None:
        self.lines: list[bytes] = [header_line("x", 130, {}, "")]
        self.recorder = SessionRecorder(Pseudonyms(bytes(32)), self.lines.append, sessions)

    def take(self, *messages: tuple[dict[str, Any], bytes]) -> None:
        for header, body in messages:
            self.recorder.take(header, body, "2026-01-01T00:00:00Z")

    def recording(self) -> Recording:
        return read_recording(self.lines, "x")


def test_each_message_has_its_time_since_the_first_and_the_session_its_end() -> None:
    desk = Desk()
    desk.take(({"kind": "hello"}, b""), BEGIN, message(100.5, FIRST), message(102.0), end(103.0))
    (session,) = desk.recording().sessions
    assert [one.at for one in session.documents] == [0.0, 1.5]
    assert (session.end, session.ended_at) == (RecordedEnd("closed", "map"), 2.5)


def test_nothing_of_the_original_reaches_the_file() -> None:
    desk = Desk()
    desk.take(
        BEGIN, message(1, FIRST), message(2, b"\xff secret-box"), end(3, "lost secret-box.corp.example")
    )
    written = b"".join(desk.lines)
    for original in (b"secret-box", b"corp", b"abab"):
        assert original not in written
    assert b"a message of 12 bytes that is no JSON object" in written


def test_it_is_over_after_so_many_sessions() -> None:
    desk = Desk(sessions=2)
    desk.take(BEGIN, message(1, FIRST), BEGIN, message(2, FIRST), end(3), BEGIN, message(4, FIRST))
    desk.recorder.finish("not asked")
    assert [one.end and one.end.reason for one in desk.recording().sessions] == ["new_session", "closed"]
    assert msgspec.json.decode(desk.lines[-1]) == {
        "recording_ended": "2 sessions",
        "sessions": 2,
        "map_responses": 2,
    }


def test_one_that_is_cut_off_says_so() -> None:
    desk = Desk()
    desk.take(BEGIN, message(1, FIRST), ({"kind": "cut_off", "why": "it is too slow"}, b""), message(2))
    desk.recorder.finish("not asked")
    assert desk.recorder.cut_off
    assert b'"recording_ended":"it is too slow"' in desk.lines[-1]
    assert desk.recording().documents == 1


def test_what_the_map_request_asked_for_tells_nothing_of_who_asked() -> None:
    version, asked = map_request_fields()
    assert asked == {"Version": version, "Compress": "zstd", "KeepAlive": True, "Stream": True}


@pytest.mark.parametrize("kind", ["map_response", "end"])
def test_what_belongs_to_no_session_is_not_written(kind: str) -> None:
    desk = Desk()
    desk.take(({"kind": kind, "at": 1.0}, FIRST))
    assert len(desk.lines) == 1
