"""Questions to the history: no more at a time than it keeps answers for, and each client gets its own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import zmq

from netmap_actors.bus.loop import Timer
from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.questions import LIMIT, Told
from netmap_actors.history_writer.actor import ANSWERS_HWM
from netmap_actors.http_endpoint.history_page import AT_ONCE, HistoryPage

if TYPE_CHECKING:
    from collections.abc import Callable

QUESTION = HistoryQuestion(since=1.0, until=2.0)


class History:
    """The loop, the socket and the history behind it."""

    def __init__(self) -> None:
        self.asked: list[HistoryQuestion] = []
        self.told: list[bytes] = []
        self.timers: list[Timer] = []
        self.page = HistoryPage(self, self, "ipc://x")  # type: ignore[arg-type]

    def dealer_connect(self, *_: object, **__: object) -> History:
        return self

    def watch(self, _: object, callback: Callable[[], object]) -> None:
        self.readable = callback

    def now(self) -> float:
        return 0.0

    def at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(when, 0, callback, None))
        return self.timers[-1]

    def send(self, data: bytes, _: int) -> None:
        self.asked.append(msgspec.json.decode(data, type=HistoryQuestion))

    def recv(self, _: int) -> bytes:
        if not self.told:
            raise zmq.Again
        return self.told.pop(0)

    def answer(self, token: int) -> None:
        self.told.append(msgspec.json.encode(Told(error=f"cannot answer {token}", token=token)))
        self.readable()


class Client:
    def __init__(self) -> None:
        self.closed = False
        self.answers: list[tuple[int, bytes]] = []

    def answer(self, status: int, _: str, body: bytes, *__: Any) -> None:
        self.answers.append((status, body))


def crowd(history: History, size: int) -> list[Client]:
    clients = [Client() for _ in range(size)]
    for client in clients:
        history.page.ask(client, QUESTION)  # type: ignore[arg-type]
    return clients


def tokens(history: History) -> list[int]:
    return [question.token for question in history.asked]


def test_no_more_is_asked_than_answers_are_kept_and_all_are_answered() -> None:
    assert AT_ONCE <= ANSWERS_HWM // 2
    history = History()
    clients = crowd(history, 10)
    gone = crowd(history, 1)
    gone[0].closed = True
    assert tokens(history) == [1, 2]
    for token in range(1, 11):
        assert token in tokens(history)
        history.answer(token)
    assert [client.answers for client in clients] == [
        [(404, b"cannot answer %d\n" % token)] for token in range(1, 11)
    ]
    assert all(timer.cancelled for timer in history.timers[:10])
    assert len(history.asked) == 10, "who has gone is not asked for"


def test_who_is_not_answered_in_time_is_told_and_holds_up_nobody_else() -> None:
    history = History()
    clients = crowd(history, 6)
    assert {timer.when for timer in history.timers} == {LIMIT}
    history.timers[2].fire()
    history.timers[0].fire()
    assert [len(client.answers) for client in clients] == [1, 0, 1, 0, 0, 0]
    assert clients[2].answers[0][0] == 503
    assert tokens(history) == [1, 2, 4], "nobody waits for the third"
    history.answer(1)
    history.answer(4)
    assert clients[3].answers
    assert len(clients[0].answers) == 1


def test_nothing_is_asked_for_who_is_closed_down() -> None:
    history = History()
    crowd(history, 6)
    history.unwatch = lambda _: None  # type: ignore[attr-defined]
    history.page.close()
    assert all(timer.cancelled for timer in history.timers)
    history.answer(1)
    assert tokens(history) == [1, 2]
