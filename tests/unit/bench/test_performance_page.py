"""The generated parts of the page of figures."""

from __future__ import annotations

import pytest

from bench.bounds import BOUNDS
from bench.figures import Figure
from bench.report.documents import between
from bench.report.page import Newest, bounds_part, cost_part
from tests.unit.bench.runs import run

KILL = "real.1000.kill_to_fresh"
WHOLE = run(1, {KILL: Figure("s", 0.14, 0.1, 0.4, 20)})
QUICK = run(
    2,
    {KILL: Figure("s", 0.2, 0.1, 0.3, 3), "real.10.wake_ups": Figure("1/s", 2.0, 2.0, 2.0, 1)},
    quick=True,
)


def row(text: str, work: str) -> list[str]:
    return next(
        [cell.strip() for cell in line.split("|")][2:-1] for line in text.splitlines() if work in line
    )


def test_a_whole_run_goes_before_a_newer_quick_one() -> None:
    newest = Newest([WHOLE, QUICK])
    assert (newest.run(KILL), newest.run("real.10.wake_ups"), newest.run("x")) == (WHOLE, QUICK, None)


def test_each_bound_has_a_row_with_its_verdict() -> None:
    text = bounds_part([WHOLE, QUICK])
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == len(BOUNDS) + 2
    assert row(text, "1 000 peers, median") == [
        "real",
        "≤ 0.15 s",
        "0.14 s",
        "0.1 to 0.4, 20 times",
        "reached",
    ]
    assert row(text, "1 000 peers, worst")[2:] == ["0.4 s", "0.1 to 0.4, 20 times", "**missed**"]
    assert row(text, "wake-ups")[2:] == ["2 1/s", "once", "reached, quick"]
    assert row(text, "1 000 subscribers, 99")[1:3] == ["≤ 20 ms", "not measured yet"]


def test_the_page_says_where_the_figures_come_from() -> None:
    text = bounds_part([WHOLE])
    assert (
        "* 2026-11-01 10:00 UTC, commit 000000000001: Linux 6.18, 2 cores (AMD EPYC), 4 GiB; Python 3.11.7, "
        "libzmq 4.3.5, pyzmq 27.1.0, Tailscale v1.102.5; load before 0.1, `python -c pass` 14 ms." in text
    )
    assert ", a quick run: " in bounds_part([QUICK])


def test_costs_are_told_for_what_was_measured() -> None:
    figures = {
        "real.50000.pss_peak": Figure("MiB", 200.0, 190.0, 210.0, 5),
        "real.50000.pss_steady": Figure("MiB", 180.0, 170.0, 190.0, 5),
        "real.50000.tailscaled_pss_peak": Figure("MiB", 659.0, 650.0, 670.0, 5),
        "fed.100.change_cpu": Figure("ms", 0.2, 0.19, 0.3, 20),
        "fed.100.delivered_change_cpu": Figure("ms", 8.0, 7.0, 9.0, 3),
        "fed.100.delivery_p99": Figure("ms", 18.0, 17.0, 19.0, 3),
        "real.10.pss_peak_with_history": Figure("MiB", 71.0, 70.0, 72.0, 2),
        "real.10.wake_ups_with_history": Figure("1/s", 4.5, 4.4, 4.6, 3),
    }
    text = cost_part([run(1, figures)])
    assert "| 50 000, small | 200 MiB | 180 MiB | 659 MiB |" in text
    assert "| 10 | 0.2 % | 8 % |" in text
    assert "| 100 | 2 % | 80 % |" in text
    assert "serve them 125 changes a second" in text
    assert "10 000, small" not in text
    assert "With it: 71 MiB at 10 peers, and 4.5 wake-ups a second" in text


def test_nothing_measured_makes_empty_tables() -> None:
    assert "not measured yet" in bounds_part([])
    assert "Subscribers" not in cost_part([])


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot write the report"):
        between("before\n", ("<!-- a -->\n", "<!-- b -->\n"), "x")
