"""The checker of webhooks: a faithful one passes, and each rule has deliveries that it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.history.occurrences import Happening, Occurrence
from tests.support.histories.delivery_checker import RULES, Delivered, violations

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KINDS = {"node_joined", "node_left", "node_offline", "node_online", "netmap_stale", "netmap_fresh"}
HOLD_DOWN = 10.0
UNTIL = 1000.0
TOLD: list[tuple[int, Occurrence]] = [
    (number, Occurrence(at=at, kind=Happening(kind), subject=subject))
    for number, at, kind, subject in (
        (3, 100.0, "node_joined", "a"),
        (4, 110.0, "node_offline", "a"),
        (5, 111.0, "node_tagged", "a"),
        (7, 150.0, "node_online", "a"),
        (8, 160.0, "node_offline", "a"),
        (9, 161.0, "node_online", "a"),
        (10, 170.0, "node_online", "b"),
        (11, 180.0, "netmap_stale", ""),
        (12, 300.0, "netmap_fresh", ""),
        (13, 310.0, "node_offline", "b"),
        (14, 311.0, "node_left", "b"),
        (15, 400.0, "node_offline", "a"),
        (16, 999.0, "node_offline", "c"),
        (17, 1005.0, "node_joined", "d"),
    )
]
WANTED = (3, 4, 7, 11, 12, 14, 15)


def delivered(*numbers: int) -> list[Delivered]:
    known = dict(TOLD)
    return [
        Delivered(f"file-{number}", known[number].kind, known[number].subject, known[number].at)
        for number in numbers
    ]


def rules(told: Sequence[Delivered]) -> list[str]:
    found = violations(TOLD, told, kinds=KINDS, hold_down=HOLD_DOWN, until=UNTIL)
    return [one.rule for one in found]


def test_a_faithful_webhook_has_none_and_may_tell_twice() -> None:
    assert rules(delivered(*WANTED)) == []
    assert rules(delivered(3, 4, 3, 4, 7, 11, 12, 14, 15)) == []
    assert rules([one._replace(accepted=False) for one in delivered(15, 3)] + delivered(*WANTED)) == []
    assert rules(delivered(11, 12, 14, 3, 4, 7, 15)) == [], "the nodes do not wait for each other"


WRONG: dict[str, tuple[str, Callable[[], list[Delivered]]]] = {
    "nothing came": ("not delivered", list),
    "a newcomer is missing": ("not delivered", lambda: delivered(4, 7, 11, 12, 14, 15)),
    "a lasting state is missing": ("not delivered", lambda: delivered(3, 11, 12, 14, 15)),
    "who left is missing": ("not delivered", lambda: delivered(3, 4, 7, 11, 12, 15)),
    "a state that goes on is missing": ("not delivered", lambda: delivered(3, 4, 7, 11, 12, 14)),
    "what came was refused": (
        "not delivered",
        lambda: [one._replace(accepted=one.kind != "node_joined") for one in delivered(*WANTED)],
    ),
    "invented": (
        "never happened",
        lambda: [*delivered(*WANTED), Delivered("file-9", "node_left", "a", 500.0)],
    ),
    "of another kind": ("not chosen", lambda: delivered(3, 4, 5, 7, 11, 12, 14, 15)),
    "again, under another id": (
        "two ids",
        lambda: [*delivered(*WANTED), delivered(15)[0]._replace(id="other")],
    ),
    "another, under the same id": (
        "two ids",
        lambda: [*delivered(*WANTED[:-1]), delivered(15)[0]._replace(id="file-14")],
    ),
    "in another order": ("order", lambda: delivered(4, 3, 7, 11, 12, 14, 15)),
    "a short state": ("held down", lambda: delivered(*WANTED[:3], 8, 9, *WANTED[3:])),
    "the beginning of a short state": ("held down", lambda: delivered(*WANTED[:5], 13, *WANTED[5:])),
    "an end whose beginning nobody knows": ("held down", lambda: delivered(*WANTED[:3], 10, *WANTED[3:])),
}


@pytest.mark.parametrize("what", WRONG)
def test_deliveries_that_are_wrong_are_refused(what: str) -> None:
    rule, made = WRONG[what]
    assert rule in rules(made())


def test_a_state_that_lasts_about_as_long_as_the_hold_down_is_told_whole_or_not_at_all() -> None:
    begin = Occurrence(at=100.0, kind=Happening.NODE_OFFLINE, subject="a")
    end = Occurrence(at=109.0, kind=Happening.NODE_ONLINE, subject="a")
    told = [Delivered("1", begin.kind, "a", begin.at), Delivered("2", end.kind, "a", end.at)]
    for chosen, found in ((told, []), ([], []), (told[:1], ["half told"]), (told[1:], ["half told"])):
        seen = violations([(1, begin), (2, end)], chosen, kinds=KINDS, hold_down=HOLD_DOWN, until=UNTIL)
        assert [one.rule for one in seen] == found


def test_every_rule_has_an_example() -> None:
    assert {*(rule for rule, _ in WRONG.values()), "half told"} == set(RULES)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0.1, 60.0), st.integers(1, 3)), max_size=20))
def test_a_faithful_webhook_of_any_history_has_none(steps: list[tuple[str, float, int]]) -> None:
    """Each step: a node goes offline for so long, and what tells of it is sent so often."""
    occurrences: list[tuple[int, Occurrence]] = []
    told: list[Delivered] = []
    at = 0.0
    for node, lasts, times in steps:
        pair = []
        for moment, kind in ((at, Happening.NODE_OFFLINE), (at + lasts, Happening.NODE_ONLINE)):
            occurrences.append((len(occurrences) + 1, Occurrence(at=moment, kind=kind, subject=node)))
            pair.append(Delivered(str(len(occurrences)), kind, node, moment))
        told += pair * times if lasts >= HOLD_DOWN else []
        at += lasts + 1.0
    assert violations(occurrences, told, kinds=KINDS, hold_down=HOLD_DOWN, until=at + HOLD_DOWN) == []
