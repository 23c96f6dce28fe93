"""Questions whose answer is withheld until there is one, or their time is over. Pure: the moment is an argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netmap_actors.history.answers import MAX_WAIT

if TYPE_CHECKING:
    from netmap_actors.history.answers import HistoryQuestion

__all__ = ["MAX_WAITING", "WaitingQuestion", "WaitingQuestions"]

MAX_WAITING: Final = 64
"""Questions; who asked one more ends the wait of the oldest, who may have gone without a word."""


class WaitingQuestion(NamedTuple):
    """One that waits."""

    who: bytes
    """The routing id."""
    question: HistoryQuestion
    until: float
    """Seconds of the clock of `now`."""


class WaitingQuestions:
    """In the order in which they came."""

    def __init__(self) -> None:
        self._all: list[WaitingQuestion] = []

    def add(self, who: bytes, question: HistoryQuestion, now: float) -> list[WaitingQuestion]:
        """Those whose wait ends by that."""
        self._all.append(WaitingQuestion(who, question, now + min(question.wait, MAX_WAIT)))
        out, self._all = self._all[:-MAX_WAITING], self._all[-MAX_WAITING:]
        return out

    def due(self) -> float | None:
        """When the first of them is over."""
        return min((one.until for one in self._all), default=None)

    def over(self, now: float) -> list[WaitingQuestion]:
        """Those whose time is over; they wait no longer."""
        out = [one for one in self._all if one.until <= now]
        self._all = [one for one in self._all if one.until > now]
        return out

    def take(self) -> list[WaitingQuestion]:
        """All of them; none waits any longer."""
        out, self._all = self._all, []
        return out

    def put_back(self, one: WaitingQuestion) -> None:
        """There is still nothing to tell."""
        self._all.append(one)
