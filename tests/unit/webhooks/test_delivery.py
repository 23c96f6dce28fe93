"""When a webhook tells what: rule by rule."""

from __future__ import annotations

import msgspec
import pytest

from netmap_actors.webhooks import delivery
from netmap_actors.webhooks.delivery import Outcome, WebhookStanding
from tests.support.machines.webhook_world import DEAD, WALL, World, spec

HOUR, DAY = 3600.0, 86_400.0


def test_a_new_webhook_tells_nothing_of_the_past() -> None:
    world = World(spec())
    world.written = None
    world.happen("node_joined", "a", turn=False)
    world.begin()
    new = world.happen("node_joined", "b")
    assert world.numbers == [new]


def test_a_new_webhook_without_an_answer_yet_writes_nothing_and_begins_at_the_newest_later() -> None:
    world = World(spec())
    world.written, world.history_answers = None, False
    world.begin()
    assert world.machine.to_write(world.now) is None
    world.happen("node_joined", "a")
    world.history_answers = True
    world.turn()
    assert world.written is not None
    assert (world.numbers, world.written.cursor) == ([], 1)


def test_what_happens_is_told_at_once() -> None:
    world = World(spec())
    assert world.numbers == [] == world.requests
    number = world.happen("node_joined", "a")
    assert world.numbers == [number]
    assert world.requests[0][0] == world.now
    assert world.written is not None
    assert (world.written.cursor, world.written.delivered, world.written.attempts) == (number, 1, 1)
    assert world.written.delivered_at == world.wall


def test_a_node_of_another_control_server_ends_nothing_of_one_with_the_same_id() -> None:
    world = World(spec(hold_down=60.0, events=("node_offline", "node_online")))
    told = world.happen("node_offline", "a")
    world.wait(61.0)
    assert world.numbers == [told]
    world.happen("node_offline", "b")
    world.happen("gap", server={"from": "one", "to": "two"})
    world.happen("node_online", "a")
    world.wait(HOUR)
    assert world.numbers == [told]
    assert world.machine.standing.told == ()
    later = world.happen("node_offline", "a")
    world.wait(61.0)
    assert world.numbers == [told, later]


def test_a_gap_of_the_same_control_server_ends_nothing() -> None:
    world = World(spec(hold_down=60.0, events=("node_offline", "node_online")))
    numbers = [world.happen("node_offline", "a")]
    world.wait(61.0)
    world.happen("gap")
    numbers.append(world.happen("node_online", "a"))
    assert world.numbers == numbers


@pytest.mark.parametrize(
    ("begins", "ends", "subject"),
    [("node_offline", "node_online", "a"), ("netmap_stale", "netmap_fresh", "")],
)
class TestHoldDown:
    def test_a_state_is_told_when_it_has_lasted(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec(hold_down=60.0))
        number = world.happen(begins, subject)
        world.wait(59.9)
        assert world.numbers == []
        world.wait(0.2)
        assert world.numbers == [number]
        end = world.happen(ends, subject)
        world.wait(1.0)
        assert world.numbers == [number, end]

    def test_a_short_state_and_its_end_are_not_told(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec(hold_down=60.0))
        for _ in range(3):
            world.happen(begins, subject)
            world.wait(59.0)
            world.happen(ends, subject)
            world.wait(5.0)
        world.wait(HOUR)
        assert world.numbers == []
        assert world.machine.standing.suppressed == 6
        assert world.machine.standing.cursor == 6

    def test_without_a_hold_down_all_is_told(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec(hold_down=0.0))
        world.happen(begins, subject)
        world.happen(ends, subject)
        world.wait(1.0)
        assert world.numbers == [1, 2]

    def test_it_is_measured_by_the_times_of_the_history(self, begins: str, ends: str, subject: str) -> None:
        """What is read late is held against the end that is there already."""
        world = World(spec(hold_down=60.0))
        world.history_answers = False
        for lasted in (30.0, 90.0):
            world.happen(begins, subject)
            world.wait(lasted)
            world.happen(ends, subject)
        world.wait(HOUR)
        world.history_answers = True
        world.turn()
        assert world.numbers == [3, 4]

    @pytest.mark.parametrize("ended", [True, False])
    def test_what_the_history_does_not_say_to_go_on_is_not_told(
        self, begins: str, ends: str, subject: str, ended: bool
    ) -> None:
        """It hangs, and the state may be over."""
        world = World(spec(hold_down=60.0))
        number = world.happen(begins, subject)
        world.history_answers = False
        world.wait(1.0)
        if ended:
            world.happen(ends, subject)
        world.wait(HOUR)
        assert world.numbers == []
        world.history_answers = True
        world.turn()
        assert world.numbers == ([] if ended else [number])

    def test_the_end_of_what_was_not_told_is_not_told(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec())
        world.happen(ends, subject)
        world.wait(HOUR)
        assert world.numbers == []

    def test_only_ends_are_told_of_long_states(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec(events=(ends,)))
        for lasted in (30.0, 90.0):
            world.happen(begins, subject)
            world.wait(lasted)
            world.happen(ends, subject)
        world.wait(HOUR)
        assert world.numbers == [4]

    def test_only_beginnings_are_told(self, begins: str, ends: str, subject: str) -> None:
        world = World(spec(events=(begins,)))
        for lasted in (30.0, 90.0, 90.0):
            world.happen(begins, subject)
            world.wait(lasted)
            world.happen(ends, subject)
        assert world.numbers == [3, 5]
        assert world.machine.standing.told == ()

    def test_a_state_that_may_have_been_told_ends_after_a_death(
        self, begins: str, ends: str, subject: str
    ) -> None:
        """The receiver took it, nobody was told so, and by the history the state was short after all."""
        world = World(spec(hold_down=60.0))
        begin = world.happen(begins, subject)
        world.dies_before = "done"
        world.wait(61.0)
        assert world.numbers == [begin]
        end = world.happen(ends, subject, turn=False)
        world.rows[end] = msgspec.structs.replace(world.rows[end], at=world.rows[begin].at + 59.0)
        world.turn()
        world.wait(HOUR)
        assert world.numbers == [begin, end]
        assert world.machine.standing.begun == () == world.machine.standing.told


def test_a_node_that_is_held_down_holds_up_its_own_events_and_no_others() -> None:
    world = World(spec())
    offline = world.happen("node_offline", "a")
    renamed = world.happen("node_renamed", "a")
    other = world.happen("node_joined", "b")
    world.wait(1.0)
    assert world.numbers == [other]
    assert world.written is not None
    assert (world.written.cursor, world.written.settled) == (0, ((other, other),))
    world.wait(60.0)
    assert world.numbers == [other, offline, renamed]
    assert (world.machine.standing.cursor, world.machine.standing.settled) == (other, ())


def test_a_short_state_lets_go_of_what_waits_behind_it() -> None:
    world = World(spec())
    world.happen("node_offline", "a")
    renamed = world.happen("node_renamed", "a")
    world.wait(10.0)
    world.happen("node_online", "a")
    assert world.numbers == [renamed]


def test_a_node_that_leaves_while_it_is_held_down_only_left() -> None:
    world = World(spec())
    world.happen("node_offline", "a")
    world.wait(10.0)
    left = world.happen("node_left", "a")
    world.wait(HOUR)
    assert world.numbers == [left]


def test_of_a_node_that_left_no_end_is_awaited() -> None:
    world = World(spec())
    world.happen("node_offline", "a")
    world.wait(61.0)
    assert world.machine.standing.told == ("a",)
    world.happen("node_left", "a")
    assert world.machine.standing.told == ()


def test_a_clock_that_is_set_changes_no_waiting() -> None:
    world = World(spec())
    number = world.happen("node_offline", "a")
    joined = world.happen("node_joined", "b")
    world.receiver = lambda _: (DEAD, False)
    world.clock_set = -5 * HOUR
    world.wait(59.0)
    world.clock_set = 30 * DAY
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(5.0)
    assert sorted(world.numbers) == [number, joined]
    assert world.machine.standing.given_up == 0


def test_only_chosen_nodes_are_told_of() -> None:
    world = World(spec(names=("web-*",), events_per_body=100))
    told = [
        world.happen("node_joined", "web-1"),
        world.happen("netmap_stale"),
        world.happen("node_renamed", "db-1", name={"from": "web-9", "to": "db-1"}),
    ]
    world.happen("node_joined", "db-2")
    world.happen("node_offline", "db-2")
    world.wait(70.0)
    world.happen("node_online", "db-2")
    world.happen("node_left", "db-2")
    world.wait(1.0)
    assert sorted(world.numbers) == told


def test_nodes_are_chosen_by_tags_before_and_after_a_change() -> None:
    world = World(spec(tags=("tag:web",)))
    world.happen("node_joined", "a")
    told = [
        world.happen("node_tagged", "a", tags={"from": [], "to": ["tag:web"]}),
        world.happen("node_tagged", "b", tags={"from": ["tag:web", "tag:x"], "to": None}),
    ]
    world.happen("node_tagged", "c", tags={"from": [], "to": ["tag:web2"]})
    world.wait(5.0)
    assert world.numbers == told


def test_the_end_of_a_state_is_told_though_its_node_is_no_longer_chosen() -> None:
    world = World(spec(names=("web-*",)))
    world.happen("node_offline", "web-1")
    world.wait(70.0)
    world.spec = spec(names=("db-*",))
    world.begin()
    end = world.happen("node_online", "web-1")
    assert world.numbers == [1, end]


def test_ids_that_were_dropped_unread_are_counted() -> None:
    world = World(spec())
    world.history_answers = False
    for at in range(10):
        world.happen("node_joined", f"n{at}")
    world.prune(4)
    world.history_answers = True
    world.turn()
    assert world.numbers == [5, 6, 7, 8, 9, 10]
    assert world.machine.standing.lost == 4
    world.happen("node_joined", "x")
    assert world.machine.standing.lost == 4


def test_what_was_read_is_told_though_the_history_has_dropped_it() -> None:
    world = World(spec())
    offline = world.happen("node_offline", "a")
    world.happen("node_joined", "b")
    world.prune(2)
    world.wait(70.0)
    assert offline in world.numbers
    assert world.machine.standing.lost == 0


def test_after_a_death_only_what_was_not_settled_is_lost() -> None:
    world = World(spec())
    world.happen("node_offline", "a")
    world.happen("node_joined", "b")
    world.happen("node_offline", "c")
    world.prune(3)
    world.begin()
    world.happen("node_joined", "d")
    assert world.numbers == [2, 4]
    assert world.machine.standing.lost == 2


def test_events_with_much_to_say_wait_in_the_history() -> None:
    world = World(spec(hold_down=0.0))
    routes = {"from": [], "to": ["10.0.0.0/24"] * 40_000}
    world.receiver = lambda _: (DEAD, False)
    told = [world.happen("node_routed", "a", routes=routes) for _ in range(40)]
    assert 5 < world.machine.figures(world.now).pending < 20
    assert world.machine.wanted() is None
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(HOUR)
    assert world.numbers == told


def test_of_what_began_and_was_dropped_nothing_is_kept() -> None:
    world = World(spec())
    world.receiver = lambda _: (DEAD, False)
    begun = world.happen("node_offline", "a")
    world.wait(61.0)
    assert world.machine.standing.begun == (begun,)
    world.begin()
    world.history_answers = False
    world.begin()
    world.prune(begun)
    world.history_answers = True
    world.turn()
    standing = world.machine.standing
    assert (standing.begun, standing.cursor, standing.lost) == ((), begun, 1)


def test_another_file_is_read_from_its_beginning_and_states_are_remembered() -> None:
    world = World(spec())
    world.happen("node_offline", "a")
    world.wait(70.0)
    world.happen("node_offline", "b")
    world.other_file()
    world.happen("node_online", "a")
    world.happen("node_joined", "c")
    world.wait(70.0)
    assert [(one.id[:3], one.type) for one in world.told] == [
        ("f1-", "node_offline"),
        ("f2-", "node_online"),
        ("f2-", "node_joined"),
    ]
    assert (world.machine.standing.history, world.machine.standing.lost) == ("f2", 1)


def test_a_file_that_lost_its_end_is_read_on_from_there_and_ids_differ() -> None:
    """As after a power failure: the standing was durable, the end of the history was not."""
    world = World(spec())
    for at in range(5):
        world.happen("node_joined", f"n{at}")
    world.wait(1.0)
    assert world.numbers == [1, 2, 3, 4, 5]
    world.lose_end(2)
    world.now += 100.0
    world.begin()
    world.happen("node_joined", "new")
    assert [one.subject for one in world.told] == ["n0", "n1", "n2", "n3", "n4", "new"]


def test_an_answer_to_another_question_is_passed_over() -> None:
    world = World(spec())
    world.happen("node_joined", "a")
    late = delivery.OccurrencePage("f1", 0, 1, 1, [(1, world.rows[1])], True, {})
    world.machine.read(late, wall=world.wall, now=world.now)
    assert world.machine.send(world.now + 10.0) is None


def test_ids_are_those_of_file_number_and_moment() -> None:
    world = World(spec())
    world.receiver = lambda _: (DEAD, True)
    world.happen("node_joined", "a")
    world.wait(HOUR)
    world.begin()
    world.wait(HOUR)
    ids = {one.id for _, events in world.received for one in events}
    assert ids == {f"f1-1-{round((WALL + 1000.0) * 1000):x}"}
    assert len(world.received) > 5


def test_a_standing_knows_no_more_than_it_says() -> None:
    """No name of a node, nothing of what happened, no URL."""
    standing = WebhookStanding(told=("a",), history="f")
    assert set(msgspec.to_builtins(standing)) == {
        "tailnet", "history", "cursor", "settled", "begun", "told", "delivered", "attempts", "failed", "suppressed",
        "given_up", "lost", "delivered_at",
    }  # fmt: skip


def test_after_a_death_nothing_that_is_settled_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor after another, while the first pages are read again."""
    world = World(spec())
    world.happen("node_offline", "a")
    for at in range(5):
        world.happen("node_joined", f"n{at}")
    world.wait(5.0)
    monkeypatch.setattr(delivery, "MAX_PAGE", 2)
    for _ in range(6):
        world.dies_before = "written"
        world.begin()
    world.wait(100.0)
    assert [one.number for _, events in world.received for one in events] == [2, 3, 4, 5, 6, 1]


def test_what_is_read_in_part_is_not_held_against_an_end_that_is_not_read_yet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "MAX_PAGE", 1)
    world = World(spec())
    world.history_answers = False
    world.happen("node_offline", "a")
    world.wait(30.0)
    world.happen("node_online", "a")
    world.wait(100.0)
    world.history_answers = True
    world.turn()
    world.wait(100.0)
    assert world.numbers == []


def test_a_hold_down_goes_on_over_a_death() -> None:
    world = World(spec(hold_down=60.0))
    world.happen("node_offline", "a")
    world.wait(50.0)
    world.begin()
    world.wait(20.0)
    assert [at for at, _ in world.requests] == [1060.0]


def test_a_state_that_ended_before_it_was_told_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is not wanted, but no end is awaited any more."""
    world = World(spec(events=("node_offline",)))
    world.history_answers = False
    world.happen("node_offline", "a")
    world.wait(90.0)
    world.happen("node_online", "a")
    world.history_answers = True
    world.turn()
    world.wait(5.0)
    assert (world.numbers, world.machine.standing.told) == ([1], ())


def test_that_a_state_may_be_told_is_written_before_it_is() -> None:
    world = World(spec(hold_down=10.0))
    written: list[WebhookStanding | None] = []

    def receiver(_: delivery.Telling) -> tuple[Outcome, bool]:
        written.append(world.written)
        return (DEAD, False) if len(written) == 1 else (Outcome(status=200), True)

    world.receiver = receiver
    number = world.happen("node_offline", "a")
    world.wait(50.0)
    assert [one.begun for one in written if one is not None] == [(number,), (number,)]
    assert world.machine.standing.begun == ()


def test_an_answer_for_another_file_settles_nothing_in_the_new_one() -> None:
    world = World(spec())
    under_way = iter([True])

    def receiver(_: delivery.Telling) -> tuple[Outcome, bool]:
        if next(under_way, False):
            world.other_file()
            world.happen("node_joined", "b", turn=False)
            while world._more():
                world._ask()
        return Outcome(status=200), True

    world.receiver = receiver
    world.happen("node_joined", "a")
    world.wait(5.0)
    assert [(one.number, one.subject) for one in world.told] == [(1, "a"), (1, "b")]


@pytest.mark.parametrize("step", [2 * DAY, -2 * DAY])
@pytest.mark.parametrize("hold_down", [0.0, 60.0])
def test_a_clock_that_is_set_before_an_event_is_read_makes_it_neither_old_nor_long_lasting(
    step: float, hold_down: float
) -> None:
    world = World(spec(hold_down=hold_down))
    world.wait(5.0)
    joined = world.happen("node_joined", "a", turn=False)
    offline = world.happen("node_offline", "b", turn=False)
    world.clock_set += step
    world.turn()
    assert (joined in world.numbers, offline in world.numbers) == (True, not hold_down)
    world.wait(hold_down + 6.0)
    assert world.numbers == [joined, offline]
    assert world.written is not None
    assert world.written.given_up == 0
