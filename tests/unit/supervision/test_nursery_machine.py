"""When there is a nursery: after each end another one, never two, never at once again and again."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.supervision.nursery_machine import (
    FIRST_PAUSE,
    HEALTHY,
    LOAD_LIMIT,
    LONGEST_PAUSE,
    SLOW_LOAD_LIMIT,
    START_PATIENCE,
    NurseryAction,
    NurseryMachine,
    NurseryState,
)


def loaded(now: float) -> NurseryMachine:
    machine = NurseryMachine(wanted=True)
    machine.started(now)
    machine.loaded()
    return machine


def test_one_that_is_not_wanted_is_never_due_and_nobody_waits() -> None:
    machine = NurseryMachine(wanted=False)
    machine.began(0.0)
    assert machine.settled(0.0)
    assert machine.deadline() is None
    assert machine.expire(1e9) is None
    machine.ended(5.0)
    assert machine.state is NurseryState.OFF


def test_the_first_children_wait_for_the_first_one_and_not_for_long() -> None:
    machine = NurseryMachine(wanted=True)
    machine.began(10.0)
    assert machine.expire(10.0) is NurseryAction.START
    machine.started(10.0)
    assert not machine.settled(10.0 + START_PATIENCE - 0.1)
    assert machine.deadline() == 10.0 + START_PATIENCE
    assert machine.settled(10.0 + START_PATIENCE)
    assert machine.deadline() == 10.0 + LOAD_LIMIT


def test_they_wait_no_longer_once_it_is_loaded_or_has_ended() -> None:
    for happens in (NurseryMachine.loaded, lambda machine: machine.ended(11.0)):
        machine = NurseryMachine(wanted=True)
        machine.began(10.0)
        machine.started(10.0)
        assert not machine.settled(11.0)
        happens(machine)
        assert machine.settled(11.0)
        assert machine.settled(11.0), "and are not asked to wait again"


def test_one_that_does_not_load_is_killed_once() -> None:
    machine = NurseryMachine(wanted=True)
    machine.started(0.0)
    assert machine.expire(LOAD_LIMIT - 0.1) is None
    assert machine.expire(LOAD_LIMIT) is NurseryAction.KILL
    machine.given_up(LOAD_LIMIT)
    assert machine.deadline() is None, "its end is waited for"
    assert machine.expire(LOAD_LIMIT + 100.0) is None
    machine.loaded()
    assert not machine.ready, "it says so too late"
    machine.ended(LOAD_LIMIT + 1.0)
    assert machine.deadline() == LOAD_LIMIT + 1.0 + FIRST_PAUSE


def test_one_that_was_too_slow_is_followed_by_one_that_may_take_twice_as_long() -> None:
    machine, now, limits = NurseryMachine(wanted=True), 0.0, []
    for _ in range(7):
        machine.started(now)
        due = machine.deadline()
        assert due is not None
        limits.append(due - now)
        machine.given_up(due)
        machine.ended(due)
        now = machine.deadline() or 0.0
    assert limits == [30.0, 60.0, 120.0, 240.0, 480.0, 480.0, 480.0]
    assert limits[0] == LOAD_LIMIT
    assert limits[-1] == SLOW_LOAD_LIMIT


def test_each_that_ends_soon_doubles_the_pause_up_to_a_limit() -> None:
    machine, now, pauses = NurseryMachine(wanted=True), 0.0, []
    for _ in range(9):
        machine.started(now)
        machine.loaded()
        machine.ended(now)
        due = machine.deadline()
        assert due is not None
        pauses.append(due - now)
        assert machine.expire(due) is NurseryAction.START
        now = due
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    assert max(pauses) == LONGEST_PAUSE


def test_one_that_lived_long_is_followed_as_the_first_was() -> None:
    machine, now = NurseryMachine(wanted=True), 0.0
    for _ in range(5):
        machine.started(now)
        machine.ended(now)
    machine.started(now)
    machine.loaded()
    machine.ended(now + HEALTHY)
    assert machine.deadline() == now + HEALTHY + FIRST_PAUSE


def test_after_the_end_of_the_run_there_is_none() -> None:
    machine = loaded(0.0)
    machine.stop()
    machine.ended(1.0)
    assert machine.deadline() is None
    assert machine.expire(1e9) is None
    assert machine.settled(1.0)


EVENTS = st.sampled_from(["loaded", "ended", "given_up", "pass", "cannot_start"])


@given(st.booleans(), st.lists(st.tuples(EVENTS, st.floats(0.0, 100.0)), max_size=60))
def test_never_two_never_busy_and_nobody_waits_beyond_the_patience(
    first: bool, events: list[tuple[str, float]]
) -> None:
    """As `daemon.nursery` drives it: each START starts, each kill ends. `first`: one was forked before."""
    machine, now = NurseryMachine(wanted=True), 1000.0
    alive, dying, starts = False, False, []
    if first:
        machine.started(now)
        alive = True
    machine.began(now)
    began = now
    for event, seconds in events:
        now += seconds
        if event == "loaded" and alive:
            machine.loaded()
        elif event == "ended" and alive:
            machine.ended(now)
            alive = dying = False
        elif event == "given_up" and machine.ready:
            machine.given_up(now)
            dying = True
        match machine.expire(now):
            case NurseryAction.START:
                assert not alive, "there are never two"
                starts.append(now)
                if event == "cannot_start":
                    machine.ended(now)
                else:
                    machine.started(now)
                    alive = True
            case NurseryAction.KILL:
                assert alive
                assert not dying, "killed once"
                machine.given_up(now)
                dying = True
        settled = machine.settled(now)
        assert settled or now < began + START_PATIENCE
        due = machine.deadline()
        assert due is None or due > now, "the loop would turn for nothing"
        assert due is not None or machine.ready or dying, "nothing would ever happen again"
        assert not (machine.ready and dying)
    assert all(later - earlier >= FIRST_PAUSE for earlier, later in itertools.pairwise(starts))
