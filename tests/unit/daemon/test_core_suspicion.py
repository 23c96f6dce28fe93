"""Wake-up and changes of the network: a living connection is kept, a dead one is gone within seconds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.messages import LookForRoute
from netmap_supervisor.connection.suspicion import GRACE, ROUTE_WAIT, Asked, Suspicion
from netmap_supervisor.supervision.messages import Exited, Send, Waited
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"
HOME, CAFE = "wlan0 via 192.0.2.1 from 192.0.2.7", "wlan0 via 198.51.100.1 from 198.51.100.9"
TIMEOUT = 5.0


def up(**options) -> SimulatedShell:
    shell = SimulatedShell(
        **{"probe_timeout": TIMEOUT, "truth_interval": 600.0, "jitter": lambda: 0.5} | options
    ).started()
    shell.route(HOME)
    shell.session()
    return shell


def slept(shell: SimulatedShell, seconds: float) -> None:
    shell.suspend(seconds)
    shell.perform(shell.core.expire(shell.now))


def probes(shell: SimulatedShell) -> list:
    return [body for _, kind, body in shell.sent if kind == "Probe"]


def ended(shell: SimulatedShell) -> dict[str, int]:
    return {reason: count for reason, count in shell.core.connection.ledger.ended_counts.items() if count}


def test_a_wake_up_with_a_healthy_connection_keeps_it_and_asks_for_the_truth() -> None:
    shell = up()
    shell.answers_probes = True
    slept(shell, 30.0)
    assert shell.events("wake_detected", slept_s=30.0)
    assert [(probe.reason, probe.timeout) for probe in probes(shell)] == [("wake", TIMEOUT)]
    assert shell.events("probe_answered", reason="wake")
    assert [kind for _, kind, _ in shell.sent].count("TruthProbe") == 1
    shell.advance(60.0)
    assert ended(shell) == {}
    assert shell.generation(CONNECTION) == 1


@pytest.mark.parametrize("at_the_deadline", [True, False])
def test_the_kernel_is_asked_for_the_way_after_everything_that_was_decided_before(
    at_the_deadline: bool,
) -> None:
    """Its answer is taken in at once: a probe that is sent only then would replace the one for the new way."""
    shell = up()
    shell.suspend(600.0)
    decided = shell.core.expire(shell.now) if at_the_deadline else shell.core.receive(Waited({}), shell.now)
    order = [type(command).__name__ for command in decided]
    asked = len(order) - 1 - order[::-1].index("LookForRoute")
    assert [order.index(one) < asked for one in ("LogEvent", "Send")] == [True, True], order
    assert "Send" not in order[asked:]


def test_the_kernel_is_asked_for_the_way_after_the_end_of_a_connection_is_told() -> None:
    shell = up()
    shell.processes.pop(CONNECTION)
    decided = shell.core.receive(Exited(CONNECTION, 1, 1), shell.now)
    asked = next(place for place, command in enumerate(decided) if isinstance(command, LookForRoute))
    told = [place for place, command in enumerate(decided) if isinstance(command, Send)]
    assert told
    assert max(told) < asked


def test_a_wake_up_with_a_dead_connection_replaces_it_within_seconds() -> None:
    shell = up()
    slept(shell, 600.0)
    woke = shell.boottime
    shell.advance(30.0, until=lambda: bool(ended(shell)))
    assert ended(shell) == {"wake": 1}
    assert shell.boottime <= woke + TIMEOUT + GRACE + 0.1
    shell.advance(1.0)
    assert shell.generation(CONNECTION) == 2


def test_the_word_that_a_probe_was_not_answered_is_enough() -> None:
    shell = up()
    slept(shell, 60.0)
    shell.probe_result(probes(shell)[0].token, answered=False)
    assert ended(shell) == {"wake": 1}
    assert shell.events("probe_failed", reason="wake")


def test_a_clock_that_runs_as_ever_wakes_nobody() -> None:
    shell = up()
    shell.advance(3600.0)
    slept(shell, 1.9)
    assert not shell.events("wake_detected")
    assert probes(shell) == []


def test_another_route_is_a_reason_to_ask() -> None:
    shell = up()
    shell.route(HOME)
    assert probes(shell) == []
    shell.route(CAFE)
    assert shell.events("link_changed", route=CAFE, before=HOME)
    assert [probe.reason for probe in probes(shell)] == ["link"]
    shell.advance(TIMEOUT + GRACE + 0.1)
    assert ended(shell) == {"link": 1}


def test_an_answer_saves_the_connection_on_its_new_route() -> None:
    shell = up()
    shell.answers_probes = True
    shell.route(CAFE)
    shell.advance(60.0)
    assert ended(shell) == {}
    assert "TruthProbe" not in [kind for _, kind, _ in shell.sent], "the machine did not sleep"


def test_without_a_route_nothing_is_asked_until_one_is_there() -> None:
    shell = up()
    shell.answers_probes = True
    shell.route(None)
    slept(shell, 60.0)
    shell.advance(ROUTE_WAIT - 2.0)
    assert probes(shell) == []
    assert ended(shell) == {}
    shell.route(CAFE)
    assert len(probes(shell)) == 1
    shell.advance(60.0)
    assert ended(shell) == {}


def test_a_route_that_does_not_come_back_ends_the_connection_and_is_waited_for() -> None:
    shell = up()
    shell.route(None)
    shell.advance(ROUTE_WAIT + 0.1)
    assert ended(shell) == {"link": 1}
    shell.advance(299.0)
    assert shell.generation(CONNECTION) == 1, "there is no way to the server"
    shell.route(HOME)
    assert shell.generation(CONNECTION) == 2, "and now there is"


def test_we_may_be_wrong_about_the_route_so_it_is_tried_in_the_end() -> None:
    shell = up()
    shell.route(None)
    shell.advance(ROUTE_WAIT + 0.1)
    shell.advance(301.0)
    assert shell.generation(CONNECTION) == 2


def test_a_flapping_route_starts_a_connection_at_most_once_in_five_seconds() -> None:
    shell = up()
    shell.end(CONNECTION, ExitReason.ERROR)
    starts = len(shell.starts)
    for number in range(100):
        shell.route(CAFE if number % 2 else HOME)
        if CONNECTION in shell.processes:
            shell.end(CONNECTION, ExitReason.ERROR)
        shell.advance(0.1)
    assert len(shell.starts) - starts <= 4


def test_a_wake_up_ends_a_wait() -> None:
    shell = up()
    for _ in range(6):
        shell.end(CONNECTION, ExitReason.ERROR)
        shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
    shell.end(CONNECTION, ExitReason.ERROR)
    before = shell.generation(CONNECTION)
    slept(shell, 5.0)
    assert shell.generation(CONNECTION) == before + 1


def test_a_question_over_a_route_that_went_is_put_anew_and_only_the_new_one_is_heard() -> None:
    shell = up()
    slept(shell, 60.0)
    shell.route(None)
    shell.route(CAFE)
    old, new = probes(shell)
    shell.probe_result(old.token)
    shell.advance(1.0)
    assert not shell.events("probe_answered")
    shell.probe_result(new.token)
    assert shell.events("probe_answered", reason="wake")
    shell.advance(60.0)
    assert ended(shell) == {}


def test_what_was_asked_before_a_sleep_is_asked_again_after_it() -> None:
    shell = up()
    shell.route(CAFE)
    shell.answers_probes = True
    slept(shell, 600.0)
    assert [probe.reason for probe in probes(shell)] == ["link", "link"]
    shell.advance(60.0)
    assert ended(shell) == {}


def test_the_end_of_the_connection_ends_the_suspicion() -> None:
    shell = up()
    slept(shell, 60.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    shell.advance(5.0, until=lambda: CONNECTION in shell.processes)
    shell.session(shell.generation(CONNECTION))
    shell.advance(60.0)
    assert ended(shell) == {"closed": 1}


@pytest.mark.parametrize("lived", [60.0, 3.0], ids=["good-session", "young-session"])
@pytest.mark.parametrize("reason", [ExitReason.CLOSED, ExitReason.ERROR])
@pytest.mark.parametrize("suspicion", ["wake", "link", "wake-not-seen-before-the-end"])
def test_an_end_that_is_read_while_the_connection_is_suspected_is_answered_at_once(
    suspicion: str, reason: ExitReason, lived: float
) -> None:
    shell = up(jitter=lambda: 0.9)
    # One failure before: what is young does not begin the pace anew.
    shell.end(CONNECTION, ExitReason.ERROR)
    shell.advance(5.0, until=lambda: CONNECTION in shell.processes)
    shell.make_ready()
    shell.session()
    shell.advance(lived)
    match suspicion:
        case "wake":
            slept(shell, 60.0)
        case "link":
            shell.route(CAFE)
        case _:
            shell.suspend(60.0)
    shell.word(CONNECTION, internal_pb2.SessionEnded(reason=reason.value, stage="map"))
    shell.end(CONNECTION, reason)
    before = shell.generation(CONNECTION)
    shell.advance(0.25)
    assert shell.generation(CONNECTION) == before + 1


def test_an_end_after_the_suspicion_was_answered_is_any_end() -> None:
    shell = up(jitter=lambda: 0.9)
    shell.answers_probes = True
    shell.advance(60.0)
    slept(shell, 60.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    due = shell.core.tree.children[CONNECTION].due
    assert due is not None
    assert due - shell.boottime > 3.0, "a restarted server is met by all its clients"


@pytest.mark.parametrize("seconds", [120.0, 600.0, 86_400.0])
def test_a_step_of_the_wall_clock_does_nothing(seconds: float) -> None:
    for direction in (1, -1):
        shell = up()
        shell.wall += direction * seconds
        shell.advance(120.0)
        assert not shell.events("wake_detected")
        assert ended(shell) == {}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sleep"), st.floats(0.0, 1000.0)),
        st.tuples(st.just("pass"), st.floats(0.0, 50.0)),
        st.tuples(st.just("route"), st.sampled_from([None, HOME, CAFE])),
        st.tuples(st.just("answer"), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_there_is_always_a_next_thing_to_do_and_no_kill_without_a_cause(steps) -> None:
    shell = up()
    for what, value in steps:
        if what == "sleep":
            slept(shell, value)
        elif what == "pass":
            shell.advance(value)
        elif what == "route":
            shell.route(value)
        else:
            shell.answers_probes = value
        assert shell.core.deadline() is not None
        if CONNECTION in shell.processes and not shell.core.connection.ledger.stage:
            shell.session(shell.generation(CONNECTION))
    caused = len(shell.events("probe_failed"))
    assert sum(ended(shell).values()) <= caused
    assert len(shell.events("probe_failed")) <= shell.core.wakes + shell.core.links
    shell.route(HOME)
    shell.answers_probes = True
    shell.advance(ROUTE_WAIT + 10.0, until=lambda: CONNECTION in shell.processes)
    assert CONNECTION in shell.processes


def test_a_probe_that_is_not_ours_changes_nothing() -> None:
    suspicion = Suspicion()
    assert suspicion.concluded(7, "now") == ""
    suspicion.raise_("wake", 1.0)
    assert suspicion.to_ask("now")
    suspicion.ask(Asked(3, "now", TIMEOUT), 1.0)
    assert not suspicion.to_ask("now")
    assert suspicion.concluded(2, "now") == ""
    assert suspicion.deadline() == 1.0 + TIMEOUT + GRACE
    assert suspicion.concluded(3, "now") == "wake"
    assert suspicion.deadline() is None


def test_what_is_said_about_another_situation_settles_nothing() -> None:
    suspicion = Suspicion()
    suspicion.ask(Asked(3, "before", TIMEOUT), 1.0)
    assert suspicion.concluded(3, "now") == ""
    assert not suspicion.open
    suspicion.raise_("link", 2.0)
    suspicion.ask(Asked(4, "before", TIMEOUT), 2.0)
    assert suspicion.to_ask("now")


@pytest.mark.parametrize("reason", ["wake", "link"])
@pytest.mark.parametrize("stage", ["map", "login"])
def test_a_session_of_which_is_heard_only_after_it_may_have_died_is_suspected(
    reason: str, stage: str
) -> None:
    shell = SimulatedShell().started()
    shell.route(HOME)
    since = shell.boottime + 1.0
    # Its words lie in the socket: we were stopped, or the machine slept.
    shell.advance(2.0)
    if reason == "wake":
        shell.suspend(30.0)
        shell.beat()
    else:
        shell.route(CAFE)
    generation = shell.generation(CONNECTION)
    began = internal_pb2.StageEntered(generation=generation, session=1, stage=stage, since=since)
    shell.word(CONNECTION, began)
    shell.advance(7.0)
    assert shell.starts[-1][1:] == (CONNECTION, generation + 1)
    assert shell.core.connection.ledger.ended_counts[reason] == 1


def test_a_session_that_began_after_the_change_is_not_suspected() -> None:
    shell = SimulatedShell().started()
    shell.route(HOME)
    shell.route(CAFE)
    shell.advance(0.1)
    shell.session()
    shell.suspend(30.0)
    shell.beat()
    asked = [body for _, word, body in shell.sent if word == "Probe"]
    assert [probe.reason for probe in asked] == ["wake"]
