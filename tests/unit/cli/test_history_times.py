"""`history --since` and `--until`: what is a time, and which one."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from netmap_actors.clock import SystemClock
from netmap_supervisor.cli import commands, history
from netmap_supervisor.cli.history import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.history.answers import HistoryQuestion


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours before UTC in summer, one in winter."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


NOW = "2026-11-29T07:30:00Z"  # half past eight here


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-28T22:00:00Z", "2026-11-28T22:00:00Z"),
        ("2026-11-28 22:02:14", "2026-11-28T21:02:14Z"),
        ("2026-11-28 22:02", "2026-11-28T21:02:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("08:30", "2026-11-29T07:30:00Z"),
        ("06:00:01", "2026-11-29T05:00:01Z"),
        ("22:00", "2026-11-28T21:00:00Z"),
    ],
)
def test_a_time_is_of_this_machine_and_without_its_day_the_last_one(text: str, meant: str) -> None:
    assert moment_of(text, at(NOW)) == at(meant)


@pytest.mark.parametrize(
    "text", ["90m", "7d", "20261128", "86400", "-1h", "yesterday", "25:00", "0001-01-01", ""]
)
def test_any_other_text_is_none(text: str) -> None:
    assert moment_of(text, at(NOW)) is None


def test_the_night_before_a_clock_is_set_back_is_as_long_as_it_was() -> None:
    since, until = (moment_of(text, at("2026-10-25T08:00:00Z")) for text in ("22:00", "06:00"))
    assert since is not None
    assert until is not None
    assert until - since == 9 * 3600


@pytest.mark.parametrize(
    ("now", "began", "ended"),
    [
        ("2026-11-29T07:30:00Z", "2026-11-28T21:00:00Z", "2026-11-29T05:00:00Z"),
        # It lasts still: until now.
        ("2026-11-29T04:30:00Z", "2026-11-28T21:00:00Z", "2026-11-29T04:30:00Z"),
        ("2026-11-28T22:30:00Z", "2026-11-28T21:00:00Z", "2026-11-28T22:30:00Z"),
    ],
)
def test_a_night_is_the_one_that_is_over_or_lasts(
    now: str, began: str, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[HistoryQuestion] = []
    monkeypatch.setattr(SystemClock, "wall", lambda _: at(now))
    monkeypatch.setattr(history, "_answer", lambda _file, _flags, question: asked.append(question))
    # In either order.
    for words in (["--since=22:00", "--until=06:00"], ["--until=06:00", "--since=22:00"]):
        CliRunner().invoke(commands, ["history", "--json", *words])
    assert [(one.since, one.until) for one in asked] == [(at(began), at(ended))] * 2


def test_an_until_with_its_day_that_is_before_since_is_refused() -> None:
    found = CliRunner().invoke(commands, ["history", "--since=2026-11-02", "--until=2026-11-01"])
    assert found.exit_code == 2
    assert "--since is not before --until" in found.output


def test_what_is_no_time_is_answered_with_what_is_one() -> None:
    found = CliRunner().invoke(commands, ["history", "--since", "yesterday"])
    assert found.exit_code == 2
    words = " ".join(found.output.split())
    assert "'yesterday' is neither a time, as 22:00, \"2026-11-28 22:00\" or RFC 3339" in words
    assert "nor so long ago, as 90m, 24h or 7d" in words
