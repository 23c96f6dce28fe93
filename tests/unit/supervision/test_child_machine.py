from __future__ import annotations

import itertools

import pytest

from netmap_supervisor.supervision.child_machine import (
    ALIVE,
    LIMIT_TO_REAP,
    TABLE,
    Action,
    ActorState,
    ChildEvent,
    ChildMachine,
    ChildState,
)
from netmap_supervisor.supervision.child_spec import ChildSpec

SPEC = ChildSpec(name="actor", shutdown=2.0, start_limit=15.0, heartbeat_limit=12.0)


def machine(*events: ChildEvent, at: float = 100.0) -> ChildMachine:
    made = ChildMachine(SPEC)
    for event in events:
        made.receive(event, boottime=at + 1000.0, monotonic=at)
    return made


RUNNING = (ChildEvent.START, ChildEvent.READY)


def test_every_state_answers_every_event() -> None:
    assert set(TABLE) == set(ChildState)
    for state in ChildState:
        assert set(TABLE[state]) == set(ChildEvent), state


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ChildState, ChildEvent)))
def test_a_process_comes_only_by_spawn_and_goes_only_by_its_end(state, event) -> None:
    action, after = TABLE[state][event]
    if action is Action.SPAWN:
        assert state not in ALIVE, "never a second process before the first was reaped"
    assert (after in ALIVE and state not in ALIVE) == (action is Action.SPAWN)
    assert (state in ALIVE and after not in ALIVE) == (event is ChildEvent.EXITED and state in ALIVE)
    assert (action is Action.REPORT_EXIT) == (event is ChildEvent.EXITED and state in ALIVE)


@pytest.mark.parametrize("event", [event for event in ChildEvent if event is not ChildEvent.EXITED])
def test_nothing_but_its_end_leads_out_of_killed(event) -> None:
    assert TABLE[ChildState.KILLED][event][1] is ChildState.KILLED


def test_each_process_has_its_number() -> None:
    child = machine(*RUNNING, ChildEvent.EXITED, ChildEvent.START)
    assert child.generation == 2


def test_a_start_has_its_limit_and_ready_replaces_it_by_the_heartbeats() -> None:
    assert machine(ChildEvent.START).limit_at == 115.0
    child = machine(*RUNNING)
    assert child.limit_at == 112.0
    child.heartbeat(7, 105.0)
    assert (child.limit_at, child.rss_bytes) == (117.0, 7)


def test_a_heartbeat_does_not_prolong_a_start_or_a_stop() -> None:
    for events in ((ChildEvent.START,), (*RUNNING, ChildEvent.STOP), (*RUNNING, ChildEvent.KILL)):
        child = machine(*events)
        before = child.limit_at
        child.heartbeat(1, 110.0)
        assert child.limit_at == before


def test_f49_a_stop_has_its_limit_then_sigkill_then_an_alarm_and_never_a_second_process() -> None:
    child = machine(*RUNNING)
    assert child.receive(ChildEvent.STOP, boottime=0, monotonic=200.0) is Action.ASK_TO_STOP
    assert child.limit_at == 202.0
    assert child.receive(ChildEvent.LIMIT, boottime=0, monotonic=202.0) is Action.KILL
    assert child.limit_at == 202.0 + LIMIT_TO_REAP
    assert child.receive(ChildEvent.LIMIT, boottime=0, monotonic=207.0) is Action.ALARM
    assert (child.limit_at, child.public_state) == (None, ActorState.ERROR)
    assert child.receive(ChildEvent.START, boottime=0, monotonic=208.0) is Action.NOTHING
    assert child.receive(ChildEvent.EXITED, boottime=0, monotonic=209.0) is Action.REPORT_EXIT
    assert child.public_state is ActorState.INACTIVE


def test_a_supervisor_that_was_late_gives_a_full_limit() -> None:
    child = machine(*RUNNING)
    child.full_limit(500.0)
    assert child.limit_at == 512.0
    child = machine(ChildEvent.START)
    child.full_limit(500.0)
    assert child.limit_at == 515.0
    child = machine(*RUNNING, ChildEvent.KILL)
    child.full_limit(500.0)
    assert child.limit_at == 105.0


@pytest.mark.parametrize(
    ("events", "shown"),
    [
        ((), ActorState.INACTIVE),
        ((ChildEvent.SCHEDULE,), ActorState.BACKOFF),
        ((ChildEvent.START,), ActorState.ACTIVE),
        (RUNNING, ActorState.ACTIVE),
        ((*RUNNING, ChildEvent.STOP), ActorState.ACTIVE),
    ],
)
def test_operators_see_four_states(events, shown) -> None:
    assert machine(*events).public_state is shown


def test_a_child_that_keeps_dying_is_shown_as_an_error_whatever_it_is_doing() -> None:
    for events in ((ChildEvent.SCHEDULE,), (ChildEvent.START,), RUNNING):
        child = machine(*events)
        child.flapping = True
        assert child.public_state is ActorState.ERROR


def test_how_long_it_was_up_is_counted_from_ready() -> None:
    assert machine(ChildEvent.START).up_for(2000.0) is None
    assert machine(*RUNNING).up_for(1130.0) == 30.0
