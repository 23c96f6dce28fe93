"""The core of the Supervisor with a shell that only simulates: starting, stopping, restarts, hung children."""

from __future__ import annotations

import itertools

import pytest

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.supervision.child_spec import ChildSpec, Restart, Strategy, SupervisorFlags
from netmap_supervisor.supervision.messages import CodeOnDisk
from tests.support.machines.simulated_shell import NAMES, SimulatedShell, running

CONNECTION = "control_connection"


def test_a_program_updated_below_the_run_is_told_until_it_is_as_before() -> None:
    shell = running()

    def shown() -> list[str]:
        return [shown.code for shown in shell.core.tree.conditions.of("supervisor")]

    shell.feed(CodeOnDisk(changed=False))
    assert shown() == []
    for _ in range(2):
        shell.feed(CodeOnDisk(changed=True))
        assert shown() == ["version_mismatch"]
    [told] = shell.events("degraded", code="version_mismatch")
    assert "restart the daemon" in told["text"]
    # A child that is started meanwhile takes nothing back, and nobody is stopped for it.
    shell.end("liveness")
    shell.advance(5.0)
    assert shown() == ["version_mismatch"]
    shell.feed(CodeOnDisk(changed=False))
    assert shown() == []
    assert len(shell.events("healed", code="version_mismatch")) == 1


# Starting and stopping


@pytest.mark.parametrize("order", list(itertools.permutations(NAMES)), ids="-".join)
def test_children_start_together_and_the_tree_is_up_when_each_of_them_is_whatever_the_order(order) -> None:
    shell = SimulatedShell().start()
    assert [actor for _, actor, _ in shell.starts] == list(NAMES)
    for name in order:
        assert not shell.up
        shell.ready(name)
    assert shell.up


@pytest.mark.parametrize("victim", NAMES)
def test_a_child_that_dies_while_starting_holds_up_nobody_and_is_waited_for(victim) -> None:
    shell = SimulatedShell().start()
    shell.end(victim)
    for name in NAMES:
        if name != victim:
            shell.ready(name)
    shell.advance(5.0, auto_ready=False)
    assert [actor for _, actor, _ in shell.starts] == [*NAMES, victim]
    assert not shell.up
    shell.ready(victim)
    assert shell.up


def test_a_child_that_was_up_and_died_is_not_waited_for() -> None:
    shell = SimulatedShell().start()
    shell.ready("publisher")
    shell.end("publisher")
    for name in ("dev_control", "liveness", CONNECTION):
        shell.ready(name)
    assert shell.up


def test_a_child_that_stays_down_is_not_waited_for() -> None:
    specs = [ChildSpec(name="a", restart=Restart.TEMPORARY), ChildSpec(name=CONNECTION)]
    shell = SimulatedShell(specs=specs).start()
    shell.ready(CONNECTION)
    assert not shell.up
    shell.end("a")
    assert shell.up


def test_children_stop_in_reverse_order_each_when_the_one_before_is_gone() -> None:
    shell = running()
    shell.stop()
    for name in reversed(NAMES):
        assert shell.asked[-1] == name
        assert shell.exit is None
        shell.end(name, ExitReason.NORMAL)
    assert shell.asked == list(reversed(NAMES))
    assert shell.exit == 0
    assert shell.core.deadline() is None


def test_children_that_do_not_stop_are_killed_and_everything_is_gone_within_five_seconds() -> None:
    shell = running(specs=[ChildSpec(name=name, shutdown=1.0) for name in NAMES])
    shell.beats = False
    shell.stop()
    asked_at = shell.boottime
    shell.advance(10.0, until=lambda: shell.exit is not None)
    assert shell.boottime - asked_at <= 5.0
    assert [event["reason"] for event in shell.events("child_killed")] == ["stop_limit"] * 4


def test_a_stop_before_anything_is_up_ends_at_once() -> None:
    shell = SimulatedShell().start()
    shell.stop()
    for number, name in enumerate(reversed(NAMES), 1):
        assert shell.asked == list(reversed(NAMES))[:number], "SIGTERM, for no word reaches it yet"
        shell.end(name, signal=15)
    assert shell.sent == []
    assert shell.exit == 0


def test_nothing_is_started_while_stopping() -> None:
    shell = running()
    shell.stop()
    shell.end("publisher")
    shell.reconnect()
    for name in ("control_connection", "liveness", "dev_control"):
        shell.end(name, ExitReason.NORMAL)
    assert shell.exit == 0
    assert len(shell.starts) == 4


def test_subscribers_are_told_before_the_publisher_stops() -> None:
    shell = running()
    shell.stop()
    shell.end(CONNECTION, ExitReason.NORMAL)
    words = [(actor, word) for actor, word, _ in shell.sent]
    assert words.index(("publisher", "SessionEnded")) < len(words)
    assert ("publisher", "Stop") not in words
    shell.end("liveness", ExitReason.NORMAL)
    assert shell.sent[-1][:2] == ("publisher", "Stop")


# Restarts


@pytest.mark.parametrize("victim", NAMES)
def test_a_child_that_crashes_comes_back_alone(victim) -> None:
    shell = running()
    shell.end(victim, signal=9)
    shell.advance(1.0)
    assert [(actor, number) for _, actor, number in shell.starts[4:]] == [(victim, 2)]
    assert shell.starts[4][0] - shell.starts[0][0] <= 3600.0 + 0.25
    assert shell.events("actor_exited", actor=victim, reason="signal 9")


def test_a_spawn_that_fails_is_tried_again() -> None:
    shell = running()
    shell.spawns_fail = True
    shell.end("publisher")
    shell.advance(1.0)
    assert shell.events("actor_exited", actor="publisher", detail="no memory")
    shell.spawns_fail = False
    shell.advance(30.0, until=lambda: "publisher" in shell.processes)
    assert shell.generation("publisher") > 2


def test_f50_a_child_that_keeps_dying_goes_to_the_slow_pace_and_heals_by_itself() -> None:
    shell = running()
    end = shell.boottime + 300.0
    while shell.boottime < end:
        shell.advance(end - shell.boottime, until=lambda: "publisher" in shell.processes, auto_ready=False)
        if "publisher" in shell.processes:
            shell.end("publisher")
    starts = [at for at, actor, _ in shell.starts if actor == "publisher"][1:]
    assert max(sum(at - 60 < other <= at for other in starts) for at in starts) <= 10
    assert starts[-1] - starts[-2] == pytest.approx(60.0)
    assert shell.degraded() == ["actor_flapping"]
    assert shell.core.tree.children["publisher"].public_state.value == "error"
    shell.advance(60.0 + 26.0)
    assert shell.degraded() == []
    assert shell.events("healed", actor="publisher", code="actor_flapping")
    assert shell.core.tree.children["publisher"].public_state.value == "active"
    assert shell.exit is None


@pytest.mark.parametrize(("reason", "code"), [(ExitReason.CONFIGURATION, 78), (ExitReason.LOGIN_REFUSED, 77)])
@pytest.mark.parametrize("actor", ["publisher", CONNECTION])
def test_what_only_a_person_can_mend_ends_the_run_at_its_start(actor, reason, code) -> None:
    shell = SimulatedShell().start()
    shell.end(actor, reason)
    for name in reversed(NAMES):
        if name != actor:
            assert shell.asked[-1] == name
            shell.end(name, signal=15)
    assert shell.exit == code


def test_later_a_bad_configuration_means_the_slow_pace() -> None:
    for actor in ("publisher", CONNECTION):
        shell = running()
        shell.end(actor, ExitReason.CONFIGURATION)
        shell.advance(59.0)
        assert actor not in shell.processes
        shell.advance(2.0)
        assert actor in shell.processes
        assert shell.degraded() == ["actor_flapping"]


@pytest.mark.parametrize(
    ("strategy", "failed", "again"),
    [
        (Strategy.ONE_FOR_ONE, "b", ["b"]),
        (Strategy.REST_FOR_ONE, "b", ["b", "control_connection"]),
        (Strategy.ONE_FOR_ALL, "b", ["a", "b", "control_connection"]),
    ],
)
def test_a_strategy_stops_those_concerned_in_reverse_and_starts_them_together(
    strategy, failed, again
) -> None:
    names = ("a", "b", "control_connection")
    flags = SupervisorFlags(strategy=strategy)
    shell = SimulatedShell(specs=[ChildSpec(name=name) for name in names], flags=flags).started()
    shell.end(failed)
    for name in reversed(again):
        if name != failed:
            assert shell.asked[-1] == name
            shell.end(name, ExitReason.NORMAL)
    assert shell.asked == [name for name in reversed(again) if name != failed]
    shell.advance(1.0, auto_ready=False)
    assert [actor for _, actor, _ in shell.starts[3:]] == again


def test_temporary_and_transient_children_stay_down_as_specified() -> None:
    specs = [
        ChildSpec(name="a", restart=Restart.TEMPORARY),
        ChildSpec(name="b", restart=Restart.TRANSIENT),
        ChildSpec(name=CONNECTION),
    ]
    shell = SimulatedShell(specs=specs).started()
    shell.end("a")
    shell.end("b", ExitReason.NORMAL)
    shell.advance(60.0)
    assert len(shell.starts) == 3
    shell.stop()
    shell.end(CONNECTION, ExitReason.NORMAL)
    assert shell.exit == 0


def test_who_kept_ending_and_stays_down_is_not_said_to_be_started_again() -> None:
    shell = SimulatedShell(
        specs=[ChildSpec(name="a", restart=Restart.TRANSIENT), ChildSpec(name=CONNECTION)]
    ).started()
    for _ in range(50):
        if "actor_flapping" in shell.degraded():
            break
        shell.end("a")
        shell.advance(60.0, until=lambda: "a" in shell.processes)
    assert "actor_flapping" in shell.degraded()
    shell.advance(120.0, until=lambda: "a" in shell.processes)
    shell.end("a", ExitReason.NORMAL)
    assert shell.degraded() == []


# Hung children


def test_a_silent_child_is_killed_after_twelve_seconds_and_at_most_thirteen() -> None:
    for victim in NAMES:
        shell = running()
        silent_at = shell.boottime
        shell.word(victim, internal_pb2.Heartbeat(rss_bytes=1))
        process = shell.processes[victim]
        while not shell.events("child_killed"):
            shell._pass(0.1)
            for name in shell.processes:
                if name != victim:
                    shell.word(name, internal_pb2.Heartbeat(rss_bytes=1))
            shell.perform(shell.core.expire(shell.now))
        assert 12.0 <= shell.boottime - silent_at <= 13.0
        assert shell.events("child_killed") == [
            {"actor": victim, "pid": 100 + NAMES.index(victim) + 1, "generation": process, "reason": "hung"}
        ]


def test_a_child_that_is_not_up_in_fifteen_seconds_is_killed() -> None:
    shell = SimulatedShell().start()
    shell.advance(14.9, auto_ready=False)
    assert not shell.events("child_killed")
    shell.advance(0.2, auto_ready=False)
    assert shell.events("child_killed", reason="hung")


def test_a_supervisor_that_was_stopped_gives_every_child_a_full_new_limit() -> None:
    shell = running()
    shell.stopped_for(60.0)
    assert shell.events("supervisor_late")
    shell.advance(11.0)
    assert not shell.events("child_killed")


def test_a_stop_that_ends_just_before_a_limit_gives_a_full_new_limit_too() -> None:
    """Whole tree stopped: no heartbeats, and no limit had run out at the next look."""
    shell = running()
    shell.stopped_for(11.9)
    shell.beats = False
    shell.advance(5.0)
    assert not shell.events("child_killed")


def test_a_suspend_counts_against_nobody() -> None:
    shell = running()
    shell.answers_probes = True
    shell.suspend(3600.0)
    shell.perform(shell.core.expire(shell.now))
    shell.advance(60.0)
    assert not shell.events("child_killed")


def test_a_child_that_sigkill_does_not_end_raises_an_alarm_and_has_no_second() -> None:
    shell = running()
    shell.reaps = False
    shell.verdict()
    shell.advance(600.0)
    assert shell.degraded() == ["not_reaped"]
    assert len(shell.starts) == 4
    shell.end(CONNECTION, signal=9)
    assert shell.degraded() == []
    shell.advance(1.0)
    assert shell.generation(CONNECTION) == 2


def test_a_child_in_another_time_namespace_is_killed() -> None:
    shell = SimulatedShell().start()
    shell.word("dev_control", internal_pb2.Hello(pid=1, time_namespace="time:[4026531834]"))
    assert shell.events("foreign_time_namespace", actor="dev_control")
    assert shell.events("child_killed", actor="dev_control", reason="foreign_time_namespace")
