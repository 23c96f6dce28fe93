"""The questions of all webhooks to the history: few at a time, and one for all that ask the same. Pure.

The history keeps few answers for who takes none (`history_writer.actor`), and something that happens answers all who
wait for it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.history.answers import HistoryQuestion

__all__ = ["MAX_IN_FLIGHT", "SharedQuestions"]

MAX_IN_FLIGHT: Final = 3
_Asker = TypeVar("_Asker")


class _Asked(NamedTuple, Generic[_Asker]):
    asker: _Asker
    token: int
    question: HistoryQuestion


class SharedQuestions(Generic[_Asker]):
    """Who asks has one question at a time. `send` puts one, with a token of its own."""

    def __init__(self, send: Callable[[HistoryQuestion], object]) -> None:
        self._send = send
        self._token = 0
        self._waiting: list[_Asked[_Asker]] = []
        self._flights: dict[int, list[_Asked[_Asker]]] = {}
        """What was put and not answered, by the token it has on its way; all of a list ask the same."""

    def ask(self, asker: _Asker, question: HistoryQuestion, *, lost: bool = False) -> int:
        """Ask, instead of what this one asked before; the token of the answer. `lost`: that will not be answered."""
        for sent, asked in list(self._flights.items()):
            mine = [one for one in asked if one.asker is asker]
            others = [one for one in asked if one.asker is not asker]
            if not mine:
                continue
            if lost or not others:
                del self._flights[sent]
                self._waiting += others
            else:
                self._flights[sent] = others
        self._waiting = [one for one in self._waiting if one.asker is not asker]
        self._token += 1
        self._waiting.append(_Asked(asker, self._token, question))
        token = self._token
        self._put()
        return token

    def answered(self, sent: int) -> list[tuple[_Asker, int]]:
        """Whom an answer is for, and the tokens of their questions."""
        found = [(one.asker, one.token) for one in self._flights.pop(sent, ())]
        self._put()
        return found

    def _put(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            same = next(
                (asked for asked in self._flights.values() if asked[0].question == one.question), None
            )
            if same is not None:
                same.append(one)
            elif len(self._flights) < MAX_IN_FLIGHT:
                self._token += 1
                self._flights[self._token] = [one]
                self._send(msgspec.structs.replace(one.question, token=self._token))
            else:
                self._waiting.append(one)
