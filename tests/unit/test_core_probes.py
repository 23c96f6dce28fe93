"""What the core asks a connection that seems well, and what follows from the answers."""

from __future__ import annotations

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from tests.unit.simulated_shell import SimulatedShell

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
    assert not shell.events("child_killed")
    shell.word(CONNECTION, internal_pb2.ProbeResult(token=probe.token, generation=1, answered=False))
    assert shell.events("probe_failed")
    shell.advance(5.0)
    assert shell.core.connection.ledger.ended_counts["closed"] == 1
    assert shell.incarnation(CONNECTION) == 2
