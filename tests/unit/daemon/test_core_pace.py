"""How often the core makes a connection when each of them ends: never in a hot loop, never for good."""

from __future__ import annotations

import pytest

from netmap_actors.exit_reason import ExitReason
from tests.support.machines.simulated_shell import SimulatedShell

CONNECTION = "control_connection"
TEN_MINUTES = 600.0
MOST = 31
"""Attempts in ten minutes of failures: a handful at first, then one in half a minute."""


def attempts(shell: SimulatedShell, *, lives: float, full: bool, reason: ExitReason) -> int:
    """Processes started within ten minutes when each has a session that ends after `lives` seconds."""
    end = shell.boottime + TEN_MINUTES
    before = shell.generation(CONNECTION)
    while shell.boottime < end:
        shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
        shell.ready(CONNECTION)
        shell.session(full=full)
        shell.advance(lives)
        shell.end(CONNECTION, reason)
    return shell.generation(CONNECTION) - before


@pytest.mark.parametrize("reason", [ExitReason.CLOSED, ExitReason.ERROR, ExitReason.CRASHED])
def test_f30_a_server_that_gives_the_netmap_and_hangs_up_is_not_hammered(reason: ExitReason) -> None:
    assert attempts(SimulatedShell().started(), lives=0.5, full=True, reason=reason) <= MOST


def test_f30_a_server_that_gives_nothing_and_hangs_up_is_not_hammered() -> None:
    assert attempts(SimulatedShell().started(), lives=0.1, full=False, reason=ExitReason.CLOSED) <= MOST


def test_a_proxy_that_cuts_every_half_minute_is_met_promptly_each_time() -> None:
    shell = SimulatedShell().started()
    assert attempts(shell, lives=30.0, full=True, reason=ExitReason.CLOSED) >= TEN_MINUTES / (30.0 + 4.5)


def test_f04_a_close_every_minute_for_twenty_minutes_costs_one_connection_each() -> None:
    shell = SimulatedShell().started()
    for number in range(20):
        shell.session()
        shell.advance(60.0)
        before = shell.generation(CONNECTION)
        shell.end(CONNECTION, ExitReason.CLOSED)
        ended = shell.boottime
        shell.advance(10.0, until=lambda: CONNECTION in shell.processes)
        assert shell.boottime - ended <= 4.1, f"no delay grows: close {number}"
        assert shell.generation(CONNECTION) == before + 1
        shell.ready(CONNECTION)
    assert shell.degraded() == ["idle_cut"], "and it is said whose fault that is"


def test_a_good_session_makes_up_for_failures_before_it() -> None:
    shell = SimulatedShell().started()
    for _ in range(8):
        shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
        shell.end(CONNECTION, ExitReason.ERROR)
    shell.advance(60.0, until=lambda: CONNECTION in shell.processes)
    shell.ready(CONNECTION)
    shell.session()
    shell.advance(30.0)
    shell.end(CONNECTION, ExitReason.CLOSED)
    ended = shell.boottime
    shell.advance(10.0, until=lambda: CONNECTION in shell.processes)
    assert shell.boottime - ended <= 4.1
