"""The workers of one run each collect the tests, at moments of their own: what they find has to be the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.availability import unavailable
from tests.support.host import moved_clocks

ROOT = Path(__file__).parents[2]
COLLECT = (sys.executable, "-P", "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests")
DAY = 86_400.0


@pytest.mark.timeout(240)
def test_the_same_tests_are_found_on_another_day_and_with_other_hashes(tmp_path: Path) -> None:
    """A parameter that holds the time, a random number or the order of a set makes a name that no other worker has."""
    if reason := moved_clocks.problem():
        unavailable(reason)
    clocks = moved_clocks.MovedClocks(tmp_path)
    clocks.advance(DAY)
    running = [
        subprocess.Popen(
            COLLECT,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, **moved},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed, moved in (("1", {}), ("2", clocks.env))
    ]
    today, tomorrow = (
        [line for line in one.communicate()[0].splitlines() if "::" in line] for one in running
    )
    assert [one.returncode for one in running] == [0, 0]
    assert len(today) > 10_000
    assert set(today) ^ set(tomorrow) == set()
    assert today == tomorrow
