"""Up to when a history may say that it has seen anything, after a process or the machine has ended."""

from __future__ import annotations

import pytest

from netmap_actors.history_writer.last_seen import KERNEL_WRITES, seen_until

NOW = 10_000.0


@pytest.mark.parametrize(
    ("written", "marked", "booted", "expected"),
    [
        (None, 9_000.0, 0.0, None),
        (8_000.0, 9_000.0, 0.0, 9_000.0),
        (9_000.0, 8_000.0, 0.0, 9_000.0),
        # The mark has reached the disk, of what was written before it some may not have.
        (8_000.0, 9_000.0, 9_500.0, 9_000.0 - KERNEL_WRITES),
        (8_990.0, 9_000.0, 9_500.0, 8_990.0),
        # The clock was set back meanwhile.
        (11_000.0, 12_000.0, 0.0, NOW),
        (8_000.0, 0.0, 9_500.0, 8_000.0),
    ],
    ids=[
        "none before",
        "killed",
        "no mark",
        "power cut",
        "written late",
        "set back",
        "power cut without a mark",
    ],
)
def test_nothing_is_claimed_that_may_be_lost(
    written: float | None, marked: float, booted: float, expected: float | None
) -> None:
    assert seen_until(written, marked, booted=booted, now=NOW) == expected
