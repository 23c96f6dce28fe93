"""Questions to a running daemon's history, and their answers, as JSON messages on one socket (ROUTER).

The file is its user's alone; the socket is for all who may read the netmap.
"""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from netmap_actors.clock import SystemClock
from netmap_actors.errors import NetmapError, escape
from netmap_actors.history.answers import EVER, Answer, HistoryQuestion, NoHistory
from netmap_actors.history.occurrences import Happening
from netmap_actors.runtime_paths import default_runtime_dir, history_path

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

__all__ = [
    "LIMIT",
    "MAX_QUESTION",
    "NoAnswer",
    "QuestionLine",
    "Told",
    "ask_daemon",
    "history",
    "reply",
    "reply_to",
]

MAX_QUESTION: Final = 64 * 1024
MAX_TOLD: Final = 64 << 20
LIMIT: Final = 10.0
"""Seconds for an answer."""


class Told(msgspec.Struct, frozen=True):
    """What comes back."""

    answer: Answer | None = None
    error: str = ""
    """Why there is none."""
    token: int = 0
    """Of the question."""


class NoAnswer(NoHistory):
    """Nobody answered, as when no daemon is there; the text says so."""


def question_in(data: bytes) -> HistoryQuestion:
    """The question in a message. Raises NoHistory for one that cannot be answered."""
    try:
        question = msgspec.json.decode(data, type=HistoryQuestion)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoHistory(f"cannot read the question: {escape(str(error), 200)}") from None
    if not 0.0 <= question.since < question.until <= EVER or question.most < 1:
        raise NoHistory(
            "cannot show the history: `since` is not before `until`, one of them is no UNIX time, or `most` is less "
            "than 1"
        )
    if not (0.0 <= question.wait < math.inf and 0 <= question.after_id < 1 << 63):
        raise NoHistory("cannot show the history: `wait` or `after_id` is negative, or too large")
    return question


def reply_to(data: bytes, ask: Callable[[HistoryQuestion], Answer | None]) -> bytes | None:
    """The message that answers the question in `data`, or says why there is no answer; None: later (`reply`)."""
    try:
        question = question_in(data)
    except NetmapError as error:
        return msgspec.json.encode(Told(error=str(error)))
    return reply(question, ask)


def reply(question: HistoryQuestion, ask: Callable[[HistoryQuestion], Answer | None]) -> bytes | None:
    """The same for a question that was read before."""
    try:
        answer = ask(question)
    except NetmapError as error:
        return msgspec.json.encode(Told(error=str(error), token=question.token))
    return None if answer is None else msgspec.json.encode(Told(answer, token=question.token))


def ask_daemon(
    question: HistoryQuestion, runtime_dir: str | os.PathLike[str] | None = None, limit: float = LIMIT
) -> Answer:
    """The answer of the daemon of this runtime directory. Raises NoHistory, NoAnswer after `limit` seconds.

    `limit` begins when the question's `wait` is over.
    """
    path = history_path(Path(runtime_dir) if runtime_dir is not None else default_runtime_dir())
    if not path.exists():
        raise NoHistory(
            f"cannot show the history: there is no {path}; the daemon is not running, or history.keep is off"
        )
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_TOLD)
        socket.connect(f"ipc://{path}")
        socket.send(msgspec.json.encode(question))
        if not socket.poll(int((limit + question.wait) * 1000)):
            raise NoAnswer(
                f"cannot show the history: nobody answers at {path} within {limit:g} s; is the daemon running, "
                "with a history (history.keep), and is the socket yours to use?"
            )
        found = _told_in(socket.recv())
    if found.answer is None:
        raise NoHistory(found.error)
    return found.answer


def history(
    since: datetime.datetime | datetime.timedelta = datetime.timedelta(days=1),
    until: datetime.datetime | None = None,
    *,
    peers: Iterable[str] = (),
    kinds: Iterable[str] = (),
    runtime_dir: str | os.PathLike[str] | None = None,
) -> Answer:
    """What a running daemon remembers of a time, from the moment `since`, or so long ago, until now.

    `peers`: only of these nodes, by a name they have or had or by stable id. `kinds`: only such occurrences, as in
    `Happening`. Raises ValueError for a kind that is none and for a time without its offset, NoHistory for no such
    node and where none is kept, NoAnswer where nobody answers.
    """
    from netmap_actors.subscriber.events import words  # noqa: PLC0415  # the daemon's processes do without

    now = datetime.datetime.fromtimestamp(SystemClock().wall(), datetime.UTC)
    begins = now - since if isinstance(since, datetime.timedelta) else since
    ends = until or now
    for moment in (begins, ends):
        if moment.tzinfo is None:
            raise ValueError(
                f"cannot use {moment} as a time: it has no offset; give tzinfo, such as datetime.UTC"
            )
    wanted, nodes = words(kinds, "kinds"), words(peers, "peers")
    unknown = [kind for kind in wanted if kind not in list(Happening)]
    if unknown:
        raise ValueError(
            f"cannot tell of {escape(unknown[0], 50)!r}: no such kind; there are {', '.join(Happening)}"
        )
    return ask_daemon(
        HistoryQuestion(
            since=begins.timestamp(),
            until=ends.timestamp(),
            peers=nodes,
            kinds=tuple(map(Happening, wanted)),
        ),
        runtime_dir,
    )


class QuestionLine:
    """Questions and answers that are not waited for, on a DEALER; `Told.token` says which question it was."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket

    def ask(self, question: HistoryQuestion) -> bool:
        """False when too many wait already."""
        try:
            self.socket.send(msgspec.json.encode(question), zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def told(self) -> Told | None:
        """The next answer, if there is one that can be read."""
        try:
            return _told_in(self.socket.recv(zmq.DONTWAIT))
        except (zmq.Again, NoHistory):
            return None


def _told_in(data: bytes) -> Told:
    try:
        return msgspec.json.decode(data, type=Told)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoHistory("cannot read the answer: the daemon is another version; restart it") from None
