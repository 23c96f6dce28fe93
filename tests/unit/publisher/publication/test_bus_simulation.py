"""Thousands of seeded histories of a publisher and its subscribers, in milliseconds each."""

from __future__ import annotations

import os

import pytest

from tests.support.netmaps.bus_simulation import HEARTBEAT, TICK, Simulation

BLOCKS, HISTORIES = 8, 250
"""Together 2 000; NETMAP_SIMULATION_SEED=N runs that one alone."""
STEPS = 40
LIMIT = 2.0


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_subscriber_ends_with_the_exact_netmap_and_never_showed_a_false_one(block: int) -> None:
    wanted = os.environ.get("NETMAP_SIMULATION_SEED")
    seeds = [int(wanted)] if wanted else range(block * HISTORIES, (block + 1) * HISTORIES)
    times = []
    for seed in seeds:
        simulation = Simulation(seed)
        try:
            times.append(simulation.run(STEPS))
        except AssertionError as error:
            error.add_note(f"seed {seed}: NETMAP_SIMULATION_SEED={seed} repeats it")
            raise
    print(f"seeds {seeds}: at rest after {max(times):.2f} s at most")
    assert max(times) <= LIMIT + 2 * TICK, f"a heartbeat comes every {HEARTBEAT} s"


def test_a_history_is_its_seed() -> None:
    first, second = Simulation(7), Simulation(7)
    assert first.run(STEPS) == second.run(STEPS)
    assert len(first.clients[0].seen) > 1
