"""What the Supervisor tells the history, and what it keeps until that has it on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.wire import internal_pb2
from netmap_supervisor.daemon.output.history_feed import MOST, HistoryFeed

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

SELF = {"actor": "history", "pid": 9}


class History:
    """Takes what it is told, while it can; `store` is what it has on disk."""

    def __init__(self) -> None:
        self.takes = True
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.numbers: list[int] = []
        self.store: list[int] = []
        self.opened = 0
        self.later: list[Callable[[], object]] = []
        self.at_once = True
        self.history_feed = HistoryFeed(self.tell, self.soon)

    def tell(self, actor: str, message: Message) -> bool:
        assert actor == "history"
        assert isinstance(message, internal_pb2.Occurred)
        if self.takes and message.opened == self.opened:
            self.told.append((message.event, msgspec.json.decode(message.fields)))
            self.numbers.append(message.number)
        return self.takes

    def soon(self, call: Callable[[], object]) -> None:
        if self.at_once:
            call()
        else:
            self.later.append(call)

    def open(self) -> None:
        """Another process, or another file."""
        self.opened += 1
        self.numbers = []
        self._say(internal_pb2.OccurrencesKept(number=max(self.store, default=0), opened=self.opened))

    def write(self) -> None:
        self.store += self.numbers
        self.numbers = []
        self._say(internal_pb2.OccurrencesKept(number=max(self.store, default=0)))

    def event(self, event: str, **fields: Any) -> None:
        self.history_feed.event(event, fields, 1.0)

    def _say(self, kept: internal_pb2.OccurrencesKept) -> None:
        assert self.history_feed.on_message(internal_pb2.Envelope(actor="history", occurrences_kept=kept))


def test_what_happens_before_it_is_there_waits() -> None:
    history = History()
    history.event("run_started", version="1", detail=None)
    history.event("actor_ready", actor="publisher")
    assert history.told == []
    history.open()
    assert history.told == [("run_started", {"version": "1"})], "only what is kept, and no empty fields"
    history.event("session_ended", reason="silence")
    assert history.told[-1] == ("session_ended", {"reason": "silence"})
    assert history.numbers == [1, 2]


def test_what_it_cannot_take_waits_and_comes_in_order() -> None:
    history = History()
    history.open()
    history.takes = False
    for number in range(3):
        history.event("degraded", number=number)
    history.takes = True
    history.event("healed", number=3)
    assert [fields["number"] for _, fields in history.told] == [0, 1, 2, 3]


def test_what_was_not_written_is_told_to_the_next_one() -> None:
    history = History()
    history.open()
    history.event("degraded", number=0)
    history.write()
    history.event("degraded", number=1)
    history.event("actor_exited", **SELF)
    history.event("degraded", number=2)
    assert history.numbers == [2], "it is not there"
    history.open()
    assert history.numbers == [2, 3, 4]
    history.write()
    history.open()
    assert history.numbers == []


def test_it_is_told_once_a_turn_however_often_it_asks() -> None:
    history = History()
    for number in range(50):
        history.event("degraded", number=number)
    history.at_once = False
    for _ in range(100):
        history.open()
    assert (history.told, len(history.later)) == ([], 1)
    history.later.pop()()
    assert history.numbers == list(range(1, 51))
    history.open()
    assert len(history.later) == 1


def test_of_too_many_the_oldest_go_and_their_numbers_with_them() -> None:
    history = History()
    history.open()
    history.event("degraded", number=0)
    for number in range(1, MOST + 6):
        history.event("degraded", number=number)
    assert history.history_feed.lost == 6
    assert history.numbers == list(range(1, MOST + 7)), "each was told once, and none is kept"
    history.open()
    assert history.numbers == list(range(7, MOST + 7))


def test_without_a_history_nothing_is_kept_and_others_messages_are_not_taken() -> None:
    history = History()
    unwanted = HistoryFeed(history.tell, history.soon, wanted=False)
    unwanted.event("run_started", {}, 1.0)
    assert len(unwanted._kept) == 0
    for envelope in (
        internal_pb2.Envelope(actor="history", hello=internal_pb2.Hello()),
        internal_pb2.Envelope(actor="publisher", occurrences_kept=internal_pb2.OccurrencesKept(number=9)),
    ):
        assert not unwanted.on_message(envelope)


@given(st.lists(st.sampled_from(["event", "event", "write", "open", "dies", "full", "takes"]), max_size=60))
def test_all_is_written_once_and_in_order_whatever_happens(steps: list[str]) -> None:
    history = History()
    events = 0
    for step in [*steps, "takes", "open", "write"]:
        match step:
            case "event":
                events += 1
                history.event("degraded")
            case "write":
                history.write()
            case "open":
                history.open()
            case "dies":
                events += 1
                history.numbers = []
                history.event("actor_exited", **SELF)
            case "full":
                history.takes = False
            case "takes":
                history.takes = True
    assert history.store == list(range(1, events + 1))
