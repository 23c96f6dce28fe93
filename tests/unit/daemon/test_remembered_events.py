"""What the Supervisor tells the history, and what waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from netmap_supervisor.daemon.output.remembered import MOST, Remembered

if TYPE_CHECKING:
    from google.protobuf.message import Message

READY = {"actor": "history", "pid": 9}


class History:
    """Takes what it is told, while it can."""

    def __init__(self) -> None:
        self.takes = True
        self.told: list[tuple[str, dict[str, Any]]] = []

    def tell(self, actor: str, message: Message) -> bool:
        assert actor == "history"
        if self.takes:
            self.told.append((message.event, msgspec.json.decode(message.fields)))  # type: ignore[attr-defined]
        return self.takes


def test_what_happens_before_it_is_there_waits() -> None:
    history = History()
    remembered = Remembered(history.tell)
    remembered.event("run_started", {"version": "1", "detail": None}, 1.0)
    remembered.event("actor_ready", {"actor": "publisher"}, 2.0)
    assert history.told == []
    remembered.event("actor_ready", READY, 3.0)
    assert history.told == [("run_started", {"version": "1"})], "only what is kept, and no empty fields"
    remembered.event("session_ended", {"reason": "silence"}, 4.0)
    assert history.told[-1] == ("session_ended", {"reason": "silence"})


def test_what_it_cannot_take_waits_and_comes_in_order() -> None:
    history = History()
    remembered = Remembered(history.tell)
    remembered.event("actor_ready", READY, 1.0)
    history.takes = False
    for number in range(3):
        remembered.event("degraded", {"number": number}, 2.0)
    history.takes = True
    remembered.event("healed", {"number": 3}, 3.0)
    assert [fields["number"] for _, fields in history.told] == [0, 1, 2, 3]


def test_its_own_end_waits_for_the_next_one() -> None:
    history = History()
    remembered = Remembered(history.tell)
    remembered.event("actor_ready", READY, 1.0)
    remembered.event("actor_exited", READY, 2.0)
    assert history.told == []
    remembered.event("actor_ready", READY, 3.0)
    assert [event for event, _ in history.told] == ["actor_exited"]


def test_of_too_many_the_oldest_go() -> None:
    history = History()
    remembered = Remembered(history.tell)
    for number in range(MOST + 5):
        remembered.event("degraded", {"number": number}, 1.0)
    remembered.event("actor_ready", READY, 2.0)
    assert [fields["number"] for _, fields in history.told] == list(range(5, MOST + 5))
