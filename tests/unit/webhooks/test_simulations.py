"""Whole lives of a webhook in simulated time: receivers that fail, processes that die, histories that hang."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netmap_actors.webhooks.delivery import Outcome, Telling
from tests.support.machines.webhook_world import World, lane_of, spec

HOLD = 60.0
NODES = ("a", "b", "c")
ENDS = {"node_online": "node_offline", "netmap_fresh": "netmap_stale"}

happenings = st.one_of(
    st.tuples(
        st.sampled_from(
            ["node_offline", "node_online", "node_offline", "node_online", "node_renamed", "node_left"]
        ),
        st.sampled_from(NODES),
    ),
    st.tuples(st.sampled_from(["netmap_stale", "netmap_fresh", "login_needed"]), st.just("")),
)
outcomes = st.sampled_from(
    [
        (Outcome(status=200), True),
        (Outcome(status=204), True),
        (Outcome(failure="timeout"), True),
        (Outcome(failure="timeout"), False),
        (Outcome(status=500), True),
        (Outcome(status=400), False),
        (Outcome(status=503, retry_after=20.0), False),
        (Outcome(status=429, retry_after=5.0), False),
        (Outcome(status=404), False),
        (Outcome(status=302), False),
        (Outcome(status=410), False),
        (Outcome(failure="cannot render", sent=False, of_the_body=True), False),
    ]
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("happen"), happenings),
        st.tuples(st.just("happen"), happenings),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 20.0, 59.0, 61.0, 400.0, 3600.0])),
        st.tuples(st.just("receiver"), outcomes),
        st.tuples(st.just("die"), st.sampled_from([None, "write", "written", "done"])),
        st.tuples(st.just("history"), st.booleans()),
    ),
    max_size=40,
)


class Life:
    """Runs steps, then lets all come to rest, and holds what was told against what happened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hung = False
        """The history did not answer at some time: short states may have been told, too."""

    def run(self, course: list[tuple[str, object]]) -> None:
        world = self.world
        for step, value in course:
            match step, value:
                case "happen", (str(kind), str(subject)):
                    world.happen(kind, subject)
                case "wait", float(seconds):
                    world.wait(seconds)
                case "receiver", (Outcome() as outcome, bool(taken)):
                    world.receiver = lambda _, outcome=outcome, taken=taken: (outcome, taken)
                case "die", None:
                    world.begin()
                case "die", str(before):
                    world.dies_before = before
                case "history", bool(answers):
                    world.history_answers = answers
                    self.hung |= not answers
            assert world.machine.figures(world.now).pending <= len(world.rows)
        world.history_answers, world.dies_before = True, None
        world.receiver = lambda _: (Outcome(status=200), True)
        world.turn()
        world.wait(3 * 3600.0)

    def check(self) -> None:
        world, numbers = self.world, set(self.world.numbers)
        by_number = {one.number: one.id for _, events in world.received for one in events}
        assert len(by_number) == len({one.id for _, events in world.received for one in events}), (
            "one id each"
        )
        for told in world.lanes().values():
            assert told == sorted(told), "the order of a node"
        open_states: dict[str, list[int]] = {}
        for number, one in world.rows.items():
            kind, lane = str(one.kind), one.subject or lane_of(one.kind)
            begun = open_states.setdefault(lane, [])
            if kind in ENDS.values():
                begun.append(number)
                continue
            if kind in ENDS or kind == "node_left":
                long = {at for at in begun if one.at - world.rows[at].at >= HOLD}
                told = numbers & set(begun)
                assert told >= long, "a long state is told"
                assert self.hung or told == long, "a short state is not told"
                begun.clear()
                if kind in ENDS:
                    assert (number in numbers) is bool(told), (
                        "an end is told if and only if its beginning was"
                    )
                    continue
            assert number in numbers, "what happened is told"
        assert numbers >= set[int]().union(*open_states.values()), "a state that lasts is told"
        standing = world.machine.standing
        assert (standing.cursor, standing.settled, standing.begun) == (world.last, (), ())
        assert standing.given_up == standing.lost == 0


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(course=steps, most=st.sampled_from([1, 2, 50]), jitter=st.sampled_from([0.0, 0.3, 0.999]))
def test_everything_is_told_whatever_happens_while_the_receiver_lives_in_the_end(
    course: list[tuple[str, object]], most: int, jitter: float
) -> None:
    life = Life(World(spec(hold_down=HOLD, events_per_body=most), lambda: jitter))
    life.run(course)
    life.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_long_life_with_many_deaths(seed: int) -> None:
    draw = random.Random(seed)
    world = World(spec(hold_down=HOLD, events_per_body=7), draw.random)
    course: list[tuple[str, object]] = []
    for _ in range(600):
        kind = draw.choice(["node_offline", "node_online", "node_renamed", "netmap_stale", "netmap_fresh"])
        course += [
            ("happen", (kind, draw.choice(NODES) if kind.startswith("node") else "")),
            ("wait", draw.choice([0.1, 5.0, 70.0])),
            ("die", draw.choice([None, "write", "written", "done"])),
        ]
    calm = random.Random(seed)

    def moody(_: Telling) -> tuple[Outcome, bool]:
        return calm.choice([(Outcome(status=200), True), (Outcome(failure="timeout"), calm.random() < 0.5)])

    world.receiver = moody
    life = Life(world)
    life.run(course)
    life.check()


@settings(max_examples=100, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([1.0, 600.0, 7200.0, 20_000.0]), min_size=1, max_size=30),
    outage=st.floats(0.0, 200_000.0),
)
def test_what_is_young_enough_is_told_after_an_outage_and_the_rest_is_counted(
    gaps: list[float], outage: float
) -> None:
    world = World(spec(retry_for=36_000.0))
    end = world.now + outage
    world.receiver = lambda _: (Outcome(status=200), True) if world.now >= end else (Outcome(), False)
    times = {}
    for gap in gaps:
        times[world.happen("node_joined", f"n{len(times)}")] = world.now
        world.wait(gap)
    world.wait(100_000.0 + max(0.0, end - world.now))
    # The longest wait between attempts decides what is between.
    young = {number for number, at in times.items() if end - at < 36_000.0 - 302.0}
    old = {number for number, at in times.items() if end - at >= 36_000.0}
    told = set(world.numbers)
    assert young <= told
    assert not old & told
    assert world.machine.standing.given_up == len(times) - len(told)


@settings(max_examples=100, deadline=None)
@given(
    course=st.lists(
        st.sampled_from(["happen", "held", "die", "prune", "hang", "answer", "wait"]), max_size=40
    )
)
def test_what_is_neither_told_nor_held_down_was_dropped_by_the_history_and_counted(course: list[str]) -> None:
    world = World(spec())
    all_rows = {}
    for step in course:
        match step:
            case "happen" | "held":
                number = world.happen("node_joined" if step == "happen" else "node_offline", f"n{world.last}")
                all_rows[number] = world.rows[number]
            case "die":
                world.begin()
            case "prune":
                world.prune(world.last - 2)
            case "hang" | "answer":
                world.history_answers = step == "answer"
                world.turn()
            case "wait":
                world.wait(100.0)
    world.history_answers = True
    world.turn()
    world.wait(3600.0)
    missing = set(all_rows) - set(world.numbers)
    assert all(number <= world.dropped for number in missing)
    # Deaths may count the same ids again, but for none there is no count.
    assert world.machine.standing.lost >= len(missing)
    assert world.machine.standing.cursor == world.last
