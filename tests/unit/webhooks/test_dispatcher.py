"""One webhook in its process: what it asks, sends and writes, and what is shown of one that fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.history.answers import Answer
from netmap_actors.history.occurrences import Happening, Occurrence
from netmap_actors.history.spans import Interval
from netmap_actors.webhooks.dispatcher import ASK_AGAIN, FAILING_LIMIT, QUESTION_WAIT, Dispatcher
from netmap_actors.webhooks.retry import Outcome
from netmap_actors.webhooks.sender import OutOfReach
from netmap_actors.webhooks.spec import WebhookSpec
from netmap_actors.webhooks.standing_file import BrokenStanding, StandingFile, forget_all_but

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WALL = 1_767_323_045.0
SPEC = WebhookSpec(name="a", url="file:/u", hold_down=0.0)


class Deadlines:
    """A loop whose time is told."""

    def __init__(self) -> None:
        self.time = 100.0
        self.made: list[Any] = []

    def now(self) -> float:
        return self.time

    def deadline(self, call: Callable[[], object]) -> Any:
        made = SimpleNamespace(when=None, call=call)
        made.set = lambda when: setattr(made, "when", when)
        self.made.append(made)
        return made

    def go_on(self, seconds: float) -> None:
        until = self.time + seconds
        while due := [one for one in self.made if one.when is not None and one.when <= until]:
            first = min(due, key=lambda one: one.when)
            self.time, first.when = max(self.time, first.when), None
            first.call()
        self.time = until


class World:
    """What its process gives an dispatcher."""

    def __init__(self, directory: Path, spec: WebhookSpec = SPEC) -> None:
        self.loop = Deadlines()
        self.asked: list[Any] = []
        self.lost: list[bool] = []
        self.sent: list[tuple[list[str], Callable[[Outcome], object]]] = []
        self.shown: dict[str, str | None] = {}
        self.logged: list[tuple[str, dict[str, Any]]] = []
        self.refused: str | None = None
        self.let_go = False
        self.file = StandingFile(directory, spec.name)
        loop: Any = self.loop
        log: Any = SimpleNamespace(warning=self._log, info=self._log)
        clock: Any = SimpleNamespace(wall=lambda: WALL + self.loop.time - 100.0)
        post: Any = self._post
        self.dispatcher = Dispatcher(
            spec,
            self.file,
            loop=loop,
            clock=clock,
            log=log,
            jitter=lambda: 0.5,
            tailnet="default",
            ask=self._ask,
            post=post,
            out_of_reach=self._out_of_reach,
            show=self.shown.__setitem__,
            changed=lambda: None,
        )
        self.dispatcher.turn()

    def begin(self) -> World:
        """It learns which id is the newest, and that there is nothing above it."""
        self.answer(newest=5)
        self.answer(newest=5)
        return self

    def _log(self, event: str, **fields: Any) -> None:
        self.logged.append((event, fields))

    def _ask(self, asker: Dispatcher, question: Any, *, lost: bool) -> int:
        self.asked.append(question)
        self.lost.append(lost)
        return len(self.asked)

    def _post(self, spec: WebhookSpec, events: Any, on_done: Callable[[Outcome], object]) -> Any:
        if self.refused is not None:
            raise OutOfReach(self.refused)
        self.sent.append(([one.id for one in events], on_done))
        return SimpleNamespace(cancel=lambda: None)

    def _out_of_reach(self, why: str) -> bool:
        return self.let_go

    def answer(self, *numbers: int, newest: int = 0) -> None:
        """Answer its question with nodes that joined, one each."""
        occurrences = [
            (number, Occurrence(at=WALL, kind=Happening.NODE_JOINED, subject=f"n{number}", name="x"))
            for number in numbers
        ]
        told = Answer(
            tailnet="default",
            window=Interval(0.0, WALL),
            gaps=[],
            netmap=[],
            connection=[],
            nodes=[],
            occurrences=occurrences,
            more=False,
            file="f",
            oldest_id=1,
            newest_id=newest or max(numbers, default=0),
        )
        self.dispatcher.answered(len(self.asked), told)

    def end(self, outcome: Outcome) -> None:
        self.sent[-1][1](outcome)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path).begin()


def test_it_waits_for_what_comes_after_the_newest_and_tells_it(world: World) -> None:
    assert (world.asked[-1].after_id, world.asked[-1].wait) == (5, QUESTION_WAIT)
    assert world.asked[-1].file == "f", "another file answers at once"
    assert (world.asked[-1].oldest, world.asked[-1].lanes, world.asked[-1].tags) == (True, False, True)
    world.answer(6)
    assert len(world.sent) == 1
    world.end(Outcome(status=200))
    written = world.file.read()
    assert written is not None
    assert (written.cursor, written.delivered) == (6, 1)


def test_an_answer_that_does_not_come_is_asked_for_again(world: World) -> None:
    before = len(world.asked)
    world.loop.go_on(QUESTION_WAIT + ASK_AGAIN - 1)
    assert len(world.asked) == before
    world.loop.go_on(2)
    assert (len(world.asked), world.lost[-1]) == (before + 1, True)
    world.dispatcher.answered(before, None)
    assert len(world.asked) == before + 1, "it was to the question before"
    world.dispatcher.answered(len(world.asked), None)
    world.loop.go_on(ASK_AGAIN + 1)
    assert len(world.asked) == before + 2, "the history cannot answer now"
    world.dispatcher.ask_again()
    assert len(world.asked) == before + 3, "there is another history"


def test_one_that_fails_for_long_is_shown_until_it_delivers(world: World) -> None:
    world.answer(6)
    world.end(Outcome(status=500))
    assert world.logged == [("webhook_failed", {"webhook": "a", "detail": "status 500"})]
    assert world.shown["webhook_a"] is None
    for _ in range(40):
        world.loop.go_on(FAILING_LIMIT / 20)
        if len(world.sent) > 1:
            world.sent[-1][1](Outcome(failure="timeout"))
    world.dispatcher.look()
    assert "delivers nothing: timeout" in (world.shown["webhook_a"] or "")
    assert len(world.logged) == 1, "it is said once"
    count = len(world.sent)
    while len(world.sent) == count:
        world.loop.go_on(10.0)
    world.end(Outcome(status=204))
    assert world.shown["webhook_a"] is None
    assert world.logged[-1][0] == "webhook_delivers"
    assert len({ids[0] for ids, _ in world.sent}) == 1, "each attempt had the same id"


def test_what_gets_too_old_is_said(tmp_path: Path) -> None:
    world = World(tmp_path, WebhookSpec(name="a", url="file:/u", hold_down=0.0, retry_for=60.0)).begin()
    world.answer(6, 7)
    world.end(Outcome(status=404))
    world.loop.go_on(100.0)
    world.end(Outcome(status=404))
    world.loop.go_on(3600.0)
    assert ("webhook_gave_up", {"webhook": "a", "events": 2}) in world.logged


def test_what_this_process_may_not_reach_ends_it_or_is_a_failure(world: World) -> None:
    world.refused = "cannot read the URL from /u: Permission denied"
    world.answer(6)
    assert world.logged[-1] == ("webhook_failed", {"webhook": "a", "detail": world.refused})
    world.let_go = True
    logged = len(world.logged)
    world.loop.go_on(3600.0)
    assert len(world.logged) == logged, "the next process tries"


def test_a_standing_that_cannot_be_written_is_shown(world: World, tmp_path: Path) -> None:
    (tmp_path / ".a.json.new").mkdir()
    (tmp_path / ".a.json.new" / "x").write_text("")
    world.answer(6)
    world.end(Outcome(status=200))
    assert "cannot write the standing of webhook a" in (world.shown["webhooks_standing_a"] or "")
    (tmp_path / ".a.json.new" / "x").unlink()
    (tmp_path / ".a.json.new").rmdir()
    world.dispatcher.look()
    written = world.file.read()
    assert written is not None
    assert (written.cursor, world.shown["webhooks_standing_a"]) == (6, None), "though nothing else happened"


def test_no_two_conditions_of_webhooks_have_one_code(tmp_path: Path) -> None:
    shown: list[str] = []
    for name in ("a", "a_standing", "standing_a"):
        shown += World(tmp_path, WebhookSpec(name=name, url="file:/u")).begin().shown
    assert len(shown) == len(set(shown)) == 6


@pytest.mark.parametrize(
    "text",
    [
        '{"cursor": -5}',
        '{"cursor": 9223372036854775808}',
        '{"attempts": 99999999999999999999999}',
        '{"delivered": -1}',
        '{"delivered_at": 1e300}',
        '{"settled": [[1, 99999999999999999999999]]}',
    ],
)
def test_numbers_that_no_webhook_wrote_break_a_standing(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BrokenStanding):
        StandingFile(tmp_path, "a").read()


def test_a_standing_that_cannot_be_read_is_kept_beside(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"cursor": "x"}')
    with pytest.raises(BrokenStanding, match=r"it is kept as .*a\.json\.broken"):
        StandingFile(tmp_path, "a").read()
    assert (tmp_path / "a.json.broken").read_text() == '{"cursor": "x"}'
    assert StandingFile(tmp_path, "a").read() is None
    (tmp_path / "a.json").write_text("[")
    world = World(tmp_path)
    assert world.logged[0][0] == "webhook_standing_broken"
    assert world.asked, "it begins anew"


def test_a_webhook_that_was_taken_out_and_comes_back_begins_with_what_happens_next(tmp_path: Path) -> None:
    World(tmp_path).begin()
    World(tmp_path, WebhookSpec(name="b", url="file:/u")).begin()
    (tmp_path / "c.json.broken").write_text("{")
    assert forget_all_but(["b"], tmp_path) == ["a"]
    assert forget_all_but(["b"], tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.json", "c.json.broken"]
    again = World(tmp_path)
    assert again.asked[0].most == 1, "it asks what the newest is, and nothing of before"
    again.answer(newest=900)
    assert again.asked[1].after_id == 900


def test_a_history_that_cannot_be_read_is_a_failure_of_each_webhook_until_it_can(world: World) -> None:
    world.begin()
    assert world.dispatcher.failure() == ""
    world.dispatcher.answered(len(world.asked), None)
    assert world.dispatcher.failure() == "the history cannot be read, and what happens is told when it can"
    world.loop.go_on(ASK_AGAIN)
    world.answer(6)
    assert (world.dispatcher.failure(), len(world.sent)) == ("", 1)
