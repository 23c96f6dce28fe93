"""A clock that is set is told from one that goes on."""

from __future__ import annotations

import pytest

from netmap_actors.history_writer.clock_steps import LEAST, ClockStep, ClockSteps

WALL = 1_767_323_045.0


@pytest.mark.parametrize(
    ("passed", "moved", "reading", "step"),
    [
        (5.0, 5.0, 0.0, None),
        (5.0, 5.01, 0.0, None),
        (28_800.0, 28_800.0, 0.0, None),
        (5.0, 5.0 + 3 * 86400.0, 0.0, ClockStep(WALL, WALL + 5.0 + 3 * 86400.0, 3 * 86400.0)),
        (5.0, 5.0 - 3600.0, 0.0, ClockStep(WALL, WALL + 5.0 - 3600.0, -3600.0)),
        (5.0, 5.0 + LEAST, 0.0, ClockStep(WALL, WALL + 5.0 + LEAST, LEAST)),
        (5.0, 45.0, 40.0, None),
    ],
    ids=["goes on", "slewed", "a night asleep", "set forward", "set back", "the least", "asleep between"],
)
def test_a_step_is_what_the_boot_time_does_not_tell(
    passed: float, moved: float, reading: float, step: ClockStep | None
) -> None:
    steps = ClockSteps()
    assert steps.look(100.0, WALL, 100.0) is None
    assert steps.look(100.0 + passed, WALL + moved, 100.0 + passed + reading) == step
    if not reading:
        assert steps.look(101.0 + passed, WALL + moved + 1.0, 101.0 + passed) is None, "it is told once"
