from __future__ import annotations

import pytest

from netmap_supervisor.supervision.child_spec import ChildSpec, Strategy
from netmap_supervisor.supervision.strategy import affected, start_order, stop_order

NAMES = ("a", "b", "c")


@pytest.mark.parametrize(
    ("strategy", "failed", "expected"),
    [
        (Strategy.ONE_FOR_ONE, "a", ("a",)),
        (Strategy.ONE_FOR_ONE, "c", ("c",)),
        (Strategy.REST_FOR_ONE, "a", ("a", "b", "c")),
        (Strategy.REST_FOR_ONE, "b", ("b", "c")),
        (Strategy.REST_FOR_ONE, "c", ("c",)),
        (Strategy.ONE_FOR_ALL, "a", ("a", "b", "c")),
        (Strategy.ONE_FOR_ALL, "c", ("a", "b", "c")),
    ],
)
def test_who_shares_the_fate_of_a_child(strategy, failed, expected) -> None:
    assert affected(strategy, NAMES, failed) == expected


@pytest.mark.parametrize(
    ("first", "order"), [("", "abc"), ("c", "cab"), ("ac", "acb"), ("abc", "abc"), ("b", "bac")]
)
def test_who_is_first_is_started_before_the_others_and_all_else_as_specified(first, order) -> None:
    specs = [ChildSpec(name=name, first=name in first) for name in NAMES]
    assert [spec.name for spec in start_order(specs)] == [*order]


def test_children_stop_in_the_reverse_of_their_specification() -> None:
    assert stop_order(NAMES) == ("c", "b", "a")
