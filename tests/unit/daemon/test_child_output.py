"""Whatever bytes come through a child's pipe: lines of events, in the name of whom the pipe was made for."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.daemon.output.child_output import (
    CHILD_EVENTS,
    MAX_DETAIL,
    MAX_LINE,
    MAX_LINES,
    ChildOutput,
)
from netmap_supervisor.system.log import LOG_LEVELS, STAMPS

WHO = {"actor": "liveness", "pid": 7, "generation": 3}

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
KEYS = st.sampled_from(["event", "level", "timestamp", "boottime", "actor", "pid", "generation", "detail"])
RECORDS = st.dictionaries(
    KEYS | st.text(max_size=8), VALUES | st.sampled_from(sorted(CHILD_EVENTS)), max_size=8
)
LINES = st.binary(max_size=200) | RECORDS.map(lambda record: json.dumps(record).encode())


def output() -> ChildOutput:
    return ChildOutput(**WHO)


def one(line: bytes):
    (told,) = output().feed(line + b"\n")
    return told


@given(st.lists(LINES, max_size=12), st.integers(1, 400))
def test_a_line_is_always_an_event_of_ours_in_the_name_of_its_pipe(lines, size) -> None:
    data, taken = b"\n".join(lines), output()
    told = [
        line for at in range(0, len(data), size) for line in taken.feed(data[at : at + size])
    ] + taken.end()
    for line in told:
        assert line.fields.items() >= WHO.items()
        assert line.event in CHILD_EVENTS | {"child_output"}
        assert line.level in LOG_LEVELS
        assert not STAMPS & line.fields.keys()
        assert json.loads(msgspec.json.encode(line.fields)).items() >= WHO.items()
        assert all(not isinstance(value, dict) for value in line.fields.values())


def test_a_childs_event_keeps_its_own_time_and_fields() -> None:
    line = b'{"timestamp":"2026-01-01T00:00:00.123Z","level":"error","event":"actor_failed","reason":"bug","n":[1,"a"]}'
    told = one(line)
    assert told[:2] == ("error", "actor_failed")
    assert told.fields == {"reason": "bug", "n": [1, "a"], **WHO}
    assert told.timestamp == "2026-01-01T00:00:00.123Z"


@pytest.mark.parametrize(
    "event", ["stopped", "up", "login_needed", "actor_exited", "", "x\ny", "log_lines_suppressed"]
)
def test_under_an_event_of_the_supervisor_nobody_else_speaks(event) -> None:
    told = one(json.dumps({"event": event, "url": "u"}).encode())
    assert told.event == "child_output"
    assert told.fields["said"].isprintable()
    assert told.fields["url"] == "u"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestamp", "yesterday"),
        ("timestamp", 5),
        ("timestamp", "2026-01-01T00:00:00Z\x1b[31m"),
        ("level", "critical"),
        ("level", ["error"]),
        ("level", 40),
        ("level", None),
    ],
)
def test_what_is_no_level_and_no_time_is_ours(field, value) -> None:
    told = one(json.dumps({"event": "verdict", field: value}).encode())
    assert (told.event, told.level, told.timestamp) == ("verdict", "info", "")


@pytest.mark.parametrize(
    "line",
    [
        b"Fatal Python error: \x1b]0;x\x07 init",
        b"[1, 2]",
        b"null",
        b"\xff\xfe",
        b'{"a":',
        b'{"event":"verdict","a":"\xff"}',
        b'{"event":"verdict","a":{"b":1}}',
        b'{"event":"verdict","a":[[1]]}',
        b'{"event":5}',
        b'{"event":["verdict"]}',
        b'{"event":"verdict","a":1e999}',
        b'{"event":"verdict","a":NaN}',
        b'{"event":"verdict","a":"\\ud800"}',
        b"a\x00b",
        b"[" * 5000,
        b'{"a":' * 1000 + b"1" + b"}" * 1000,
    ],
)
def test_whatever_else_a_child_prints_is_kept_and_escaped(line) -> None:
    told = one(line)
    assert (told.level, told.event) == ("warning", "child_output")
    assert told.fields["text"].isprintable()
    assert told.fields.items() >= WHO.items()


def test_of_a_key_that_comes_twice_the_last_counts_and_who_it_is_stays() -> None:
    told = one(
        b'{"event":"stopped","event":"verdict","actor":"publisher","reason":"a","reason":"b","actor":"x"}'
    )
    assert told.event == "verdict"
    assert told.fields == {"reason": "b", **WHO}


def test_a_number_of_any_length_is_one_that_every_reader_takes() -> None:
    assert one(b'{"event":"verdict","n":%d,"m":[%d]}' % (10**40, -(10**40))).fields == {
        "n": str(10**40),
        "m": [str(-(10**40))],
        **WHO,
    }


@pytest.mark.parametrize("at", range(1, 44))
def test_lines_are_put_together_wherever_they_were_cut(at) -> None:
    taken, data = output(), b'{"event":"verdict","n":1}\n{"event":"verdict"}\n'
    told = taken.feed(data[:at]) + taken.feed(data[at:])
    assert [line.event for line in told] == ["verdict", "verdict"]


def test_a_line_without_an_end_is_one_line_and_bounded() -> None:
    taken = output()
    told = [line for _ in range(40) for line in taken.feed(b"x" * 4096)]
    (line,) = told
    assert len(line.fields["text"]) <= 401
    assert [line.fields["text"] for line in taken.feed(b"the rest\nnext\n")] == ["next"]
    assert taken.feed(b"x" * (MAX_LINE + 1))
    assert taken.end() == []


def test_of_a_flood_the_beginning_and_the_end_are_looked_at_and_the_rest_is_counted() -> None:
    taken = output()
    failed = b'{"event":"actor_failed","detail":"why"}\n'
    told = taken.feed(b"first\n" + b"x\n" * 30_000 + failed)
    assert len(told) == MAX_LINES
    assert sum(line.unread for line in told) == 30_002 - MAX_LINES
    assert told[0].fields["text"] == "first"
    assert taken.failure == "why"


def test_what_it_failed_for_is_bounded_and_text() -> None:
    taken = output()
    taken.feed(json.dumps({"event": "actor_failed", "detail": "x" * 5000}).encode() + b"\n")
    assert taken.failure == "x" * MAX_DETAIL
    taken.feed(b'{"event":"actor_failed","detail":[1]}\n')
    assert taken.failure == "[1]"


def test_a_last_line_without_its_end_is_told_at_the_end() -> None:
    taken = output()
    assert taken.feed(b"last words") == []
    (line,) = taken.end()
    assert line.fields["text"] == "last words"
    assert taken.end() == []
