"""A figure, its spread and its bound."""

from __future__ import annotations

import pytest

from bench.__main__ import PROGRAMS
from bench.bounds import BOUNDS, bounds_of
from bench.figures import Figure, missed, table
from bench.history import ROOT

KILL = "real.1000.kill_to_fresh"


def test_a_figure_is_a_median_with_its_extremes() -> None:
    assert Figure.of("s", [3, 1, 2, 9]) == Figure("s", 2.5, 1.0, 9.0, 4)


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_pairs() -> None:
    ratio = Figure.ratio([2.0, 4.0, 9.0], [4.0, 4.0, 3.0])
    assert (ratio.median, ratio.min, ratio.max, ratio.n) == (1.0, 0.5, 3.0, 3)


@pytest.mark.parametrize(
    ("median", "worst", "above"),
    [(0.15, 0.3, []), (0.16, 0.3, [KILL]), (0.1, 0.31, [KILL])],
)
def test_a_figure_may_have_a_bound_for_its_median_and_one_for_its_worst(
    median: float, worst: float, above: list[str]
) -> None:
    assert missed({KILL: Figure("s", median, 0.1, worst, 20)}) == above


def test_a_figure_without_a_bound_misses_none() -> None:
    assert missed({"real.10.run_to_fresh": Figure.of("s", [99.0])}) == []


def test_the_table_has_a_verdict_for_each_bound() -> None:
    lines = table({KILL: Figure("s", 0.1, 0.09, 0.4, 20)}).splitlines()
    assert [line.split() for line in lines] == [
        [KILL, "0.1", "s", "0.09", "to", "0.4", "of", "20"],
        ["median", "≤", "0.15:", "reached"],
        ["max", "≤", "0.3:", "MISSED"],
    ]


def test_a_bound_is_there_once_and_names_its_program() -> None:
    assert len({(bound.figure, bound.taken) for bound in BOUNDS}) == len(BOUNDS)
    assert {bound.program for bound in BOUNDS} <= set(PROGRAMS)
    assert len(bounds_of(KILL)) == 2


def test_a_ratio_has_no_unit() -> None:
    ratios = [bound for bound in BOUNDS if "/" in bound.figure]
    assert ratios
    assert {bound.unit for bound in ratios} == {""}


def test_make_bench_runs_every_program() -> None:
    assert {path.stem for path in (ROOT / "bench" / "programs").glob("*.py")} == set(PROGRAMS)
