"""Several ends that say together what none of them says alone, and how clients spread that lost it together."""

from __future__ import annotations

import collections
import random

import pytest

from netmap_actors.exit_reason import ExitReason
from netmap_actors.wire.vocabulary import EndReason
from netmap_supervisor.connection.patterns import ALIKE, CALM, DUPLICATE_SESSION, IDLE_CUT, NO_FIRST_MAP
from netmap_supervisor.connection.schedule import GOOD_SESSION, ConnectionSchedule
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"
CLIENTS = 1000


def session(
    shell: SimulatedShell, lived: float, reason: ExitReason = ExitReason.CLOSED, *, full: bool = True
) -> None:
    """The next process comes up, has a session for so long, and ends."""
    shell.advance(120.0, until=lambda: CONNECTION in shell.processes)
    shell.ready(CONNECTION)
    shell.session(full=full)
    shell.advance(lived)
    shell.end(CONNECTION, reason)


@pytest.mark.parametrize("cut", [12.0, 30.0, 60.0, 110.0])
def test_f40_sessions_cut_after_the_same_time_are_named_and_met_promptly(cut: float) -> None:
    shell = SimulatedShell().started()
    for number in range(12):
        assert (IDLE_CUT in shell.degraded()) == (number >= ALIKE)
        ended = shell.boottime
        session(shell, cut + (number % 3) * 0.3)
        if cut >= GOOD_SESSION:
            # The pace goes back to its start each time: it does not grow.
            assert shell.boottime - ended <= cut + 0.6 + 5.0
    (condition,) = [one for one in shell.core.tree.conditions.all() if one.code == IDLE_CUT]
    assert "idle connections" in condition.text


def test_f40_the_warning_goes_with_a_session_that_lives() -> None:
    shell = SimulatedShell().started()
    for _ in range(ALIKE):
        session(shell, 30.0)
    assert IDLE_CUT in shell.degraded()
    shell.advance(10.0, until=lambda: CONNECTION in shell.processes)
    shell.ready(CONNECTION)
    shell.session()
    shell.advance(CALM + 10.0)
    shell.session()
    assert IDLE_CUT not in shell.degraded()


def test_f35_sessions_that_somebody_else_takes_are_named_and_the_fight_slows_down() -> None:
    shell = SimulatedShell().started()
    starts = []
    for number in range(14):
        assert (DUPLICATE_SESSION in shell.degraded()) == (number >= ALIKE)
        session(shell, 3.0)
        starts.append(shell.boottime)
    assert starts[-1] - starts[-3] >= 40.0, "two starts a minute at most"
    assert DUPLICATE_SESSION in shell.degraded()


@pytest.mark.parametrize(
    ("ends", "reason", "full"),
    [
        ((30.0, 50.0, 70.0, 90.0), ExitReason.CLOSED, True),
        ((30.0, 30.0), ExitReason.CLOSED, True),
        ((30.0, 30.0, 30.0), ExitReason.ERROR, True),
        ((30.0, 30.0, 30.0), ExitReason.CLOSED, False),
        ((3.0, 30.0, 3.0, 30.0), ExitReason.CLOSED, True),
        ((400.0, 400.0, 400.0), ExitReason.CLOSED, True),
    ],
)
def test_what_has_nothing_in_common_is_no_pattern(
    ends: tuple[float, ...], reason: ExitReason, full: bool
) -> None:
    shell = SimulatedShell().started()
    for lived in ends:
        session(shell, lived, reason, full=full)
    assert not {IDLE_CUT, DUPLICATE_SESSION} & set(shell.degraded())


def test_f41_a_line_too_slow_for_the_netmap_is_named_until_it_has_carried_one() -> None:
    shell = SimulatedShell().started()
    for number in range(4):
        assert (NO_FIRST_MAP in shell.degraded()) == (number >= 2)
        shell.advance(120.0, until=lambda: CONNECTION in shell.processes)
        shell.ready(CONNECTION)
        shell.session(full=False)
        shell.verdict("silence")
    (condition,) = [one for one in shell.core.tree.conditions.all() if one.code == NO_FIRST_MAP]
    assert "too slow" in condition.text
    shell.advance(120.0, until=lambda: CONNECTION in shell.processes)
    shell.ready(CONNECTION)
    shell.session()
    assert NO_FIRST_MAP not in shell.degraded()


@pytest.mark.parametrize("seed", range(5))
def test_f34_a_thousand_clients_of_a_server_that_restarts_do_not_come_at_once(seed: int) -> None:
    dice = random.Random(seed)
    arrivals = sorted(
        ConnectionSchedule(random.Random(dice.random()).random).ended(EndReason.CLOSED, 1000.0, good=True)
        for _ in range(CLIENTS)
    )
    assert arrivals[-1] - arrivals[0] >= 2.0
    in_tenth = collections.Counter(int(at * 10) for at in arrivals)
    assert max(in_tenth.values()) <= 0.05 * CLIENTS, "in any 100 ms"
    # No spike at whole seconds: each tenth of a second has its share.
    of_second = collections.Counter(int(at * 10) % 10 for at in arrivals)
    assert max(of_second.values()) <= 2 * min(of_second.values())


@pytest.mark.parametrize("seed", range(5))
def test_f34_a_server_that_stays_away_is_not_met_by_a_herd_when_it_comes_back(seed: int) -> None:
    dice = random.Random(seed)
    arrivals = []
    for _ in range(CLIENTS):
        schedule = ConnectionSchedule(random.Random(dice.random()).random)
        at, tries = schedule.ended(EndReason.CLOSED, 0.0, good=True), 1
        while at < 120.0:
            schedule.started(at)
            at += schedule.ended(EndReason.ERROR, at, good=False)
            tries += 1
        assert tries <= 25
        arrivals.append(at)
    assert max(arrivals) - min(arrivals) >= 2.0
    assert max(collections.Counter(int(at * 10) for at in arrivals).values()) <= 0.05 * CLIENTS
