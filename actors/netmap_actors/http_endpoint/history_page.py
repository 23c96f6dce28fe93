"""/history: the question in a query, and the clients that wait for the history actor's answer."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import msgspec

from netmap_actors import shown_json
from netmap_actors.errors import escape
from netmap_actors.history.answers import EVER, HistoryQuestion
from netmap_actors.history.occurrences import Happening
from netmap_actors.history.questions import LIMIT, MAX_TOLD, QuestionLine
from netmap_actors.http_endpoint.pages import JSON, TEXT, BadQuery, Page
from netmap_actors.rfc3339 import unix_seconds

if TYPE_CHECKING:
    from netmap_actors.bus.loop import Loop, Timer
    from netmap_actors.bus.sockets import Sockets
    from netmap_actors.http_endpoint.connection import Connection
    from netmap_actors.http_endpoint.pages import Query

__all__ = ["HistoryPage", "question_of"]

DAY = 86400.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY}
AT_ONCE = 2
"""Questions that are asked and not answered. The history drops answers beyond its high-water mark of 4, and libzmq says
which were taken only two at a time (4.3.5: src/pipe.cpp, compute_lwm)."""
OFF = b"cannot show the history: none is kept (history.keep is off)\n"
LATE = b"cannot show the history: it did not answer in time\n"


def question_of(query: Query, wall: float) -> HistoryQuestion:
    """`wall`: now, UNIX seconds. Raises BadQuery."""
    query.only("since", "until", "peer", "kind", "lanes")
    unknown = [kind for kind in query.all("kind") if kind not in set(Happening)]
    if unknown:
        known = ", ".join(sorted(Happening))
        raise BadQuery(f"cannot use kind={escape(unknown[0], 50)}: the kinds are {known}")
    since = _moment("since", query, "24h", wall)
    until = _moment("until", query, "0s", wall)
    if since >= until:
        raise BadQuery("cannot use since: it is not before until")
    return HistoryQuestion(
        since=since,
        until=until,
        peers=tuple(query.all("peer")),
        kinds=tuple(map(Happening, query.all("kind"))),
        lanes=query.flag("lanes", default=True),
    )


def _moment(name: str, query: Query, default: str, wall: float) -> float:
    """So long ago, "24h", or an RFC 3339 time, as UNIX seconds. Raises BadQuery."""
    given = query.one(name)
    text = default if given is None else given
    # A plus in a query is a space, unless it is written as %2B.
    at = unix_seconds(text.replace(" ", "+"))
    if at is None:
        number, unit = text[:-1], UNITS.get(text[-1:])
        if unit is None or not (number.isascii() and number.isdigit() and len(number) < 10):
            raise BadQuery(
                f"cannot use {name}={escape(text, 50)}: 90m, 24h, 7d or an RFC 3339 time is expected"
            )
        at = wall - int(number) * unit
    if not 0.0 <= at <= EVER:
        raise BadQuery(f"cannot use {name}={escape(text, 50)}: it is not in the years 1970 to 9999")
    return at


class HistoryPage:
    """Asks the history actor on behalf of clients. `endpoint`: empty when no history is kept."""

    def __init__(self, loop: Loop, sockets: Sockets, endpoint: str) -> None:
        self._loop = loop
        self._waiting: dict[int, tuple[Connection, Timer]] = {}
        self._token = 0
        self._questions: collections.deque[HistoryQuestion] = collections.deque()
        """Not asked yet."""
        self._asked: set[int] = set()
        self._line: QuestionLine | None = None
        if endpoint:
            self._line = QuestionLine(sockets.dealer_connect(endpoint, b"", max_size=MAX_TOLD, hwm=64))
            loop.watch(self._line.socket, self._on_answer)

    def ask(self, connection: Connection, question: HistoryQuestion) -> None:
        """The client is answered when the answer has come, or is late."""
        if self._line is None:
            connection.answer(404, TEXT, OFF)
            return
        self._token += 1
        token = self._token
        timer = self._loop.at(self._loop.now() + LIMIT, lambda: self._end(token, Page(503, TEXT, LATE)))
        self._waiting[token] = (connection, timer)
        self._questions.append(msgspec.structs.replace(question, token=token))
        self._ask_next()

    def close(self) -> None:
        """Nobody is answered any more."""
        if self._line is not None:
            self._loop.unwatch(self._line.socket)
        for _, timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        self._questions.clear()

    def _ask_next(self) -> None:
        while self._line is not None and self._questions and len(self._asked) < AT_ONCE:
            question = self._questions.popleft()
            waiting = self._waiting.get(question.token)
            if waiting is not None and not waiting[0].closed:
                self._asked.add(question.token)
                self._line.ask(question)

    def _on_answer(self) -> None:
        told = self._line.told() if self._line is not None else None
        if told is None:
            return
        if told.answer is None:
            self._end(told.token, Page(404, TEXT, f"{escape(told.error, 500)}\n".encode()))
        else:
            self._end(told.token, Page(200, JSON, shown_json.encode(told.answer.to_json()) + b"\n"))

    def _end(self, token: int, page: Page) -> None:
        self._asked.discard(token)
        self._ask_next()
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return  # it was too late
        connection, timer = waiting
        timer.cancel()
        if not connection.closed:
            connection.answer(page.status, page.content_type, page.body)
