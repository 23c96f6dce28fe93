"""OTP's matrix as this product has it: restart type × way to end × strategy, and the pace of what keeps ending.

Every cell has its test in one of these places:

| what                                                         | where                                             |
| ------------------------------------------------------------ | ------------------------------------------------- |
| restart type × way to end × strategy × place in the tree     | here, `test_a_cell_of_the_matrix`                 |
| restart type of the siblings × strategy                      | here, `test_which_siblings_come_back`             |
| restart type × exit reason, the decision alone               | `test_restart_policy.py`                          |
| give up: never up, and up before                             | here, `test_restart_policy.py`, `test_core.py`    |
| who shares whose fate, orders of start and stop              | `test_strategy.py`, `test_core.py`                |
| child state × event                                          | `test_child_machine.py`, every pair               |
| specifications and flags that cannot work                    | `test_child_spec.py`                              |
| intensity, backoff, slow pace, for any flags                 | here, `test_the_pace_of_what_keeps_ending`        |
| `degraded` shown, and healed by itself                       | `test_core.py`, `test_core_histories.py`          |
| delays of the connection for each reason it ended for        | `tests/unit/connection/test_schedule.py`          |
| the connection's backoff: its cap, and what resets it        | here, `test_the_pace_of_connections`              |
| silence, removed, expired, operator; wake and link           | `test_core_connection.py`, `test_core_suspicion.py` |
| hung                                                         | `test_core.py`                                    |
| at most one process, no early kill, a next action, bounded starts: over random histories | `test_core_histories.py` |
| when silence is declared, for any order of reports           | `tests/unit/liveness/test_detector.py`            |
| the same with real processes                                 | `tests/system/test_crash_isolation.py`            |
"""

from __future__ import annotations

import dataclasses
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.exit_reason import GIVE_UP, ExitReason, status_of
from netmap_actors.wire import internal_pb2
from netmap_actors.wire.vocabulary import EndReason
from netmap_supervisor.connection.schedule import (
    GOOD_SESSION,
    MAX_HONOURED_RETRY_AFTER,
    ConnectionSchedule,
)
from netmap_supervisor.supervision.child_machine import ChildState
from netmap_supervisor.supervision.child_spec import ChildSpec, Restart, Strategy, SupervisorFlags
from netmap_supervisor.supervision.messages import Exited
from netmap_supervisor.supervision.restart_policy import (
    RESTARTED,
    History,
    Leave,
    RestartAfter,
    backoff,
    decide,
)
from tests.support.machines.simulated_shell import SimulatedShell

NAMES = ("a", "b", "c", "control_connection")
PLACES = {"first": "a", "middle": "b", "last of those before the connection": "c"}


@dataclasses.dataclass(frozen=True)
class End:
    """One way a process can end."""

    reason: ExitReason
    """What a supervisor makes of it."""
    status: int | None = None
    signal: int | None = None
    killed: str = ""
    """By us, for this; empty: it ends by itself."""


ENDS = {
    **{reason.value: End(reason, status_of(reason)) for reason in ExitReason},
    "a status nobody knows": End(ExitReason.CRASHED, 3),
    "SIGKILL": End(ExitReason.CRASHED, None, 9),
    "SIGSEGV": End(ExitReason.CRASHED, None, 11),
    "SIGTERM": End(ExitReason.CRASHED, None, 15),
    "hung": End(ExitReason.CRASHED, killed="hung"),
    "never ready": End(ExitReason.CRASHED, killed="never ready"),
    "another time namespace": End(ExitReason.CRASHED, killed="foreign_time_namespace"),
    "cannot be spawned": End(ExitReason.CRASHED, killed="spawn"),
}


def tree(strategy: Strategy, **types: Restart) -> SimulatedShell:
    specs = [ChildSpec(name=name, restart=types.get(name, Restart.PERMANENT)) for name in NAMES]
    shell = SimulatedShell(specs=specs, flags=SupervisorFlags(strategy=strategy)).started()
    shell.obedient = True
    # The next tick is not to fall into what follows.
    shell.advance(7.0)
    return shell


def bring_about(shell: SimulatedShell, victim: str, end: End) -> int:
    """Let it end so; the number of its process that did."""
    match end.killed:
        case "":
            generation = shell.processes.pop(victim)
            shell.feed(Exited(victim, generation, end.status, end.signal))
            return generation
        case "hung":
            shell.silent.add(victim)
            shell.advance(20.0, until=lambda: bool(shell.kills))
            shell.silent.clear()
        case "foreign_time_namespace":
            shell.word(victim, internal_pb2.Hello(pid=1, time_namespace="another"))
        case "never ready" | "spawn":
            # An end brings about a start, and that is the one that fails.
            if end.killed == "spawn":
                shell.unspawnable.add(victim)
            shell.end(victim)

            def failed() -> bool:
                for name in set(shell.processes) - {victim}:
                    if shell.core.tree.children[name].state is ChildState.STARTING:
                        shell.ready(name)
                return bool(shell.kills) or bool(
                    shell.events("actor_exited", actor=victim, detail="no memory")
                )

            shell.advance(20.0, until=failed, auto_ready=False)
            shell.unspawnable.clear()
            return 2
    return 1


def affected(strategy: Strategy, victim: str) -> list[str]:
    place = NAMES.index(victim)
    match strategy:
        case Strategy.ONE_FOR_ONE:
            return [victim]
        case Strategy.REST_FOR_ONE:
            return list(NAMES[place:])
        case Strategy.ONE_FOR_ALL:
            return list(NAMES)


CELLS = [
    pytest.param(restart, end, id=f"{restart.value}-{name}")
    for (name, end), restart in itertools.product(ENDS.items(), Restart)
    # A temporary one has no second start that could fail.
    if restart is not Restart.TEMPORARY or end.killed not in {"never ready", "spawn"}
]


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(("restart", "end"), CELLS)
@pytest.mark.parametrize("victim", PLACES.values(), ids=PLACES)
def test_a_cell_of_the_matrix(restart: Restart, end: End, strategy: Strategy, victim: str) -> None:
    shell = tree(strategy, **{victim: restart})
    started = len(shell.starts)
    last = bring_about(shell, victim, end)
    shell.advance(130.0)

    comes_back = RESTARTED[restart, end.reason is not ExitReason.NORMAL]
    again = affected(strategy, victim) if comes_back else []
    assert set(shell.processes) == set(NAMES) - ({victim} if not comes_back else set())
    if last == 1:
        # In order, each once, and no other.
        assert [actor for _, actor, _ in shell.starts[started:]] == again
        assert shell.asked == [name for name in reversed(again) if name != victim]
    assert (shell.generation(victim) > last) == comes_back
    for name in set(NAMES) - set(affected(strategy, victim)):
        assert shell.generation(name) == 1, "a stranger to it was restarted"
    assert [actor for actor, _, _ in shell.kills] == ([victim] if end.killed not in {"", "spawn"} else [])
    assert shell.exit is None
    assert not shell.core.tree.stopping
    # What refuses its configuration goes to the slow pace, which heals as well.
    slow = end.reason in GIVE_UP and comes_back
    assert bool(shell.events("degraded", actor=victim, code="actor_flapping")) == slow
    assert shell.degraded() == []


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("reason", sorted(GIVE_UP, key=lambda reason: reason.value))
def test_what_was_never_up_and_gives_up_ends_the_run_whatever_its_type(restart, strategy, reason) -> None:
    specs = [ChildSpec(name=name, restart=restart if name == "b" else Restart.PERMANENT) for name in NAMES]
    shell = SimulatedShell(specs=specs, flags=SupervisorFlags(strategy=strategy)).start()
    shell.obedient = True
    shell.ready("a")
    shell.end("b", reason)
    shell.advance(5.0, until=lambda: shell.exit is not None)
    assert shell.exit == status_of(reason)


@pytest.mark.parametrize("strategy", [Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ALL])
@pytest.mark.parametrize(("first", "last"), list(itertools.product(Restart, repeat=2)))
def test_which_siblings_come_back(strategy: Strategy, first: Restart, last: Restart) -> None:
    """A sibling that is stopped for another's sake was asked to: only a temporary one is gone for good."""
    shell = tree(strategy, a=first, c=last)
    shell.end("b")
    shell.advance(30.0)
    taken = {"b", "c", "control_connection"} | ({"a"} if strategy is Strategy.ONE_FOR_ALL else set())
    types = {"a": first, "c": last}
    gone = {name for name in taken if types.get(name) is Restart.TEMPORARY}
    assert set(shell.processes) == set(NAMES) - gone
    assert {name for name in NAMES if shell.generation(name) == 2} == taken - gone


@pytest.mark.parametrize("strategy", Strategy)
def test_what_stays_down_is_no_reason_to_restart_others(strategy: Strategy) -> None:
    shell = tree(strategy, a=Restart.TEMPORARY, b=Restart.TRANSIENT)
    shell.end("a")
    shell.end("b", ExitReason.NORMAL)
    shell.advance(60.0)
    assert [shell.generation(name) for name in NAMES] == [1, 1, 1, 1]


# Pace

jitters = st.floats(0, 1, exclude_max=True)
all_flags = st.builds(
    lambda intensity, period, failures, healthy, slower: SupervisorFlags(
        intensity=intensity, period=period, failures=failures, healthy=healthy, slow_pace=period + slower
    ),
    st.integers(0, 12),
    st.floats(0.5, 120.0),
    st.integers(0, 8),
    st.floats(0.5, 60.0),
    st.floats(0.0, 60.0),
)
lives = st.lists(
    st.tuples(
        st.sampled_from([ExitReason.CRASHED, ExitReason.ERROR, ExitReason.CONFIGURATION, ExitReason.NORMAL]),
        st.none() | st.floats(0.0, 200.0),
        jitters,
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(all_flags, lives, st.sampled_from([Restart.PERMANENT, Restart.TRANSIENT]))
def test_the_pace_of_what_keeps_ending(flags: SupervisorFlags, history_of_lives, restart: Restart) -> None:
    """Intensity and backoff together, for any flags that `check_child_specs` lets through."""
    spec, history, now, starts = ChildSpec(name="a", restart=restart), History(), 0.0, [0.0]
    for reason, up_for, jitter in history_of_lives:
        now += up_for or 0.0
        before = history
        decision, history = decide(
            spec, flags, history, reason, was_up=True, up_for=up_for, now=now, jitter=jitter
        )
        if not RESTARTED[restart, reason is not ExitReason.NORMAL]:
            assert decision == Leave()
            return
        assert isinstance(decision, RestartAfter)
        healthy = up_for is not None and up_for >= flags.healthy
        assert history.failures == (1 if healthy else before.failures + 1)
        if decision.flapping:
            assert decision.delay >= flags.slow_pace
        else:
            assert reason not in GIVE_UP
            assert history.failures <= flags.failures
            first = 0.0 if healthy else 0.25 * jitter
            expected = first if history.failures == 1 else backoff(history.failures - 2, jitter)
            assert decision.delay == expected, "the pace goes back to its start after a healthy stretch only"
        now += decision.delay
        starts.append(now)
    # The first start is no restart.
    most = max(flags.intensity, 1) + 1
    for at in starts:
        assert sum(at - flags.period < other <= at for other in starts) <= most


ended = st.lists(
    st.tuples(
        st.sampled_from(EndReason),
        st.floats(0.0, 60.0),
        st.booleans(),
        st.sampled_from([0.0, 0.0, 1.0, 400.0, 1e9]),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(ended, st.integers())
def test_the_pace_of_connections(history_of_ends, seed: int) -> None:
    """At its start after a good session or an operator's word and never else; bounded by its cap; never a hot loop."""
    schedule, now, failures, starts = ConnectionSchedule(random.Random(seed).random), 0.0, 0, 0
    for reason, lived, full, retry_after in history_of_ends:
        schedule.started(now)
        starts += 1
        now += lived
        good = full and lived >= GOOD_SESSION
        fresh = good or reason is EndReason.OPERATOR or failures == 0
        delay = schedule.ended(reason, now, good=good, retry_after=retry_after)
        assert 0.0 <= delay <= MAX_HONOURED_RETRY_AFTER
        if not fresh:
            assert delay >= backoff(failures - 1, 0.0), "sooner than its turn"
        elif (
            reason in {EndReason.SILENCE, EndReason.CRASHED, EndReason.HUNG, EndReason.WAKE}
            and not retry_after
        ):
            most = 0.0 if good else 0.25
            assert delay <= most or starts >= 10, "later than a good session deserves"
        # A prompt restart is not a step of the backoff, an error is one.
        stepped = not fresh or reason in {EndReason.ERROR, EndReason.REMOVED, EndReason.EXPIRED}
        failures = (0 if fresh else failures) + 1 if stepped else 1
        if reason is EndReason.OPERATOR:
            starts = 0
        now += delay
