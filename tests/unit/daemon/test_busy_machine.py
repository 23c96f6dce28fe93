"""Children on a machine without time: who waits for a processor is not hung, who loops for ever is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.wire import internal_pb2
from netmap_supervisor.supervision.child_machine import ChildEvent, ChildMachine
from netmap_supervisor.supervision.child_spec import ChildSpec
from netmap_supervisor.supervision.messages import Waited
from netmap_supervisor.system.run_queue import RunQueue
from tests.support.machines.simulated_shell import NAMES, SimulatedShell, running

SPEC = ChildSpec(name="actor")
HEARD_AT = 100.0


def sample(state: str = "S", ran: int = 0, waited: int = 0) -> tuple[bytes, bytes]:
    """/proc/PID/stat and schedstat, with a program name as unpleasant as it can be; nanoseconds."""
    return f"77 (a) R (b) {state} 1 77".encode(), f"{ran} {waited} 5\n".encode()


def machine(*events: ChildEvent, at: float = HEARD_AT) -> ChildMachine:
    made = ChildMachine(SPEC)
    for event in events:
        made.receive(event, boottime=at + 1000.0, monotonic=at)
    return made


def starve(shell: SimulatedShell, seconds: float, share: float, victims: tuple[str, ...] = NAMES) -> None:
    """Let time pass while the victims wait for a processor for that share of it, and do not come to beat."""
    shell.silent |= set(victims)
    end, waited = shell.boottime + seconds, 0.0
    while shell.boottime < end:
        shell.advance(min(1.0, end - shell.boottime), auto_ready=False)
        waited += share
        shell.feed(Waited(dict.fromkeys(victims, waited)))


def test_the_time_a_child_waited_for_a_processor_is_not_held_against_it() -> None:
    child = machine(ChildEvent.START, ChildEvent.READY)
    assert child.limit_at == HEARD_AT + 12.0
    child.waited_for_processor(20.0)
    assert child.limit_at == HEARD_AT + 12.0 + 20.0
    child.waited_for_processor(1e9)
    assert child.limit_at == HEARD_AT + 60.0
    child.heartbeat(1, HEARD_AT + 50.0)
    assert child.limit_at == HEARD_AT + 50.0 + 12.0, "what it waited before it was heard of is settled"


@given(st.lists(st.floats(0.0, 500.0), max_size=8))
def test_no_wait_makes_a_limit_shorter_than_twelve_seconds_or_longer_than_sixty(waits) -> None:
    child = machine(ChildEvent.START, ChildEvent.READY)
    for waited in waits:
        before = child.limit_at
        child.waited_for_processor(waited)
        assert HEARD_AT + 12.0 <= before <= child.limit_at <= HEARD_AT + 60.0, "a counter never runs back"


def test_a_stop_is_not_prolonged_for_want_of_a_processor() -> None:
    child = machine(ChildEvent.START, ChildEvent.READY, ChildEvent.STOP)
    before = child.limit_at
    child.waited_for_processor(30.0)
    assert child.limit_at == before, "everything is gone within five seconds"


def test_the_time_to_start_grows_with_each_try_and_what_was_learnt_is_kept() -> None:
    child = ChildMachine(SPEC)
    limits = []
    for _ in range(6):
        child.receive(ChildEvent.START, boottime=0.0, monotonic=HEARD_AT)
        limits.append(child.limit_at - HEARD_AT)
        child.receive(ChildEvent.LIMIT, boottime=0.0, monotonic=child.limit_at)
        child.receive(ChildEvent.EXITED, boottime=0.0, monotonic=HEARD_AT)
    assert limits == [15.0, 30.0, 60.0, 120.0, 120.0, 120.0]
    for took, following in ((100.0, 120.0), (1.0, 15.0)):
        child.receive(ChildEvent.START, boottime=0.0, monotonic=HEARD_AT)
        child.receive(ChildEvent.READY, boottime=0.0, monotonic=HEARD_AT + took)
        child.receive(ChildEvent.EXITED, boottime=0.0, monotonic=HEARD_AT)
        child.receive(ChildEvent.START, boottime=0.0, monotonic=HEARD_AT)
        assert child.limit_at == HEARD_AT + following, f"after a start that took {took} s"
        child.receive(ChildEvent.EXITED, boottime=0.0, monotonic=HEARD_AT)


def test_the_time_to_start_grows_with_the_time_it_waited_for_a_processor() -> None:
    child = machine(ChildEvent.START)
    child.waited_for_processor(40.0)
    assert child.limit_at == HEARD_AT + 15.0 + 40.0
    child.waited_for_processor(1e9)
    assert child.limit_at == HEARD_AT + 300.0


def test_starved_children_are_left_alone_and_one_that_is_heard_of_again_has_its_full_limit() -> None:
    shell = running()
    starve(shell, 45.0, 0.97)
    assert shell.kills == []
    shell.silent.clear()
    shell.advance(30.0)
    assert shell.kills == []


def test_an_endless_loop_is_found_within_thirteen_seconds_whoever_else_is_starved() -> None:
    shell = running()
    beat_at = shell.boottime // 5.0 * 5.0
    starve(shell, 13.0 - (shell.boottime - beat_at), 0.0, ("publisher",))
    assert [(actor, why) for actor, _, why in shell.kills] == [("publisher", "hung")]


def test_a_child_that_is_starved_for_a_minute_is_killed_all_the_same() -> None:
    shell = running()
    starve(shell, 66.0, 1.0, ("publisher",))
    assert [(actor, why) for actor, _, why in shell.kills] == [("publisher", "hung")]


@pytest.mark.parametrize("slices", [0, 7])
def test_a_publisher_that_works_on_a_long_map_is_not_taken_for_one_that_takes_nothing(slices) -> None:
    shell = running()
    for beat in range(1, 3):
        shell.word("publisher", internal_pb2.Heartbeat(rss_bytes=1, counters={"slices": 3 + beat * slices}))
    shell.verdict("publisher_paused")
    assert [why for _, _, why in shell.kills] == ([] if slices else ["publisher_paused"])
    shell.beat()
    shell.verdict("publisher_paused")
    assert [why for _, _, why in shell.kills] == ["publisher_paused"]


def test_a_machine_on_which_a_start_takes_most_of_a_minute_comes_up() -> None:
    shell = SimulatedShell().start()
    for name in NAMES:
        spawned = [at for at, actor, _ in shell.starts if actor == name][-1]
        while shell.core.tree.children[name].state.value != "running" and shell.boottime < spawned + 400.0:
            started = shell.core.tree.children[name].started_at
            shell.advance(1.0, auto_ready=False)
            if name in shell.processes and shell.boottime - started > 50.0:
                shell.ready(name)
    assert shell.up
    assert len(shell.kills) <= 2 * len(NAMES), "each of them needs two tries to learn it"


@pytest.mark.parametrize("slept", [3.0, 60.0, 86_400.0])
def test_a_sleep_is_no_lateness(slept) -> None:
    shell = running()
    # Just before a look at the children: what they said before the sleep is almost used up.
    shell.advance(4.0)
    shell.suspend(slept)
    shell.perform(shell.core.expire(shell.now))
    assert shell.events("supervisor_late") == []
    assert shell.kills == []


def test_a_supervisor_that_was_stopped_is_late_by_the_time_it_did_not_sleep() -> None:
    shell = running()
    shell.suspend(600.0)
    shell.stopped_for(20.0)
    late = shell.events("supervisor_late")
    assert len(late) == 1
    assert 14.0 < late[0]["late_s"] <= 20.0


def test_children_have_a_full_limit_after_a_sleep_and_after_a_stop() -> None:
    for pause in (SimulatedShell.suspend, SimulatedShell.stopped_for):
        shell = running()
        shell.beats = False
        shell.advance(11.0)
        assert shell.kills == []
        pause(shell, 700.0)
        shell.perform(shell.core.expire(shell.now))
        gone_on = shell.monotonic
        assert shell.kills == []
        for child in shell.core.tree.children.values():
            assert child.limit_at is not None
            assert child.limit_at >= gone_on + child.spec.heartbeat_limit, pause.__name__
        shell.word("publisher", internal_pb2.Heartbeat(rss_bytes=1))


def test_a_wait_for_a_processor_counts_while_it_lasts_and_not_twice() -> None:
    queue = RunQueue()
    assert queue.waited(*sample("S", 10, 0), 100.0) == 0.0
    assert queue.waited(*sample("R", 10, 0), 105.0) == 0.0, "it may have become ready just now"
    assert queue.waited(*sample("R", 10, 0), 110.0) == 5.0, "the kernel adds a wait up when it is over"
    assert queue.waited(*sample("R", 10, 0), 140.0) == 35.0
    assert queue.waited(*sample("R", 20, 36_000_000_000), 141.0) == 36.0
    assert queue.waited(*sample("S", 20, 36_000_000_000), 150.0) == 36.0


@pytest.mark.parametrize("state", ["T", "t", "D", "S", "Z"])
def test_who_is_stopped_or_blocked_waits_for_no_processor(state) -> None:
    queue = RunQueue()
    for second in range(100):
        assert queue.waited(*sample(state, 10, 7_000_000_000), second * 5.0) == 7.0


def test_an_endless_loop_waits_for_no_processor() -> None:
    queue = RunQueue()
    for second in range(100):
        assert queue.waited(*sample("R", second * 10**9, 0), float(second)) == 0.0


@pytest.mark.parametrize(
    ("stat", "schedstat"),
    [(b"", b""), (b"77 (x) R", b"0 0 0\n"), (b"77 (x) R 1", b"many"), (b"77 (x) R 1", b"1")],
)
def test_a_kernel_that_does_not_count_waits_changes_nothing(stat, schedstat) -> None:
    """CONFIG_SCHED_INFO may be off: three zeros. Other systems have no such file."""
    queue = RunQueue()
    for second in range(10):
        assert queue.waited(stat, schedstat, second * 5.0) == 0.0
