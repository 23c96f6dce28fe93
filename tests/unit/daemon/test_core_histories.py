"""Random histories of the whole tree: what must hold whatever happens, and in whatever order."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from netmap_actors.exit_reason import ExitReason
from netmap_supervisor.supervision.child_machine import ActorState, ChildState
from netmap_supervisor.supervision.child_spec import ChildSpec, Restart, Strategy, SupervisorFlags
from netmap_supervisor.supervision.child_tree import FLAPPING
from tests.support.machines.simulated_shell import NAMES, SimulatedShell

CONNECTION = "control_connection"
actors = st.sampled_from(NAMES)
reasons = st.sampled_from(list(ExitReason))


class Histories(RuleBasedStateMachine):
    """`SimulatedShell` itself asserts: no spawn before the old process was reaped, none while stopping, no word to a
    child without a process, no child killed as hung before its limit, one exit and only after the last process."""

    strategy = Strategy.ONE_FOR_ONE
    types = (Restart.PERMANENT,)

    @initialize(seed=st.integers())
    def begin(self, seed) -> None:
        chance = random.Random(seed)
        # Short stops: a simulated process that ignores them must not hold up a history.
        specs = [
            ChildSpec(
                name=name,
                shutdown=1.0,
                restart=Restart.PERMANENT if name == CONNECTION else chance.choice(self.types),
            )
            for name in NAMES
        ]
        flags = SupervisorFlags(strategy=self.strategy)
        self.shell = SimulatedShell(jitter=random.Random(seed).random, specs=specs, flags=flags).start()
        self.operator_at = -1e9

    @rule(seconds=st.floats(0.0, 90.0))
    def time_passes(self, seconds) -> None:
        self.shell.advance(seconds)

    @rule(seconds=st.floats(0.0, 10.0))
    def time_passes_and_nobody_says_ready(self, seconds) -> None:
        self.shell.advance(seconds, auto_ready=False)

    @rule(seconds=st.floats(0.0, 100_000.0))
    def the_machine_sleeps(self, seconds) -> None:
        self.shell.suspend(seconds)
        self.shell.perform(self.shell.core.expire(self.shell.now))

    @rule(seconds=st.floats(0.0, 100.0))
    def the_supervisor_is_stopped(self, seconds) -> None:
        self.shell.stopped_for(seconds)

    @rule(beats=st.booleans())
    def children_hang_or_go_on(self, beats) -> None:
        self.shell.beats = beats

    @rule(reaps=st.booleans())
    def the_kernel_holds_the_dead_or_lets_go(self, reaps) -> None:
        self.shell.reaps = reaps
        if reaps:
            for actor in list(self.shell.killed):
                if actor in self.shell.killed:
                    self.shell.end(actor, signal=9)

    @rule(fail=st.booleans())
    def spawns_fail_or_work(self, fail) -> None:
        self.shell.spawns_fail = fail

    @rule(actor=actors, reason=reasons, signal=st.sampled_from([None, None, 9, 11]))
    def a_process_ends(self, actor, reason, signal) -> None:
        if actor in self.shell.processes:
            self.shell.end(actor, reason, signal)

    @rule(actor=actors)
    def a_child_is_up(self, actor) -> None:
        if actor in self.shell.processes:
            self.shell.ready(actor)

    @rule(session=st.integers(1, 3), full=st.booleans())
    def a_session_begins(self, session, full) -> None:
        if CONNECTION in self.shell.processes:
            self.shell.session(session=session, full=full)

    @rule(
        reason=st.sampled_from(["silence", "hung", "error", "publisher_paused"]),
        generation=st.integers(0, 30),
        session=st.integers(0, 3),
    )
    def a_verdict_falls(self, reason, generation, session) -> None:
        self.shell.verdict(reason, generation, session)

    @rule()
    def an_operator_reconnects(self) -> None:
        self.operator_at = self.shell.boottime
        self.shell.reconnect()

    @precondition(lambda self: self.shell.core.connection.ledger.had_session)
    @rule()
    def an_operator_stops(self) -> None:
        self.shell.stop()

    @invariant()
    def there_is_always_a_next_action(self) -> None:
        core = self.shell.core
        if core.tree.finished:
            assert self.shell.exit is not None
            assert core.deadline() is None
            return
        deadline = core.deadline()
        assert deadline is not None
        assert deadline <= self.shell.boottime + 5.0, "the children are looked at every 5 s"
        for child in core.tree.children.values():
            match child.state:
                case ChildState.INACTIVE:
                    stays_down = child.spec.restart is not Restart.PERMANENT
                    assert core.tree.stopping or core.tree._stops or stays_down, (
                        "a permanent child comes back"
                    )
                case ChildState.BACKOFF:
                    assert child.due is not None
                case ChildState.KILLED:
                    assert child.alarmed or child.limit_at is not None
                case _:
                    assert child.limit_at is not None

    @invariant()
    def the_core_knows_the_processes(self) -> None:
        alive = {name for name, child in self.shell.core.tree.children.items() if child.alive}
        assert alive == set(self.shell.processes)

    @invariant()
    def who_keeps_state_about_the_connection_knows_how_it_stands(self) -> None:
        children = self.shell.core.tree.children
        connection = children[CONNECTION]
        if connection.generation:
            stands = "ConnectionStarted" if connection.alive else "SessionEnded"
            for name in ("publisher", "liveness"):
                if children[name].state is ChildState.RUNNING:
                    assert self.shell.standing[name] == (stands, connection.generation)

    @invariant()
    def it_is_up_once_each_child_was_or_stays_down(self) -> None:
        tree = self.shell.core.tree
        if not tree.stopping and not tree._stops:
            waited_for = [
                child
                for child in tree.children.values()
                if not child.was_up and child.state is not ChildState.INACTIVE
            ]
            assert self.shell.up or waited_for

    @invariant()
    def nobody_is_killed_without_a_reason(self) -> None:
        for actor, generation, why in self.shell.kills:
            match why:
                case "hung" if actor == CONNECTION:
                    pass  # by a verdict or by its heartbeats, which the shell has checked
                case "silence" | "error":
                    assert actor == CONNECTION
                    assert (generation, why) in self.shell.verdicts
                case "publisher_paused":
                    assert actor == "publisher"
                case "operator":
                    assert self.operator_at > -1e9
                case "wake" | "link":
                    assert actor == CONNECTION
                case _:
                    assert why in {"hung", "stop_limit"}

    @invariant()
    def what_keeps_dying_is_shown_and_nothing_else(self) -> None:
        core = self.shell.core
        shown = {c.text.partition(" ")[0] for c in core.tree.conditions.all() if c.code == FLAPPING}
        assert shown == {name for name, child in core.tree.children.items() if child.flapping}
        for name in shown:
            state = core.tree.children[name].public_state
            assert state in {ActorState.ERROR, ActorState.INACTIVE}

    @invariant()
    def starts_are_bounded(self) -> None:
        for name in NAMES:
            starts = [at for at, actor, _ in self.shell.starts if actor == name]
            # An operator may have as many connections as he asks for.
            if name == CONNECTION and self.operator_at > -1e9:
                continue
            if starts:
                assert sum(starts[-1] - 60.0 < at for at in starts) <= self.most_starts

    @property
    def most_starts(self) -> int:
        # With a strategy that takes siblings along, each sibling's restarts add up.
        return 10 if self.strategy is Strategy.ONE_FOR_ONE else 10 * len(NAMES)

    def teardown(self) -> None:
        """However it went: the tree can be stopped, and heals when everybody behaves."""
        shell = self.shell
        shell.beats = shell.reaps = True
        shell.spawns_fail = False
        for actor in list(shell.killed):
            if actor in shell.killed:
                shell.end(actor, signal=9)
        if not shell.core.tree.stopping:
            shell.advance(400.0)
            states = {name: child.state for name, child in shell.core.tree.children.items()}
            for name, state in states.items():
                stays_down = shell.core.tree.children[name].spec.restart is not Restart.PERMANENT
                assert state is ChildState.RUNNING or (stays_down and state is ChildState.INACTIVE), states
            # A control key that changed is shown until there is a session, and there is none here.
            assert set(shell.degraded()) <= {"control_key_changed"}
        shell.stop()
        asked_at = shell.boottime
        shell.advance(10.0, until=lambda: shell.exit is not None)
        assert shell.exit is not None
        assert shell.boottime - asked_at <= 5.0


class RestForOne(Histories):
    strategy = Strategy.REST_FOR_ONE


class OneForAll(Histories):
    strategy = Strategy.ONE_FOR_ALL


class OfEveryType(Histories):
    types = tuple(Restart)


class OfEveryTypeForAll(OfEveryType):
    strategy = Strategy.ONE_FOR_ALL


class OfEveryTypeForTheRest(OfEveryType):
    strategy = Strategy.REST_FOR_ONE


MANY = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOneForOne = Histories.TestCase
TestRestForOne = RestForOne.TestCase
TestOneForAll = OneForAll.TestCase
TestOfEveryType = OfEveryType.TestCase
TestOfEveryTypeForAll = OfEveryTypeForAll.TestCase
TestOfEveryTypeForTheRest = OfEveryTypeForTheRest.TestCase
for case in (
    TestOneForOne,
    TestRestForOne,
    TestOneForAll,
    TestOfEveryType,
    TestOfEveryTypeForAll,
    TestOfEveryTypeForTheRest,
):
    case.settings = MANY
del case  # or it would be collected once more
