"""Did a webhook tell what the history has? Pure: `violations(occurrences, delivered, …)`.

Not here: whether the history is true (`truth_checker`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

from netmap_actors.history.occurrences import Happening
from tests.support.histories.truth_checker import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from netmap_actors.history.occurrences import Occurrence

__all__ = ["RULES", "Delivered", "violations"]

SLACK: Final = 2.5
"""Seconds by which a state may miss the hold-down, either way: its end is read a little after it happened."""
ROUNDING: Final = 5e-6
_BEGINS: Final = {Happening.NODE_OFFLINE, Happening.NETMAP_STALE}
_TOLD_ENDS: Final = {Happening.NODE_ONLINE, Happening.NETMAP_FRESH}
"""Ends that are told if the beginning is."""
_ENDS: Final = {*_TOLD_ENDS, Happening.NODE_LEFT}

RULES: Final = {
    "not delivered": "a chosen event of the history that no receiver accepted",
    "never happened": "an event that the history does not have",
    "not chosen": "an event of a kind that this webhook does not tell",
    "two ids": "one event under two ids, or two events under one",
    "order": "two events of one node, or of the netmap, in another order than they happened",
    "held down": "a state that ended within the hold-down is told",
    "half told": "the end of a state is told and its beginning is not, or the reverse",
}


class Delivered(NamedTuple):
    """One event of one request, in the order in which the receiver had them."""

    id: str
    kind: str
    subject: str
    at: float
    """When it happened, as it was told: UNIX seconds."""
    accepted: bool = True
    """The receiver answered that it has it."""


class _State(NamedTuple):
    """From the occurrence on that began it to the one that ended it."""

    begin: int
    end: int | None
    lasted: float


def violations(
    occurrences: Sequence[tuple[int, Occurrence]],
    delivered: Sequence[Delivered],
    *,
    kinds: Collection[str],
    hold_down: float,
    until: float,
) -> list[Violation]:
    """`occurrences`: those from the beginning of this webhook on. `kinds`: what it tells. `until`: when all that
    happened before that, and was held down long enough, is delivered (UNIX seconds).
    """
    check = _Check(occurrences, delivered, kinds, hold_down, until)
    return sorted({*check.all()}, key=lambda one: (one.at, one))


class _Check:
    def __init__(
        self,
        occurrences: Sequence[tuple[int, Occurrence]],
        delivered: Sequence[Delivered],
        kinds: Collection[str],
        hold_down: float,
        until: float,
    ) -> None:
        self._by_number = dict(occurrences)
        self._delivered = delivered
        self._kinds = kinds
        self._hold_down = hold_down
        self._until = until
        self._states = list(self._found_states())
        self._numbers = [self._number(one) for one in delivered]
        """Of each that was delivered, its occurrence; 0: there is none."""
        self._accepted = {
            number for number, one in zip(self._numbers, delivered, strict=True) if one.accepted
        }

    def all(self) -> Iterator[Violation]:
        yield from self._never_happened()
        yield from self._ids()
        yield from self._order()
        yield from self._not_delivered()
        yield from self._held_down()

    def _number(self, told: Delivered) -> int:
        for number, one in self._by_number.items():
            if (one.kind, one.subject) == (told.kind, told.subject) and abs(one.at - told.at) < ROUNDING:
                return number
        return 0

    def _found_states(self) -> Iterator[_State]:
        begun: dict[str, int] = {}
        for number, one in self._by_number.items():
            if one.kind in _BEGINS:
                begun.setdefault(one.subject, number)
            elif one.kind in _ENDS:
                begin = begun.pop(one.subject, None)
                if begin is not None:
                    yield _State(begin, number, one.at - self._by_number[begin].at)
                elif one.kind in _TOLD_ENDS:
                    # It began before this webhook did.
                    yield _State(0, number, 0.0)
        for number in begun.values():
            yield _State(number, None, self._until - self._by_number[number].at)

    def _never_happened(self) -> Iterator[Violation]:
        for number, one in zip(self._numbers, self._delivered, strict=True):
            if not number:
                yield Violation("never happened", one.at, one.subject, one.kind)
            if one.kind not in self._kinds:
                yield Violation("not chosen", one.at, one.subject, one.kind)

    def _ids(self) -> Iterator[Violation]:
        ids: dict[int, str] = {}
        numbers: dict[str, int] = {}
        for number, one in zip(self._numbers, self._delivered, strict=True):
            if number and (ids.setdefault(number, one.id), numbers.setdefault(one.id, number)) != (
                one.id,
                number,
            ):
                yield Violation("two ids", one.at, one.subject, f"{one.kind}: {ids[number]} and {one.id}")

    def _order(self) -> Iterator[Violation]:
        first: dict[str, dict[int, Delivered]] = {}
        for number, one in zip(self._numbers, self._delivered, strict=True):
            if number and one.accepted:
                first.setdefault(one.subject, {}).setdefault(number, one)
        for subject, told in first.items():
            for before, number in itertools.pairwise(told):
                if number < before:
                    one = told[number]
                    yield Violation("order", one.at, subject, f"{one.kind} comes after {told[before].kind}")

    def _not_delivered(self) -> Iterator[Violation]:
        free = {number for state in self._states for number in self._of(state)}
        for number, one in self._by_number.items():
            if (
                one.kind in self._kinds
                and number not in self._accepted
                and one.at < self._until
                and number not in free
            ):
                yield Violation("not delivered", one.at, one.subject, one.kind)

    def _held_down(self) -> Iterator[Violation]:
        for state in self._states:
            wanted = [number for number in self._of(state) if self._by_number[number].kind in self._kinds]
            told = [number for number in wanted if number in self._accepted]
            ended = state.end is not None
            for number in wanted:
                one = self._by_number[number]
                if number in told and ended and state.lasted < self._hold_down - SLACK:
                    yield Violation(
                        "held down", one.at, one.subject, f"{one.kind}: it lasted {state.lasted:.1f} s"
                    )
                elif number not in told and state.lasted > self._hold_down + SLACK and one.at < self._until:
                    yield Violation("not delivered", one.at, one.subject, one.kind)
                elif number not in told and told and one.at < self._until:
                    yield Violation("half told", one.at, one.subject, one.kind)

    def _of(self, state: _State) -> list[int]:
        """What is told of it together, or not at all."""
        end = state.end
        told_end = end is not None and self._by_number[end].kind in _TOLD_ENDS
        return [*([state.begin] if state.begin else []), *([end] if told_end and end is not None else [])]
