"""How fast and how long a webhook is told, and what it takes: outages, refusals, floods."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from netmap_actors.webhooks import delivery
from netmap_actors.webhooks.delivery import Outcome
from tests.support.machines.webhook_world import DEAD, World, spec

HOUR, DAY = 3600.0, 86_400.0


@pytest.mark.parametrize("down", [HOUR, 23 * HOUR])
def test_a_receiver_that_was_down_gets_everything_in_order_and_in_bounded_bodies(down: float) -> None:
    world = World(spec(events_per_body=20, events_per_minute=120))
    world.receiver = lambda _: (DEAD, False)
    for at in range(200):
        world.happen("node_renamed", f"n{at % 7}")
        world.wait(down / 200)
    assert world.numbers == []
    failed = world.machine.standing.failed
    assert 5 < failed < 40 + down / 60.0
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(HOUR)
    assert world.numbers == list(range(1, 201))
    assert max(len(events) for _, events in world.received) == 20
    # 120 a minute, after the first body.
    times = [at for at, events in world.received for _ in events]
    assert all(later - sooner >= 59.0 for sooner, later in zip(times, times[140:], strict=False))
    assert world.machine.figures(world.now).failures == 0


def test_what_is_older_than_retry_for_is_given_up_and_counted() -> None:
    world = World(spec(retry_for=2 * HOUR))
    world.receiver = lambda _: (DEAD, False)
    old = world.happen("node_joined", "a")
    world.wait(1.9 * HOUR)
    young = world.happen("node_joined", "b")
    world.wait(0.2 * HOUR)
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(HOUR)
    assert world.numbers == [young] != [old]
    assert (world.machine.standing.given_up, world.machine.standing.cursor) == (1, 2)


def test_the_end_of_a_state_that_was_given_up_is_not_told() -> None:
    world = World(spec(retry_for=2 * HOUR))
    world.receiver = lambda _: (DEAD, False)
    world.happen("node_offline", "a")
    world.wait(1.9 * HOUR)
    world.happen("node_online", "a")
    world.wait(0.2 * HOUR)
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(HOUR)
    assert world.numbers == []
    assert (world.machine.standing.given_up, world.machine.standing.suppressed) == (1, 1)


def test_the_age_counts_over_a_death() -> None:
    world = World(spec(retry_for=2 * HOUR))
    world.receiver = lambda _: (DEAD, False)
    world.happen("node_joined", "a")
    world.now += 3 * HOUR
    world.receiver = lambda _: (Outcome(status=200), True)
    world.begin()
    assert (world.numbers, world.machine.standing.given_up) == ([], 1)


@pytest.mark.parametrize("status", [400, 413, 422, 500])
def test_one_event_that_the_receiver_cannot_take_holds_up_no_others(status: int) -> None:
    """As when a template does not quote a name."""
    world = World(spec())

    def takes_all_but_one(send: delivery.Telling) -> tuple[Outcome, bool]:
        bad = any(one.subject == "bad" for one in send.events)
        return (Outcome(status=status), False) if bad else (Outcome(status=200), True)

    world.history_answers = False
    for at in range(100):
        world.happen("node_joined", "bad" if at == 30 else f"n{at}")
    world.receiver, world.history_answers = takes_all_but_one, True
    world.turn()
    world.wait(HOUR)
    assert len(world.numbers) == 99
    assert len(world.requests) < 60
    after = world.happen("node_joined", "c")
    world.wait(60.0)
    assert after in world.numbers
    world.wait(DAY)
    assert (world.machine.standing.given_up, world.machine.figures(world.now).pending) == (1, 0)


def test_a_body_that_cannot_be_made_is_no_request() -> None:
    world = World(spec())
    world.receiver = lambda _: (Outcome(failure="cannot render", sent=False, of_the_body=True), False)
    world.happen("node_joined", "a")
    assert (world.machine.standing.attempts, world.machine.standing.failed) == (0, 1)
    assert world.machine.figures(world.now).failure == "cannot render"


def test_retry_after_is_honoured_and_bounded() -> None:
    world = World(spec())
    asked = iter([120.0, 1e9])

    def busy(_: delivery.Telling) -> tuple[Outcome, bool]:
        wait = next(asked, None)
        return (Outcome(status=204), True) if wait is None else (Outcome(status=429, retry_after=wait), False)

    world.receiver = busy
    world.happen("node_joined", "a")
    world.wait(2 * HOUR)
    times = [at - world.requests[0][0] for at, _ in world.requests]
    assert times == [0.0, 120.0, 120.0 + 3600.0]


@pytest.mark.parametrize(
    ("body", "least"), [("tailscale", 0.2), ("slack", 1.0), ("mattermost", 1.0), ("discord", 2.0)]
)
def test_requests_keep_the_distance_their_receiver_asks_for(body: str, least: float) -> None:
    world = World(msgspec.convert({"name": "w", "url": "file:/u", "body": body}, type=type(spec())))
    for at in range(50):
        world.happen("node_joined", f"n{at}")
        world.wait(0.1)
    world.wait(60.0)
    times = [at for at, _ in world.requests]
    assert len(world.numbers) == 50
    assert min(later - sooner for sooner, later in itertools.pairwise(times)) >= least - 1e-6


def test_only_a_cursor_that_moves_is_written_seldom() -> None:
    world = World(spec(events=("node_left",)))
    written = []
    for at in range(100):
        world.happen("node_joined", f"n{at}")
        written.append(world.written)
        world.wait(1.2)
    assert len({one.cursor for one in written if one is not None}) <= 4


def test_a_flood_is_bounded_in_memory_and_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_PENDING", 200)
    world = World(spec(events_per_minute=60_000))
    world.history_answers = False
    for at in range(2000):
        world.happen("node_joined", f"n{at}")
    world.history_answers = True
    pending: list[int] = []
    receive = world.receiver

    def watched(send: delivery.Telling) -> tuple[Outcome, bool]:
        pending.append(world.machine.figures(world.now).pending)
        return receive(send)

    world.receiver = watched
    world.turn()
    world.wait(60.0)
    assert world.numbers == list(range(1, 2001))
    assert max(pending) == 200
    assert len(world.requests) == 40


def test_a_standing_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_RANGES", 10)
    world = World(spec())
    for at in range(50):
        world.happen("node_offline", f"a{at}")
        world.happen("node_joined", f"b{at}")
    world.wait(1.0)
    assert len(world.machine.standing.settled) == 10
    world.begin()
    world.wait(HOUR)
    assert sorted(world.numbers) == list(range(1, 101))


def test_of_too_many_states_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "MAX_TOLD", 3 * len('"n0",'))
    world = World(spec(hold_down=0.0))
    for at in range(5):
        world.happen("node_offline", f"n{at}")
    world.wait(10.0)
    assert world.machine.standing.told == ("n2", "n3", "n4")


def test_figures_tell_of_failures_in_a_row() -> None:
    world = World(spec())
    world.receiver = lambda _: (Outcome(status=404), False)
    world.happen("node_joined", "a")
    world.wait(100.0)
    figures = world.machine.figures(world.now)
    assert (figures.pending, figures.failing_for, figures.failure) == (1, 100.0, "status 404")
    assert figures.failures == world.machine.standing.failed == 3
    world.receiver = lambda _: (Outcome(status=200), True)
    world.wait(1000.0)
    figures = world.machine.figures(world.now)
    assert (figures.pending, figures.failing_for, figures.failures, figures.failure) == (0, 0.0, 0, "")
