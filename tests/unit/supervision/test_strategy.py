from __future__ import annotations

import pytest

from netmap_supervisor.supervision.child_spec import Strategy
from netmap_supervisor.supervision.strategy import affected, stop_order

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


def test_children_stop_in_the_reverse_of_their_specification() -> None:
    assert stop_order(NAMES) == ("c", "b", "a")
