"""Coming back to a network: when the next attempt begins once there is a way to the control server again."""

from __future__ import annotations

import pytest

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire import internal_pb2
from netmap_supervisor.connection.suspicion import ROUTE_WAIT
from netmap_supervisor.supervision.child_tree import TICK
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"
HOME, CAFE = "wlan0 via 192.0.2.1 from 192.0.2.7", "wlan0 via 198.51.100.1 from 198.51.100.9"
SOON = 6.0
"""Seconds from a route to an attempt."""
NO_ROUTE_PACE = 300.0


def up(**options) -> SimulatedShell:
    shell = SimulatedShell(jitter=lambda: 0.5, **options).started()
    shell.way_is(HOME)
    shell.session()
    shell.advance(60.0)
    return shell


def without_a_route(**options) -> SimulatedShell:
    """The route went, the connection after it, and the daemon waits."""
    shell = up(**options)
    shell.way_is(None)
    shell.advance(ROUTE_WAIT + 3.0)
    assert CONNECTION not in shell.processes
    return shell


def fails(shell: SimulatedShell, *, retry_after: float = 0.0) -> None:
    """The attempt under way comes to nothing."""
    stage = shell.core.connection.ledger.stage or "connect"
    words = internal_pb2.SessionEnded(reason="error", stage=stage, retry_after=retry_after)
    shell.word(CONNECTION, words)
    shell.end(CONNECTION, ExitReason.ERROR)


def reaches(shell: SimulatedShell, stage: str) -> None:
    """The attempt under way has come that far."""
    generation = shell.generation(CONNECTION)
    shell.word(
        CONNECTION,
        internal_pb2.StageEntered(generation=generation, stage=stage, since=shell.boottime),
    )


def starts(shell: SimulatedShell) -> int:
    return shell.generation(CONNECTION)


def wait_s(shell: SimulatedShell) -> float:
    due = shell.core.tree.children[CONNECTION].due
    assert due is not None
    return due - shell.boottime


def test_a_route_that_flaps_before_it_stays_costs_seconds() -> None:
    shell = without_a_route()
    shell.way_is(HOME)
    shell.advance(0.5)
    shell.way_is(None)
    fails(shell)
    shell.advance(2.5)
    before = starts(shell)
    shell.way_is(HOME)
    shell.advance(SOON, until=lambda: starts(shell) > before)
    assert starts(shell) == before + 1


def test_a_route_that_nobody_tells_of_is_found() -> None:
    shell = without_a_route()
    before = starts(shell)
    shell.way_is(HOME, told=False)
    shell.advance(SOON)
    assert starts(shell) == before + 1


def test_a_route_that_went_without_a_word_is_missed_when_an_attempt_fails() -> None:
    shell = up()
    shell.way_is(None, told=False)
    before = starts(shell)
    for _ in range(10):
        shell.end(CONNECTION, ExitReason.ERROR)
        shell.advance(20.0, until=lambda: CONNECTION in shell.processes)
        if CONNECTION not in shell.processes:
            break
    assert starts(shell) <= before + 1
    assert wait_s(shell) > NO_ROUTE_PACE / 2


def test_an_operators_order_waits_for_no_route() -> None:
    shell = up()
    shell.way_is(None)
    before = starts(shell)
    shell.reconnect()
    shell.advance(0.3)
    assert starts(shell) == before + 1


def test_an_operators_order_while_the_old_process_is_dying_waits_for_its_end_alone() -> None:
    shell = up()
    shell.reaps = False
    shell.verdict("silence")
    shell.way_is(None)
    shell.reconnect()
    before = starts(shell)
    shell.end(CONNECTION, signal=9)
    shell.advance(0.3)
    assert starts(shell) == before + 1


def test_an_operators_order_during_the_wait_ends_it() -> None:
    shell = without_a_route()
    before = starts(shell)
    shell.reconnect()
    assert starts(shell) == before + 1


def test_a_server_that_asks_us_to_stay_away_is_obeyed_whatever_the_network_does() -> None:
    shell = up()
    fails(shell, retry_after=100.0)
    before = starts(shell)
    for way in (None, CAFE, None, HOME):
        shell.way_is(way)
        shell.advance(20.0)
    assert starts(shell) == before
    shell.advance(60.0)
    assert starts(shell) == before + 1


def test_a_refusal_waits_its_minute_whatever_the_network_does() -> None:
    shell = up()
    shell.end(CONNECTION, ExitReason.LOGIN_REFUSED)
    before = starts(shell)
    for way in (None, CAFE, None, HOME):
        shell.way_is(way)
        shell.advance(10.0)
    assert starts(shell) == before
    shell.advance(25.0)
    assert starts(shell) == before + 1


def test_no_flapping_makes_more_than_ten_attempts_in_a_minute() -> None:
    shell = up()
    for number in range(240):
        shell.way_is((None, HOME, CAFE)[number % 3])
        if CONNECTION in shell.processes:
            fails(shell)
        shell.advance(0.5)
    at = [one for one, actor, _ in shell.starts if actor == CONNECTION]
    assert len(at) >= 15
    assert all(sum(one - 60.0 < other <= one for other in at) <= 10 for one in at)


@pytest.mark.parametrize("stage", ["resolve", "connect"])
def test_an_attempt_that_began_without_a_route_is_not_waited_for(stage: str) -> None:
    shell = without_a_route()
    for _ in range(6):
        shell.advance(NO_ROUTE_PACE + 1.0, until=lambda: CONNECTION in shell.processes)
        fails(shell)
    shell.advance(NO_ROUTE_PACE + 1.0, until=lambda: CONNECTION in shell.processes)
    reaches(shell, stage)
    before = starts(shell)
    shell.way_is(HOME)
    shell.advance(SOON)
    assert starts(shell) == before + 1
    assert shell.core.connection.ledger.ended_counts["link"] == 2, "the session's, and this one"


def test_an_attempt_that_is_connected_when_the_route_returns_may_go_on_and_is_followed_at_once() -> None:
    shell = without_a_route()
    for _ in range(6):
        shell.advance(NO_ROUTE_PACE + 1.0, until=lambda: CONNECTION in shell.processes)
        fails(shell)
    shell.advance(NO_ROUTE_PACE + 1.0, until=lambda: CONNECTION in shell.processes)
    reaches(shell, "handshake")
    before = starts(shell)
    shell.way_is(HOME)
    shell.advance(14.0)
    assert starts(shell) == before
    fails(shell)
    shell.advance(0.3)
    assert starts(shell) == before + 1


def test_a_failure_after_the_route_returned_waits_as_any_failure() -> None:
    shell = without_a_route()
    shell.way_is(HOME)
    shell.make_ready()
    for _ in range(5):
        fails(shell)
        shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
    fails(shell)
    assert 4.0 <= wait_s(shell) <= 45.0


def test_a_route_that_goes_during_a_wait_makes_it_a_long_one() -> None:
    shell = up()
    fails(shell)
    assert wait_s(shell) <= 4.0
    shell.way_is(None)
    assert wait_s(shell) > NO_ROUTE_PACE - 1.0
    before = starts(shell)
    shell.advance(60.0)
    assert starts(shell) == before
    shell.way_is(HOME)
    assert starts(shell) == before + 1


def test_a_session_that_goes_another_way_without_a_word_is_asked_whether_it_lives() -> None:
    shell = up(probe_timeout=5.0)
    before = starts(shell)
    shell.way_is("wg0 from 203.0.113.2", told=False)
    shell.advance(TICK + 5.0 + 0.3)
    assert starts(shell) == before + 1
    assert shell.core.connection.ledger.ended_counts["link"] == 1


def test_a_session_over_a_route_that_is_there_costs_a_question_to_the_kernel_every_tick() -> None:
    shell = up()
    looks, sent = shell.looks, len(shell.sent)
    shell.advance(3600.0)
    assert shell.looks - looks == 3600.0 / TICK
    assert len(shell.sent) == sent


# --- addresses ------------------------------------------------------------------------------------------------

FIRST, SECOND, THIRD = "[2001:db8::1]:443", "192.0.2.1:443", "192.0.2.2:443"


def connects(shell: SimulatedShell, address: str, stage: str = "handshake") -> None:
    """The next attempt comes so far at this address."""
    shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
    shell.make_ready()
    generation = shell.generation(CONNECTION)
    shell.word(CONNECTION, internal_pb2.ConnectionInfo(generation=generation, remote_address=address))
    reaches(shell, stage)


def avoided(shell: SimulatedShell) -> tuple[str, ...]:
    """The start data of the next attempt."""
    before = starts(shell)
    shell.advance(60.0, until=lambda: starts(shell) > before)
    return shell.connection_starts[-1].avoid


@pytest.mark.parametrize("stage", ["handshake", "register", "map"])
def test_where_an_attempt_got_stuck_the_next_does_not_begin(stage: str) -> None:
    shell = SimulatedShell().started()
    connects(shell, FIRST, stage)
    shell.verdict("error" if stage != "map" else "silence", session=0)
    assert avoided(shell) == (FIRST,)
    connects(shell, SECOND, stage)
    fails(shell)
    assert avoided(shell) == (FIRST, SECOND), "the one that is longest ago is the first to be tried again"
    connects(shell, FIRST, stage)
    fails(shell)
    assert avoided(shell) == (SECOND, FIRST)


def test_an_address_that_brought_a_netmap_is_as_good_as_any() -> None:
    shell = SimulatedShell().started()
    connects(shell, FIRST)
    shell.verdict("error", session=0)
    connects(shell, SECOND)
    shell.session()
    shell.advance(60.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    assert avoided(shell) == (FIRST,), "that one works: why try the other"
    connects(shell, FIRST)
    shell.session()
    shell.advance(60.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    assert avoided(shell) == ()


def test_what_says_nothing_about_an_address_is_not_held_against_it() -> None:
    shell = SimulatedShell().started()
    connects(shell, FIRST)
    shell.reconnect()
    assert avoided(shell) == ()
    connects(shell, FIRST)
    shell.end(CONNECTION, signal=9)
    assert avoided(shell) == ()
    connects(shell, FIRST, "login")
    fails(shell)
    assert avoided(shell) == ()


def test_only_so_many_addresses_are_remembered() -> None:
    shell = SimulatedShell().started()
    for number in range(40):
        connects(shell, f"192.0.2.{number}:443")
        fails(shell)
    assert len(avoided(shell)) == 16
    assert avoided(shell)[-1] == "192.0.2.39:443"
