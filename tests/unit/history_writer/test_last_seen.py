"""Up to when a history may say that it has seen anything, after a process or the machine has ended."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from netmap_actors.history_writer.last_seen import (
    BRIDGED,
    KERNEL_WRITES,
    LastSeen,
    missed_nothing,
    seen_until,
)

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.parametrize(
    ("marked", "shown", "blind_for", "nothing"),
    [
        ((7, 3), (7, 3), 0.5, True),
        ((7, 3), (7, 3), BRIDGED, True),
        ((7, 3), (7, 4), 0.5, False),
        ((7, 3), (8, 3), 0.5, False),
        ((0, 0), (0, 0), 0.5, False),
        ((7, 3), (0, 0), 0.5, False),
        ((0, 0), (7, 3), 0.5, False),
        ((7, 3), (7, 3), BRIDGED + 0.1, False),
        ((7, 3), (7, 3), -0.1, False),
    ],
    ids=[
        "nothing came",
        "just in time",
        "something came",
        "another publisher",
        "stale all the time",
        "stale now",
        "stale then",
        "long ago",
        "the clock was set back",
    ],
)
def test_nothing_was_missed_only_where_the_publisher_has_committed_nothing(
    marked: tuple[int, int], shown: tuple[int, int], blind_for: float, nothing: bool
) -> None:
    assert missed_nothing(marked, shown, blind_for=blind_for) is nothing


def test_the_mark_of_a_process_is_found_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "seen"
    path.write_bytes(struct.pack("<d", NOW))
    first = LastSeen(path)
    assert (first.at, first.fresh) == (NOW, (0, 0)), "an older release kept the time alone"
    first.mark(NOW + 1, (2**64 - 1, 5))
    assert (LastSeen(path).at, LastSeen(path).fresh) == (NOW + 1, (2**64 - 1, 5))
    first.mark(NOW + 2)
    assert LastSeen(path).fresh == (0, 0)
    path.write_bytes(b"x")
    assert (LastSeen(path).at, LastSeen(path).fresh) == (0.0, (0, 0))
