"""Which answers count against a connection: whatever was asked, and whenever its answer is received.

A question is about one process, one session and one stretch of time without a sleep or another route. What is said of
it afterwards does not count; nor does a missing answer while there is no way to the server.
"""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.suspicion import ROUTE_WAIT
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"
HOME, CAFE = "wlan0 via 192.0.2.1 from 192.0.2.7", "wlan0 via 198.51.100.1 from 198.51.100.9"
ROUTES = (None, HOME, CAFE)
TIMEOUT = 5.0


@dataclasses.dataclass(frozen=True)
class Asked:
    token: int
    about: tuple[object, ...]
    """What it was asked about, and what had happened until then."""


class Questions(RuleBasedStateMachine):
    """The connection says nothing of probes by itself: each word about one is a rule, early, late or never."""

    @initialize()
    def begin(self) -> None:
        self.shell = SimulatedShell(
            probe_timeout=TIMEOUT, probe_interval=20.0, truth_interval=600.0, jitter=lambda: 0.5
        ).started()
        self.shell.mute = True
        self.session = 0
        self.changes = 0
        """Sleeps and other routes so far."""
        self.asked: list[Asked] = []
        self.heard = 0
        self.without_route_since: float | None = None
        self.truth_owed = False
        self.suspected = False
        """It is not known whether the connection outlived the last of them."""
        self.go(HOME)
        self.new_session()

    # What happens

    @rule(seconds=st.floats(0.0, 40.0))
    def time_passes(self, seconds: float) -> None:
        ends = self.ends
        until = self.shell.boottime + seconds
        while self.shell.boottime < until and self.ends == ends:
            step = min(1.0, until - self.shell.boottime)
            self.shell.advance(step, until=lambda: self.ends != ends)
        self.note()
        if self.ends != ends:
            since = self.without_route_since
            assert since is not None, "no answer, and there was a way to ask"
            assert self.shell.boottime >= since + ROUTE_WAIT - 1e-3
        self.come_back()

    @rule(seconds=st.floats(3.0, 1000.0))
    def the_machine_sleeps(self, seconds: float) -> None:
        self.changes += 1
        self.truth_owed = self.suspected = self.alive
        self.shell.suspend(seconds)
        if self.without_route_since is not None:
            self.without_route_since = self.shell.boottime
        self.shell.perform(self.shell.core.expire(self.shell.now))
        self.note()

    @rule(route=st.sampled_from(ROUTES))
    def the_route_changes(self, route: str | None) -> None:
        self.go(route)
        self.come_back()

    @rule()
    def the_map_is_asked_for_again(self) -> None:
        self.new_session()

    @rule(reason=st.sampled_from([ExitReason.CLOSED, ExitReason.CRASHED]))
    def the_connection_ends(self, reason: ExitReason) -> None:
        if self.alive:
            self.shell.end(CONNECTION, reason)
        self.note()
        self.come_back()

    @rule(choice=st.integers(0, 3), answered=st.booleans())
    def something_is_said_of_a_probe(self, choice: int, answered: bool) -> None:
        if not self.asked or not self.alive:
            return
        asked = self.asked[max(-len(self.asked), -1 - choice)]
        stands = (
            asked == self.asked[-1] and asked.about == self.about and self.asked.index(asked) >= self.heard
        )
        ends, truths = self.ends, self.truths
        self.shell.probe_result(asked.token, answered=answered)
        self.note()
        if self.ends != ends:
            assert not answered
            assert stands, "what was asked before has no voice"
            assert self.route is not None, "there is no way to the server"
        elif stands:
            assert answered, "a connection that does not answer is found"
        if stands:
            self.heard = len(self.asked)
        self.suspected &= not (stands and answered)
        if stands and answered and self.truth_owed:
            assert self.truths > truths, "alive is not known, after a sleep"
            self.truth_owed = False
        self.come_back()

    # What must hold

    @invariant()
    def nothing_is_asked_without_a_route(self) -> None:
        if self.route is None:
            assert not self.new, "no answer was possible"
        self.new = 0

    @invariant()
    def a_suspected_connection_is_asked_about_what_is_now(self) -> None:
        if self.alive and self.suspected and self.route is not None:
            assert self.asked[-1].about == self.about

    # How

    new = 0

    @property
    def alive(self) -> bool:
        return CONNECTION in self.shell.processes and CONNECTION not in self.shell.killed

    @property
    def ends(self) -> int:
        return len(self.shell.events("session_ended"))

    @property
    def truths(self) -> int:
        return [kind for _, kind, _ in self.shell.sent].count("TruthProbe")

    @property
    def about(self) -> tuple[object, ...]:
        return (self.shell.generation(CONNECTION), self.session, self.changes)

    def note(self) -> None:
        """New questions are about what is now."""
        probes = [body for _, kind, body in self.shell.sent if kind == "Probe"]
        known = {asked.token for asked in self.asked}
        for probe in probes:
            if probe.token not in known:
                self.asked.append(Asked(probe.token, self.about))
                self.new += 1

    def go(self, route: str | None) -> None:
        if route != getattr(self, "route", "") and hasattr(self, "route"):
            self.changes += 1
            self.suspected = self.alive
        self.route = route
        if route is not None:
            self.without_route_since = None
        elif self.without_route_since is None:
            self.without_route_since = self.shell.boottime
        self.shell.route(route)
        self.note()

    def new_session(self) -> None:
        if not self.alive:
            return
        self.session += 1
        self.shell.session(session=self.session)
        self.note()

    def come_back(self) -> None:
        """A connection that ended is followed by one with a session."""
        if self.alive and self.shell.core.connection.ledger.stage == "map":
            return
        self.shell.advance(400.0, until=lambda: self.alive)
        self.session, self.truth_owed, self.suspected = 0, False, False
        self.note()
        if self.route is None:
            self.without_route_since = self.shell.boottime
        self.new_session()

    def teardown(self) -> None:
        """However it went: a dead connection is found within the time of one probe."""
        self.go(HOME)
        self.the_machine_sleeps(60.0)
        self.come_back()
        ends, woke = self.ends, self.shell.boottime
        self.shell.suspend(60.0)
        self.shell.mute = False
        self.shell.advance(TIMEOUT + 0.1, until=lambda: self.ends != ends)
        assert self.ends == ends + 1
        assert self.shell.boottime <= woke + 60.0 + TIMEOUT + 0.1


TestQuestions = Questions.TestCase
Questions.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def up(**options) -> SimulatedShell:
    shell = SimulatedShell(
        probe_timeout=TIMEOUT, truth_interval=600.0, jitter=lambda: 0.5, **options
    ).started()
    shell.route(HOME)
    shell.session()
    return shell


def slept(shell: SimulatedShell, seconds: float) -> None:
    shell.suspend(seconds)
    shell.perform(shell.core.expire(shell.now))


def probes(shell: SimulatedShell) -> list[internal_pb2.Probe]:
    return [body for _, kind, body in shell.sent if kind == "Probe"]


def truths(shell: SimulatedShell) -> int:
    return [kind for _, kind, _ in shell.sent].count("TruthProbe")


def killed(shell: SimulatedShell) -> list[str]:
    return [why for actor, _, why in shell.kills if actor == CONNECTION]


@pytest.mark.parametrize("asleep", [2.1, 30.0, 86_400.0])
def test_a_question_of_before_a_sleep_has_no_voice_after_it(asleep: float) -> None:
    shell = up(probe_interval=30.0)
    shell.mute = True
    shell.advance(31.0)
    (before,) = probes(shell)
    slept(shell, asleep)
    shell.probe_result(before.token, answered=False)
    assert killed(shell) == []
    _, after = probes(shell)
    assert after.reason == "wake"
    shell.probe_result(after.token)
    shell.advance(20.0)
    assert killed(shell) == []


def test_the_word_of_before_a_sleep_may_be_what_tells_of_the_sleep() -> None:
    shell = up(probe_interval=30.0)
    shell.mute = True
    shell.advance(31.0)
    shell.suspend(600.0)
    shell.probe_result(probes(shell)[0].token, answered=False)
    assert shell.core.wakes == 1
    assert killed(shell) == []


def test_nobody_is_asked_while_there_is_no_route() -> None:
    shell = up(probe_interval=3.0)
    shell.answers_probes = True
    shell.route(None)
    asked = len(probes(shell))
    shell.advance(ROUTE_WAIT - 1.0)
    assert len(probes(shell)) == asked
    shell.route(CAFE)
    assert probes(shell)[-1].reason == "link"
    shell.advance(10.0)
    assert len(probes(shell)) > asked + 1
    assert killed(shell) == []


@pytest.mark.parametrize("route", [None, CAFE])
@pytest.mark.parametrize("reason", ["interval", "wake", "link"])
def test_no_answer_over_a_route_that_went_speaks_against_nobody(reason: str, route: str | None) -> None:
    shell = up(probe_interval=30.0)
    shell.mute = True
    if reason == "interval":
        shell.advance(31.0)
    elif reason == "wake":
        slept(shell, 60.0)
    else:
        shell.route("eth0 via 203.0.113.1 from 203.0.113.5")
    (out,) = probes(shell)
    assert out.reason == reason
    shell.advance(1.0)
    shell.route(route)
    shell.advance(3.0)
    shell.probe_result(out.token, answered=False)
    assert killed(shell) == []
    shell.route(HOME)
    assert len(probes(shell)) >= 2
    shell.probe_result(probes(shell)[-1].token)
    shell.advance(10.0)
    assert killed(shell) == []


@pytest.mark.parametrize("reason", ["wake", "link"])
def test_a_process_that_says_nothing_has_not_spoken_against_its_connection(reason: str) -> None:
    shell = up()
    shell.mute = True
    if reason == "wake":
        slept(shell, 60.0)
    else:
        shell.route(CAFE)
    shell.advance(60.0)
    assert killed(shell) == [], "it beats: it is not hung, and it will say so when it has read"
    shell.probe_result(probes(shell)[-1].token, answered=False)
    assert killed(shell) == [reason]


def test_a_process_that_hangs_is_found_by_its_heartbeats_whatever_was_asked() -> None:
    shell = up()
    shell.mute = True
    slept(shell, 60.0)
    shell.silent.add(CONNECTION)
    shell.advance(30.0, until=lambda: bool(killed(shell)))
    assert len(killed(shell)) == 1


def test_a_question_whose_word_is_lost_is_put_again() -> None:
    shell = up()
    shell.mute = True
    slept(shell, 60.0)
    shell.mute = False
    shell.advance(3 * TIMEOUT, until=lambda: bool(killed(shell)))
    assert killed(shell) == ["wake"]
    assert len({probe.token for probe in probes(shell)}) == 1, "the same question: it may be answered already"
    assert len(probes(shell)) == 2


@pytest.mark.parametrize("order", ["route, sleep", "sleep, route", "link, sleep", "sleep, link"])
def test_the_truth_is_asked_after_every_sleep_whatever_else_was_open(order: str) -> None:
    shell = up()
    shell.mute = True
    for what in order.split(", "):
        if what == "sleep":
            slept(shell, 3600.0)
        else:
            shell.route(None if what == "route" else CAFE)
    assert truths(shell) == 0
    shell.answers_probes = True
    if "route" in order:
        shell.advance(5.0)
        shell.route(HOME)
    else:
        shell.probe_result(probes(shell)[-1].token)
    assert truths(shell) == 1
    assert killed(shell) == []


def test_a_truth_probe_that_is_due_without_a_route_is_asked_when_there_is_one() -> None:
    shell = up()
    shell.answers_probes = True
    shell.advance(590.0)
    shell.route(None)
    shell.advance(20.0)
    assert truths(shell) == 0
    shell.route(HOME)
    assert truths(shell) == 1


def test_a_question_about_an_older_session_is_asked_again() -> None:
    shell = up()
    shell.mute = True
    slept(shell, 60.0)
    shell.session(session=2)
    old, new = probes(shell)
    shell.probe_result(old.token, answered=False)
    assert killed(shell) == []
    shell.probe_result(new.token, answered=False)
    assert killed(shell) == ["wake"]


@pytest.mark.parametrize(("generation", "session"), [(1, 1), (2, 0), (7, 1)])
def test_a_pause_of_another_connection_says_nothing_of_the_publisher(generation: int, session: int) -> None:
    shell = up()
    shell.advance(100.0)
    shell.end(CONNECTION)
    shell.advance(5.0)
    shell.session(2)
    shell.verdict("publisher_paused", generation=generation, session=session)
    assert not shell.events("child_killed")
    assert shell.core.tree.foreign >= 1


def test_a_publisher_is_not_killed_for_a_pause_that_is_older_than_itself() -> None:
    shell = up()
    shell.advance(100.0)
    shell.end("publisher")
    shell.advance(10.0)
    shell.verdict("publisher_paused")
    assert not shell.events("child_killed")
    shell.advance(30.0)
    shell.verdict("publisher_paused")
    assert shell.events("child_killed", actor="publisher", reason="publisher_paused")


def test_a_resync_of_a_connection_that_has_ended_is_not_asked_of_the_next() -> None:
    shell = up()
    shell.end(CONNECTION)
    shell.advance(5.0)
    shell.session(2)
    shell.word("publisher", internal_pb2.Resync(reason="a gap", generation=1))
    assert "Resync" not in [kind for _, kind, _ in shell.sent]
    shell.word("publisher", internal_pb2.Resync(reason="a gap", generation=2))
    assert "Resync" in [kind for _, kind, _ in shell.sent]
