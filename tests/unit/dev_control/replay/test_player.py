"""A recording as it is played: when, to whom, and how often."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.replay.player import END_AFTER, MAX_PACE, ReplayPlayer
from netmap_actors.recording.format import (
    RecordedEnd,
    Recording,
    began_line,
    document_line,
    end_line,
    header_line,
    read_recording,
)


def recording(*sessions: tuple[list[float], float | None]) -> Recording:
    """Sessions of messages at these times, and their ends."""
    lines = [header_line("x", 130, {}, "")]
    for number, (times, end) in enumerate(sessions, 1):
        lines.append(began_line(number, number, ""))
        for index, at in enumerate(times):
            first = {"Node": {"ID": 1}, "Domain": f"s{number}"}
            lines.append(document_line(at, first if index == 0 else {"OfThis": [number, index]}, 1))
        if end is not None:
            lines.append(end_line(end, RecordedEnd("closed")))
    return read_recording(lines, "x")


def of(player: ReplayPlayer, now: float) -> list[Any]:
    return [one.end.reason if one.end else msgspec.json.decode(one.json)["OfThis"] for one in player.due(now)]


def whole(player: ReplayPlayer) -> Any:
    return msgspec.json.decode(player.whole())


@pytest.mark.parametrize("pace", [1.0, 10.0])
def test_each_message_is_due_at_its_time(pace: float) -> None:
    player = ReplayPlayer(recording(([0, 2, 5], 6)), pace=pace)
    assert player.deadline() is None
    player.begin(100.0)
    assert whole(player) == {"Node": {"ID": 1}, "Domain": "s1"}
    assert player.deadline() == 100 + 2 / pace
    assert of(player, 100 + 1.9 / pace) == []
    assert of(player, 100 + 2 / pace) == [[1, 1]]
    assert whole(player) == {"Node": {"ID": 1}, "Domain": "s1", "OfThis": [1, 1]}
    assert of(player, 100 + 9 / pace) == [[1, 2]]
    assert player.deadline() == 100 + 9 / pace + END_AFTER
    assert of(player, 100 + 9 / pace + END_AFTER) == ["closed"]
    assert (player.deadline(), player.over) == (None, True)


def test_the_next_session_begins_with_who_asks_after_the_end_of_one() -> None:
    player = ReplayPlayer(recording(([0], 1), ([0, 1], None)))
    player.begin(10.0)
    player.begin(10.5)
    assert of(player, 11.0) == ["closed"]
    assert whole(player)["Domain"] == "s1"
    player.begin(20.0)
    assert whole(player)["Domain"] == "s2"
    assert of(player, 21.0) == [[2, 1]]
    assert of(player, 22.0) == []
    assert (player.deadline(), player.over) == (None, True)
    player.begin(30.0)
    assert whole(player)["OfThis"] == [2, 1]


def test_before_anything_has_begun_a_reader_gets_the_first_map() -> None:
    assert whole(ReplayPlayer(recording(([0, 1], None)))) == {"Node": {"ID": 1}, "Domain": "s1"}


def test_it_begins_again_where_that_is_wanted() -> None:
    player = ReplayPlayer(recording(([0, 1], None)), again=True)
    for since in (0.0, 50.0):
        player.begin(since)
        assert of(player, since + 1) == [[1, 1]]
        assert of(player, since + 2) == ["again"]
        assert player.over


@given(
    sessions=st.lists(
        st.tuples(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).map(sorted), st.just(1e6)),
        min_size=1,
        max_size=3,
    )
)
def test_as_fast_as_may_be_everything_comes_once_and_in_order(
    sessions: list[tuple[list[float], float | None]],
) -> None:
    player, found = ReplayPlayer(recording(*sessions), pace=MAX_PACE), []
    for number, (times, _) in enumerate(sessions, 1):
        player.begin(5.0)
        session: list[Any] = []
        while player.deadline() is not None:
            assert player.deadline() in {5.0, 5.0 + END_AFTER}
            session += of(player, player.deadline() or 0.0)
        assert session == [*([number, index] for index in range(1, len(times))), "closed"]
        found.append(session)
    assert player.over
