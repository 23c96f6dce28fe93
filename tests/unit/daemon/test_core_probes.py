"""What the core asks a connection that seems well, and what follows from the answers."""

from __future__ import annotations

import pytest

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.daemon.core import SupervisorCore
from netmap_supervisor.supervision.messages import ChildMessage
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"


def up(**options) -> SimulatedShell:
    """Everything is up and there was no session yet."""
    return SimulatedShell(**options).started()


def test_the_truth_is_asked_at_its_interval_while_there_is_a_session() -> None:
    shell = up(truth_interval=600.0, jitter=lambda: 0.5)
    shell.session()
    shell.advance(599.0)
    assert "TruthProbe" not in [kind for _, kind, _ in shell.sent]
    shell.advance(2.0)
    asked = [body for actor, kind, body in shell.sent if (actor, kind) == (CONNECTION, "TruthProbe")]
    assert [body.generation for body in asked] == [1]
    shell.advance(600.0)
    assert len([kind for _, kind, _ in shell.sent if kind == "TruthProbe"]) == 2


def test_nobody_is_asked_before_a_session_or_after_its_end() -> None:
    shell = up(truth_interval=60.0, probe_interval=60.0, jitter=lambda: 0.5)
    shell.advance(200.0)
    shell.session()
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.advance(200.0)
    assert not {"TruthProbe", "Probe"} & {kind for _, kind, _ in shell.sent}


def test_a_regular_probe_without_an_answer_ends_the_connection_and_one_with_saves_it() -> None:
    shell = up(probe_interval=30.0, probe_timeout=5.0, jitter=lambda: 0.5)
    shell.session()
    shell.advance(31.0)
    (probe,) = [body for _, kind, body in shell.sent if kind == "Probe"]
    assert (probe.reason, probe.timeout) == ("interval", 5.0)
    answer = internal_pb2.ProbeResult(token=probe.token, generation=1, answered=True, round_trip=0.02)
    shell.word(CONNECTION, answer)
    shell.word(CONNECTION, internal_pb2.ProbeResult(token=probe.token, generation=1, answered=False))
    assert not shell.events("child_killed"), "it has its answer"
    shell.advance(30.0)
    _, probe = [body for _, kind, body in shell.sent if kind == "Probe"]
    shell.word(CONNECTION, internal_pb2.ProbeResult(token=probe.token, generation=1, answered=False))
    assert shell.events("probe_failed")
    shell.advance(5.0)
    assert shell.core.connection.ledger.ended_counts["closed"] == 1
    assert shell.generation(CONNECTION) == 2


def in_login(**options) -> SimulatedShell:
    """A person is asked to log in."""
    shell = up(jitter=lambda: 0.5, probe_timeout=5.0, **options)
    shell.route("eth0")
    entered = internal_pb2.StageEntered(generation=1, session=0, stage="login", since=shell.boottime)
    shell.word(CONNECTION, entered)
    return shell


def probes(shell: SimulatedShell) -> list[str]:
    return [body.reason for _, kind, body in shell.sent if kind == "Probe"]


def test_while_a_person_is_asked_the_connection_is_asked_too() -> None:
    shell = in_login()
    shell.answers_probes = True
    shell.advance(601.0)
    assert probes(shell) == ["interval"] * 10
    assert not shell.events("child_killed")
    shell.answers_probes = False
    shell.advance(66.0, until=lambda: bool(shell.events("session_ended")))
    assert shell.events("session_ended", reason="closed", stage="login")


def test_nothing_is_asked_any_more_once_the_person_has_come() -> None:
    shell = in_login()
    shell.session()
    shell.advance(600.0)
    assert probes(shell) == []


@pytest.mark.parametrize("through_login", [False, True])
def test_a_full_map_may_be_heard_of_before_the_stage_it_came_in(through_login: bool) -> None:
    shell = in_login(probe_interval=30.0) if through_login else up(probe_interval=30.0, jitter=lambda: 0.5)
    shell.answers_probes = True
    figures = internal_pb2.PublisherStatistics(state="fresh", generation=1, peers=3)
    shell.word("publisher", internal_pb2.Heartbeat(rss_bytes=1, publisher=figures))
    shell.session(full=False)
    shell.advance(31.0)
    assert probes(shell) == ["interval"]


def test_a_login_outlives_a_time_without_a_route_and_a_sleep() -> None:
    shell = in_login()
    shell.answers_probes = True
    shell.route(None)
    shell.suspend(3600.0)
    shell.perform(shell.core.expire(shell.now))
    shell.advance(25.0)
    assert probes(shell) == []
    shell.route("wlan0")
    assert probes(shell) == ["link"]
    shell.advance(30.0)
    assert not shell.events("child_killed")
    assert "TruthProbe" not in [kind for _, kind, _ in shell.sent], "there is no session yet"


def test_a_login_over_a_dead_connection_ends_after_a_sleep() -> None:
    shell = in_login()
    shell.suspend(3600.0)
    shell.perform(shell.core.expire(shell.now))
    shell.advance(6.0, until=lambda: bool(shell.events("session_ended")))
    assert shell.events("session_ended", reason="wake", stage="login")


def test_the_kernel_is_asked_for_the_route_before_a_probe_counts_as_unanswered() -> None:
    def word(**body) -> ChildMessage:
        return ChildMessage(internal_pb2.Envelope(actor=CONNECTION, incarnation=1, **body))

    assert SupervisorCore.wants_route(word(probe_result=internal_pb2.ProbeResult(token=1)))
    assert not SupervisorCore.wants_route(word(probe_result=internal_pb2.ProbeResult(token=1, answered=True)))
    assert not SupervisorCore.wants_route(word(heartbeat=internal_pb2.Heartbeat()))


def test_a_new_probe_timeout_holds_from_the_next_connection_on() -> None:
    shell = up(probe_interval=30.0, jitter=lambda: 0.5)
    shell.answers_probes = True
    shell.session()
    shell.core.probe_timeout = 9.0
    shell.advance(31.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.advance(5.0)
    shell.session()
    shell.advance(31.0)
    assert [body.timeout for _, kind, body in shell.sent if kind == "Probe"] == [5.0, 9.0]
