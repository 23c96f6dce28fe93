from __future__ import annotations

import json
import os
import threading

import pytest

from netmap_supervisor.log import ChildOutput, Log

WALL = 1_700_000_000.123


class FixedClock:
    def boottime(self) -> float:
        return 1.0

    def monotonic(self) -> float:
        return 1.0

    def wall(self) -> float:
        return WALL


def written(form: str = "json", level: str = "info"):
    """A log and a function that closes it and gives its lines."""
    read_fd, write_fd = os.pipe()
    log = Log(FixedClock(), form=form, level=level, fd=write_fd)

    def lines() -> list[str]:
        log.close()
        os.close(write_fd)
        with os.fdopen(read_fd, "rb") as file:
            return file.read().decode().splitlines()

    return log, lines


def test_an_event_is_one_json_line_with_its_time_level_and_fields() -> None:
    log, lines = written()
    log.event("info", "actor_ready", {"actor": "publisher", "pid": 7})
    (line,) = lines()
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.123Z",
        "boottime": 1.0,
        "level": "info",
        "event": "actor_ready",
        "actor": "publisher",
        "pid": 7,
    }


def test_text_is_one_line_for_a_person_with_everything_escaped() -> None:
    log, lines = written("text")
    log.event("warning", "node_removed", {"detail": "\x1b[31mred\nnext", "none": None})
    assert lines() == ["22:13:20 ! node_removed detail=\\x1b[31mred\\nnext"]


def test_events_below_the_level_are_left_out_and_the_level_can_change() -> None:
    log, lines = written(level="warning")
    log.event("info", "quiet", {})
    log.level = "debug"
    log.event("debug", "loud", {})
    assert [json.loads(line)["event"] for line in lines()] == ["loud"]


def test_a_reader_that_takes_nothing_costs_lines_and_no_time() -> None:
    read_fd, write_fd = os.pipe()
    log = Log(FixedClock(), fd=write_fd)
    finished = threading.Event()

    def flood() -> None:
        for _ in range(10_000):
            log.event("info", "noise", {"text": "x" * 200})
        finished.set()

    threading.Thread(target=flood).start()
    assert finished.wait(20), "writing a log line must not wait for its reader"
    assert log.dropped > 0
    dropped = log.dropped
    seen = b""
    while b"log_lines_dropped" not in seen:
        seen = os.read(read_fd, 1 << 20)
        log.event("info", "more", {})
    told = next(json.loads(line) for line in seen.splitlines() if b"log_lines_dropped" in line)
    assert told["total"] >= dropped
    os.close(read_fd)
    log.close()
    os.close(write_fd)


def test_a_closed_standard_error_is_no_reason_to_fail() -> None:
    read_fd, write_fd = os.pipe()
    log = Log(FixedClock(), fd=write_fd)
    os.close(read_fd)
    log.event("info", "nobody", {})
    log.close()
    assert log.dropped == 1
    os.close(write_fd)


class Collected:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict, str]] = []

    def event(self, level, event, fields, timestamp="") -> None:
        self.events.append((level, event, dict(fields), timestamp))


def test_a_childs_event_keeps_its_own_time_and_fields() -> None:
    collected = Collected()
    line = b'{"timestamp":"2026-01-01T00:00:00Z","level":"error","event":"actor_failed","actor":"publisher","pid":3}\n'
    ChildOutput(collected).feed(line)
    fields = {"actor": "publisher", "pid": 3}
    assert collected.events == [("error", "actor_failed", fields, "2026-01-01T00:00:00Z")]


@pytest.mark.parametrize("at", range(1, 40))
def test_lines_are_put_together_wherever_they_were_cut(at) -> None:
    collected = Collected()
    output = ChildOutput(collected)
    data = b'{"event":"one","n":1}\n{"event":"two"}\n'
    output.feed(data[:at])
    output.feed(data[at:])
    assert [event for _, event, _, _ in collected.events] == ["one", "two"]


@pytest.mark.parametrize(
    "line", [b"Fatal Python error: \x1b]0;x\x07 init", b"[1, 2]", b"null", b"\xff\xfe", b'{"a":']
)
def test_whatever_else_a_child_prints_is_kept_and_escaped(line) -> None:
    collected = Collected()
    ChildOutput(collected).feed(line + b"\n")
    ((level, event, fields, _),) = collected.events
    assert (level, event) == ("warning", "child_output")
    assert fields["text"].isprintable()


def test_a_line_without_an_end_is_bounded() -> None:
    collected = Collected()
    output = ChildOutput(collected)
    for _ in range(40):
        output.feed(b"x" * 4096)
    assert collected.events
    assert all(len(fields["text"]) <= 401 for _, _, fields, _ in collected.events)


def test_a_child_cannot_choose_a_level_that_is_none() -> None:
    log, lines = written()
    ChildOutput(log).feed(b'{"level":["x"],"event":{"a":1},"timestamp":5}\n')
    assert len(lines()) == 1


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", 7), ("info", 6), ("warning", 4), ("error", 3), ("loud", 6)]
)
@pytest.mark.parametrize("form", ["json", "text"])
def test_a_line_for_the_journal_begins_with_its_priority(
    monkeypatch: pytest.MonkeyPatch, form: str, level: str, priority: int
) -> None:
    read_fd, write_fd = os.pipe()
    found = os.fstat(write_fd)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    log = Log(FixedClock(), form=form, level="debug", fd=write_fd)
    log.event(level, "x", {})
    log.close()
    os.close(write_fd)
    with os.fdopen(read_fd) as file:
        (line,) = file.read().splitlines()
    assert line.startswith(f"<{priority}>{'{' if form == 'json' else '2'}")


@pytest.mark.parametrize("stream", ["", "1:2", "x", "1:2:3"])
def test_what_goes_elsewhere_has_none(monkeypatch: pytest.MonkeyPatch, stream: str) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)
    log, lines = written()
    log.event("error", "x", {})
    (line,) = lines()
    assert line.startswith("{")
