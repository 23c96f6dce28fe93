"""The drawn history: scales, labels, and an SVG that any viewer reads."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from bench.bounds import BOUNDS, bounds_of
from bench.figures import Figure
from bench.machine import Machine
from bench.report.drawing import (
    BOTTOM,
    HEIGHT,
    LABEL,
    Point,
    apart,
    axis_top,
    drawing,
    points_of,
    reach_points,
    shown,
)
from bench.report.panels import DRAWINGS, Line, Panel, Reach
from tests.unit.bench.runs import run


def started(ours: float, theirs: float) -> dict[str, Figure]:
    return {
        "real.1000.run_to_fresh": Figure("s", ours, ours - 0.1, ours + 0.1, 5),
        "real.1000.tailscaled_busy": Figure("s", theirs, theirs - 0.1, theirs + 0.1, 5),
    }


RUNS = [
    run(1, started(0.75, 0.2)),
    run(2, {"fed.100.change_cpu": Figure("ms", 0.4, 0.3, 0.5, 20)}, quick=True),
    run(3, started(0.5, 0.3), clean=False),
]
OURS = Line("real.1000.run_to_fresh", "ours & more", "ours")
REACH = Reach("real.1000.run_to_fresh/busy", "real.1000.tailscaled_busy")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("highest", "top"),
    [(0.0, 1.0), (0.19, 0.2), (0.21, 0.25), (0.3, 0.5), (5.0, 5.0), (5.1, 10.0), (659.0, 1000.0)],
)
def test_an_axis_ends_at_a_round_number(highest: float, top: float) -> None:
    assert axis_top(highest) == pytest.approx(top)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.1234, "0.123"), (2.5, "2.5"), (38.0, "38"), (1234.5, "1 234"), (0.00123, "0.00123")],
)
def test_three_digits_are_shown(value: float, text: str) -> None:
    assert shown(value) == text


def test_labels_never_cover_each_other_and_keep_their_order() -> None:
    moved = apart([100.0, 102.0, 30.0, 101.0], 34.0, 178.0)
    assert sorted(range(4), key=lambda number: moved[number]) == [2, 0, 3, 1]
    heights = sorted(moved)
    assert all(above + LABEL <= below for above, below in itertools.pairwise(heights))


def test_labels_at_the_lower_end_move_up() -> None:
    assert apart([178.0, 177.0], 34.0, 178.0) == [178.0, 178.0 - LABEL]


def test_a_run_that_has_not_measured_a_figure_has_no_point() -> None:
    assert points_of(OURS, RUNS) == [Point(0, 0.75, 0.65, 0.85, False), Point(2, 0.5, 0.4, 0.6, False)]


def test_the_bound_of_a_ratio_moves_with_what_it_is_a_part_of() -> None:
    most = bounds_of(REACH.figure)[0].most
    assert reach_points(REACH, RUNS) == [(0, pytest.approx(most * 0.2)), (2, pytest.approx(most * 0.3))]


def test_a_panel_names_the_newest_values_and_its_first_and_last_run() -> None:
    svg = drawing("figures", [Panel("run to fresh", (OURS,), (REACH,))], RUNS)
    said = texts(svg)
    assert "run to fresh, s" in said
    assert "ours & more: 0.5" in said
    assert "≤ 0.6" in said
    assert {"11-01 0000000", "11-03 0000000+"} <= set(said)


def test_a_quick_run_is_hollow() -> None:
    panel = Panel("CPU", (Line("fed.100.change_cpu", "ours", "ours", "min"),))
    assert "class='ours quick'" in drawing("figures", [panel], RUNS)
    assert "class='ours quick'" not in drawing("figures", [Panel("run", (OURS,))], RUNS)


def test_another_machine_is_seen() -> None:
    other = Machine(processor="AMD EPYC", cores=8, memory_mib=4096, kernel="Linux 6.18")
    upright = f"V{HEIGHT - BOTTOM}"
    panel = Panel("run", (OURS,))
    assert upright not in drawing("figures", [panel], RUNS)
    moved = [*RUNS, run(4, started(0.4, 0.3), machine=other)]
    assert drawing("figures", [panel], moved).count(upright) == 1


@pytest.mark.parametrize("runs", [[], RUNS[:1], RUNS])
@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_is_read_by_any_viewer(name: str, runs: list[object]) -> None:
    said = texts(drawing(name, DRAWINGS[name], runs))  # type: ignore[arg-type]
    assert sum(text.startswith(tuple(panel.title for panel in DRAWINGS[name])) for text in said) >= len(
        DRAWINGS[name]
    )


def test_what_is_drawn_as_a_bound_is_one() -> None:
    bounds = {(bound.figure, bound.taken) for bound in BOUNDS}
    drawn = {
        (reach.figure, reach.taken)
        for panels in DRAWINGS.values()
        for panel in panels
        for reach in panel.reaches
    }
    assert drawn <= bounds
    assert len(drawn) > 12


def test_a_panel_may_have_a_bound_for_the_median_and_one_for_the_worst() -> None:
    figures = {"real.1000.kill_to_fresh": Figure("s", 0.12, 0.1, 0.2, 20)}
    (panel,) = (one for one in DRAWINGS["life"] if len(one.reaches) == 2)
    said = texts(drawing("figures", [panel], [run(1, figures)]))
    assert {"median: 0.12", "worst: 0.2", "median ≤ 0.15", "worst ≤ 0.3"} <= set(said)
