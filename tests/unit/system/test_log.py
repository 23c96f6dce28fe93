from __future__ import annotations

import errno
import json
import os
import threading

import pytest

from netmap_supervisor.system.log import MAX_FIELD, Log
from netmap_supervisor.system.log_limiter import LINE_BURST
from tests.support.waiting import wait_for

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


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_text_without_end_has_one_in_the_log(form: str) -> None:
    log, lines = written(form)
    log.event("info", "session_ended", {"actor": "control_connection", "detail": "x" * 1_000_000, "pid": 7})
    (line,) = lines()
    assert 500 < len(line) < 2 * MAX_FIELD
    assert "pid" in line


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
            log.event("info", "stopping", {"text": "x" * 200})
        finished.set()

    threading.Thread(target=flood).start()
    assert finished.wait(20), "writing a log line must not wait for its reader"
    assert log.dropped > 0
    dropped = log.dropped
    seen = b""
    while b"log_lines_dropped" not in seen:
        seen = os.read(read_fd, 1 << 20)
        log.event("info", "stopping", {})
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


def test_a_reader_that_is_slow_gets_every_line_also_where_writing_does_not_wait() -> None:
    """Another program that has the same terminal or pipe may have made it so."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    log = Log(FixedClock(), fd=write_fd)
    for number in range(1500):
        log.event("info", "stopping", {"number": number, "text": "x" * 200})
    seen = b""
    while seen.count(b"\n") < 1500:
        seen += os.read(read_fd, 5000)
    assert [json.loads(line)["number"] for line in seen.splitlines()] == list(range(1500))
    assert log.dropped == 0
    log.close()
    os.close(write_fd)
    os.close(read_fd)


@pytest.mark.parametrize("room", [0, 1, 60, 61])
def test_a_line_a_full_disk_has_cut_is_not_the_beginning_of_the_next(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """`room`: bytes of the second line that still find a place; then there is none for the third."""
    read_fd, write_fd = os.pipe()
    log = Log(FixedClock(), fd=write_fd)
    left = [10_000]
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if fd == write_fd and not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(fd, data[: left[0]] if fd == write_fd else data)
        left[0] -= done if fd == write_fd else 0
        return done

    monkeypatch.setattr(os, "write", full)

    for number, space in ((1, 10_000), (2, room), (3, 0), (4, 10_000)):
        left[0], before = space, log.dropped
        log.event("info", "stopping", {"number": number})
        wait_for(
            lambda had=space, dropped=before: left[0] < had or log.dropped > dropped, 20.0, "it is tried"
        )
        wait_for(log._lines.empty, 20.0, "what else it tells")
    log.close()
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as file:
        lines = file.read().splitlines()
    whole = [json.loads(line) for line in lines if line.endswith(b"}")]
    assert [line.get("number") for line in whole if line["event"] == "stopping"] == [1, 4]
    assert len(lines) - len(whole) == (1 if room else 0)


def test_lines_of_one_kind_are_a_burst_and_the_rest_is_told_at_the_end() -> None:
    log, lines = written()
    for number in range(10_000):
        log.event("error", "bad_map_response", {"actor": "publisher", "number": number})
    assert log.suppressed == 10_000 - LINE_BURST
    assert not log.event("error", "bad_map_response", {"actor": "publisher"})
    assert log.event("error", "bad_map_response", {"actor": "another"}), "another's lines are another kind"
    found = [json.loads(line) for line in lines()]
    told = [one for one in found if one["event"] == "log_lines_suppressed"]
    assert len(found) < LINE_BURST + 5
    assert sum(one["lines"] for one in told) == log.suppressed
    assert {(one["actor"], one["suppressed_event"]) for one in told} == {("publisher", "bad_map_response")}


def test_fields_cannot_stand_for_what_every_line_has() -> None:
    log, lines = written()
    log.event("info", "one", {"event": "two", "level": "error", "timestamp": "then", "boottime": 9})
    (line,) = lines()
    assert json.loads(line) == {
        "timestamp": "2023-11-14T22:13:20.123Z",
        "boottime": 1.0,
        "level": "info",
        "event": "one",
    }


def test_a_name_in_text_is_escaped_as_its_value_is() -> None:
    log, lines = written("text")
    log.event("info", "one", {"a\nb": 1})
    assert lines() == ["22:13:20 one a\\nb=1"]


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


def test_lines_that_nobody_looked_at_are_counted_with_those_that_were_too_many() -> None:
    log, lines = written()
    log.event("info", "server_wish", {"actor": "control_connection"})
    log.unread("control_connection", "server_wish", 700)
    assert log.suppressed == 700
    first, told = map(json.loads, lines())
    assert first["event"] == "server_wish"
    assert {name: told[name] for name in ("event", "actor", "suppressed_event", "lines")} == {
        "event": "log_lines_suppressed",
        "actor": "control_connection",
        "suppressed_event": "server_wish",
        "lines": 700,
    }
