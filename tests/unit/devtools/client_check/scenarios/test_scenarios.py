"""The table of scenarios: each row can be run, says what it asks and why, and is found by name and by group."""

from __future__ import annotations

import inspect
import re

import pytest

from netmap_actors.dev_control.faults.catalogue import make_fault
from netmap_actors.dev_control.operator.commands import Commands
from netmap_supervisor.devtools.client_check.scenarios import (
    GROUPS,
    SCENARIOS,
    CheckScenario,
    Limits,
    Shape,
    UnknownScenario,
    chosen_scenarios,
)
from netmap_supervisor.devtools.client_check.scenarios.steps import Edit, Inject

LIMITS = Limits()
_SOURCE = re.compile(
    r"RFC \d+, section|tailcfg\.|tailscale: |tailscale-rs: |headscale: |Noise Protocol Framework, "
    r"|[\w.-]+/[\w.-]+#\d+"
)
ROWS = pytest.mark.parametrize("row", SCENARIOS.values(), ids=list(SCENARIOS))


@ROWS
def test_every_row_can_be_run(row: CheckScenario) -> None:
    if row.fault:
        make_fault(row.fault, **row.given)
    else:
        assert row.name in ("join/first-map", "liveness/healthy") or row.steps
    assert bool(row.steps) == (row.shape is Shape.STEPS)
    for step in row.steps:
        assert LIMITS.seconds(step.within) > 0.0
        assert step.watch <= LIMITS.seconds(step.within)
        for action in step.actions:
            match action:
                case Edit(command, arguments):
                    inspect.signature(getattr(Commands, command)).bind(None, **arguments)
                case Inject(fault, given):
                    make_fault(fault, **given)
    assert row.longest(LIMITS) <= LIMITS.truth_latest


@ROWS
def test_every_row_says_what_it_asks_and_why_and_where_that_is_from(row: CheckScenario) -> None:
    assert re.fullmatch(r"[a-z]+/[a-z0-9]+(-[a-z0-9]+)*", row.name)
    expected = row.expected(LIMITS)
    assert "{" not in expected
    assert re.search(r"\b(MUST|SHOULD)\b", expected)
    assert row.level.value in expected, "how binding it is stands in its text"
    assert row.why.endswith(".")
    for source in row.sources:
        assert _SOURCE.match(source), source
    assert row.sources


def test_a_group_stands_together() -> None:
    assert GROUPS[:4] == ("join", "liveness", "session", "input")
    assert [row.group for row in SCENARIOS.values()] == sorted(
        (row.group for row in SCENARIOS.values()), key=GROUPS.index
    )


def test_bounds_follow_the_limit() -> None:
    assert (LIMITS.keep_alive, LIMITS.earliest, LIMITS.latest) == (50.0, 108.0, pytest.approx(137.0))
    short = Limits(silence=8.0)
    assert (short.earliest, short.latest, short.attempts) == (pytest.approx(7.2), pytest.approx(13.8), 10)
    assert "within 13.8 s" in SCENARIOS["liveness/silence"].expected(short)
    assert (LIMITS.seconds("prompt"), LIMITS.seconds(3.0)) == (60.0, 3.0)


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("liveness/silence", {"earliest": 108.0, "latest": 137.0}),
        ("liveness/black-hole", {"latest": 137.0}),
        ("input/bad-json", {"latest": 137.0}),
        ("session/cut", {"latest": 137.0}),
        ("identity/deleted-but-fed", {"latest": 665.0}),
        ("liveness/healthy", {}),
        ("refusal/status-500", {}),
    ],
)
def test_between_which_times_a_client_acts(name: str, bounds: dict[str, float]) -> None:
    assert SCENARIOS[name].bounds(LIMITS) == pytest.approx(bounds)


def test_scenarios_are_chosen_by_name_by_group_or_all_in_the_order_of_the_table() -> None:
    named = chosen_scenarios(["session/cut", "join", "join/first-map"])
    assert [row.name for row in named] == ["join/first-map", "session/cut"]
    assert [row.group for row in chosen_scenarios(["liveness"])] == ["liveness"] * 9
    everything = list(SCENARIOS.values())
    assert chosen_scenarios([]) == chosen_scenarios(["join", "all"]) == everything


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("livness", "did you mean liveness?"),
        ("liveness/silense", "did you mean liveness/silence?"),
        ("silence", "did you mean liveness/silence?"),
        ("half_frame", "did you mean liveness/half-frame?"),
        ("key_changed", "did you mean identity/server-key-changed?"),
        ("goawy", "did you mean session/goaway?"),
        ("qqqq", "the groups are join, liveness, session"),
        ("a\x1b[2Jb", r"\x1b[2Jb"),
    ],
)
def test_a_typo_is_told_the_nearest_name(name: str, said: str) -> None:
    with pytest.raises(UnknownScenario, match=re.escape(said)):
        chosen_scenarios([name])
