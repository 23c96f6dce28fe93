"""Reports of a check: planted outcomes, each report read as its readers do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors import shown_json
from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.report import (
    CheckRun,
    report_details,
    report_json,
    report_table,
    summary,
)
from netmap_supervisor.devtools.client_check.report.check_run import telling_attempt
from netmap_supervisor.devtools.client_check.report.timeline import timeline_lines
from netmap_supervisor.devtools.client_check.scenarios import SCENARIOS
from netmap_supervisor.view.text_layout import cell_width
from tests.support.netmaps.check_outcomes import RUN, attempt, event, hostile, outcome, silence

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTHS = range(40, 201)
FAIL, PASS, WARN, FLAKY, SKIP, ERROR = (
    CheckVerdict(word) for word in ("fail", "pass", "warn", "flaky", "skip", "error")
)


def fits(lines: Iterable[str], width: int) -> None:
    for line in lines:
        assert cell_width(line) <= width, line


# The table


@pytest.mark.parametrize("width", WIDTHS)
def test_the_verdict_stands_beside_the_whole_name_at_every_width(width: int) -> None:
    long = "asked again on the same dead connection after 120.0 s, no new one in 137.0 s " + "x" * 90
    lines = list(report_table([outcome(name, FLAKY, long) for name in SCENARIOS], width))
    fits(lines, width)
    rows = [line.split() for line in lines if " flaky" in line]
    assert len(rows) == len(SCENARIOS)
    assert all(row[1] == "flaky" for row in rows)
    if width >= 60:
        assert {row[0] for row in rows} == set(SCENARIOS)
    assert ("expected" in lines[0].split()) <= (width >= 70)
    assert "".join("".join(lines).split()).count("x") >= 90 * len(SCENARIOS)


def test_the_table_is_in_groups_and_fits_a_hundred_columns_in_a_pipe() -> None:
    names = ("liveness/silence", "session/cut", "liveness/healthy")
    lines = list(report_table([outcome(name, PASS) for name in names]))
    fits(lines, 100)
    assert [line.split()[0] for line in lines if " pass" in line] == [
        "liveness/silence",
        "liveness/healthy",
        "session/cut",
    ]
    assert lines.count("") == 1


def test_wide_characters_and_controls_of_a_client_break_no_row() -> None:
    for width in (40, 60, 80, 140):
        lines = [*report_table([hostile()], width), *report_details([hostile()], width)]
        assert "\x1b" not in "".join(lines)
        fits([line for line in lines if "/logs/" not in line], width)


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_what_is_not_run_for_one_reason_stands_below_the_table_with_all_names(width: int) -> None:
    """A client that does not join is told in a screen, not in one row after another that says the same."""
    reasons = dict.fromkeys(SCENARIOS, "join/first-map failed")
    reasons |= {name: "needs --peers-command" for name in SCENARIOS if name.startswith("map/")}
    reasons["session/cut"] = "not for this client"
    outcomes = [outcome("join/first-map", FAIL, "no map")]
    outcomes += [outcome(name, SKIP, reasons[name], attempts=()) for name in list(SCENARIOS)[1:]]
    lines = list(report_table(outcomes, width))
    fits(lines, width)
    text = "\n".join(lines)
    assert width < 60 or all(name in text for name in SCENARIOS)
    assert len([line for line in lines if " skip" in line]) == 1
    words = " ".join(text.split())
    assert words.count("needs --peers-command") == 1
    assert words.count("join/first-map failed") == 1
    assert "not for this client" in words
    told = [line for line in lines if line.startswith("skip, ")]
    assert sum(int(line.split()[1]) for line in told) == len(SCENARIOS) - 2
    assert len(lines) < 2000 / width + 20


def test_a_table_of_nothing_but_scenarios_that_are_not_run_begins_with_the_reason() -> None:
    outcomes = [outcome(name, SKIP, "why", attempts=()) for name in ("session/cut", "session/goaway")]
    assert list(report_table(outcomes)) == ["skip, 2 scenarios: why", "    session/cut, session/goaway"]


# What there is to know of each failure


def test_a_failure_is_told_with_all_there_is_to_know() -> None:
    said = list(report_details([silence(), outcome("session/cut", PASS), outcome("map/foreign-ping", SKIP)]))
    text = "\n".join(said)
    row = SCENARIOS["liveness/silence"]
    assert said[:2] == ["", "liveness/silence: fail"]
    for part in (
        row.does,
        row.why,
        *row.sources,
        "asked nothing",
        "map request without",
        "/logs/silence.log",
    ):
        assert part in text, part
    assert "session/cut" not in text
    at = said.index("  timeline, seconds after the fault")
    assert said[at + 1 : at + 3] == [
        "    -1.00  check     started",
        "    -0.90  client 1  accept 127.0.0.1:9",
    ]
    assert "     0.00  check     fault liveness/silence" in said
    assert "   120.10  client 2  map" in said


def test_both_attempts_of_a_flaky_scenario_are_told() -> None:
    one = outcome(
        "session/cut",
        FLAKY,
        "not back",
        attempts=(attempt(FAIL, "not back"), attempt(PASS, "back after 1 s")),
    )
    said = list(report_details([one]))
    assert "  seen      not back" in said
    assert said[said.index("  seen      not back") + 1 :][:2] == [
        "  attempt 1 fail: not back",
        "  attempt 2 pass: back after 1 s",
    ]
    assert telling_attempt(one) is one.attempts[0]


def test_a_skipped_scenario_says_why_in_the_table_only() -> None:
    skipped = outcome("map/foreign-ping", SKIP, "no --peers-command", attempts=())
    assert list(report_details([skipped])) == []
    assert any("no --peers-command" in line for line in report_table([skipped]))


def test_a_long_timeline_is_told_by_its_ends_its_turns_and_counts() -> None:
    events = [event(number / 10, 1, "client", "accept" if number % 2 else "map") for number in range(1000)]
    events[500:500] = [event(50.0, None, "check", "fault", "session/cut")]
    lines = list(timeline_lines(events))
    assert len(lines) == 24
    assert lines[0].split() == ["-50.00", "client", "1", "map"]
    assert lines[10].split(maxsplit=1)[1] == "490 more: 245 map, 245 accept"
    assert lines[11].split() == ["0.00", "check", "fault", "session/cut"]
    assert lines[12].split() == ["0.00", "client", "1", "map"]
    assert lines[-1].split() == ["49.90", "client", "1", "accept"]
    assert list(timeline_lines([])) == []


def test_what_repeats_itself_has_one_line() -> None:
    alive = [event(number * 2.0, 1, "server", "sent", "KeepAlive") for number in range(40)]
    events = [event(0.0, 1, "client", "map"), *alive, event(80.0, 1, "client", "end")]
    assert list(timeline_lines(events)) == [
        "     0.00  client 1  map",
        "     0.00  server 1  sent KeepAlive (40 times, until 78.00)",
        "    80.00  client 1  end",
    ]


def test_what_followed_a_step_is_told_and_little_is_never_left_out() -> None:
    events = [event(float(number), 1, "client", f"k{number}") for number in range(24)]
    events[12] = event(12.0, None, "check", "step", "removes birch")
    assert len(list(timeline_lines(events))) == 24
    events[13:13] = [event(12.5, 1, "server", f"s{number}") for number in range(20)]
    said = [line.split(maxsplit=1)[1] for line in timeline_lines(events)]
    assert said[12:15] == ["check     step removes birch", "server 1  s0", "20 more: " + said[14][9:]]


def test_what_was_expected_does_not_stretch_the_table() -> None:
    lines = list(report_table([outcome(name, PASS) for name in SCENARIOS], 100))
    groups = len({name.partition("/")[0] for name in SCENARIOS})
    assert len(lines) <= 1 + groups - 1 + 2 * len(SCENARIOS)
    assert any(line.rstrip().endswith("…") or "…  " in line for line in lines)


def test_a_moment_before_the_fault_is_no_negative_zero() -> None:
    events = [event(0.999, 1, "server", "sent"), event(1.0, 1, "check", "fault")]
    assert [line.split()[0] for line in timeline_lines(events)] == ["0.00", "0.00"]


def test_without_a_fault_times_count_from_the_start() -> None:
    assert list(timeline_lines([event(1.25, 3, "client", "key")])) == ["     1.25  client 3  key"]


# The summary


def test_the_summary_counts_and_names_what_was_not_foreseen() -> None:
    held = [
        outcome("join/first-map", PASS),
        outcome("liveness/silence", FAIL, expected_failure="#210"),
        outcome("session/cut", WARN, expected_failure="later"),
        outcome("map/foreign-ping", PASS, expected_failure="#1"),
    ]
    assert summary(held) == (
        "2 pass, 1 fail, 1 warn; expected to fail: 2; passes although expected to fail: map/foreign-ping"
    )
    assert summary(held[:1]) == "1 pass"
    assert summary([]) == "nothing was tried"


# JSON


def test_the_report_for_programs_has_everything() -> None:
    made = json.loads(shown_json.indented(report_json([silence(), outcome("session/cut", PASS)], RUN)))
    row = SCENARIOS["liveness/silence"]
    assert {key: made[key] for key in ("version", "command", "limit_s", "started", "strict")} == {
        "version": 2,
        "command": ["./client", "{auth_key}"],
        "limit_s": 120.0,
        "started": RUN.started,
        "strict": False,
    }
    assert made["counts"] == {"pass": 1, "fail": 1, "warn": 0, "flaky": 0, "skip": 0, "error": 0}
    first = made["scenarios"][0]
    timeline = first["attempts"][0].pop("timeline")
    assert timeline[1] == {
        "at_s": 0.1, "connection": 1, "side": "client", "kind": "accept", "detail": "127.0.0.1:9",
    }  # fmt: skip
    assert first == {
        "name": "liveness/silence",
        "group": "liveness",
        "level": "MUST",
        "does": row.does,
        "expected": silence().expected,
        "why": row.why,
        "sources": list(row.sources),
        "bounds": {"earliest": 108.0, "latest": 137.0},
        "verdict": "fail",
        "is_failure": True,
        "expected_failure": None,
        "seen": silence().seen,
        "took_s": 138.235,
        "attempts": [
            {
                "verdict": "fail",
                "seen": silence().seen,
                "took_s": 138.235,
                "reached": "map",
                "refused": "map request without a node key",
                "facts": {"watched": 1.0},
                "log": "/logs/silence.log",
            }
        ],
    }


def test_whether_it_counts_follows_strictness() -> None:
    strict = CheckRun(RUN.command, RUN.limit, RUN.started, is_strict=True)
    made = [report_json([outcome("session/cut", WARN)], run)["scenarios"] for run in (RUN, strict)]
    assert [one[0]["is_failure"] for one in made] == [False, True]  # type: ignore[index]
