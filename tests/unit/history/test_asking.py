"""What a program may ask a history by `netmap_supervisor.history`, and what it is told of its mistakes."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest

import netmap_supervisor
from netmap_actors.clock import SystemClock
from netmap_actors.history import questions
from netmap_actors.history.occurrences import Happening, Occurrence

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_actors.history.answers import HistoryQuestion

HOUR = datetime.timedelta(hours=1)
SOME_DAY = datetime.datetime(2026, 11, 29, 12, 0, tzinfo=datetime.timezone(HOUR))


def test_times_and_kinds_are_asked_as_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[HistoryQuestion] = []
    monkeypatch.setattr(questions, "ask_daemon", lambda question, where: asked.append(question))
    netmap_supervisor.history(SOME_DAY, SOME_DAY + HOUR, peers=["web-1"], kinds=["node_offline"])
    netmap_supervisor.history(HOUR)
    netmap_supervisor.history()
    first, hour, day = asked
    assert (first.until, first.until - first.since) == (1795953600.0, 3600.0)
    assert (first.peers, first.kinds) == (("web-1",), (Happening.NODE_OFFLINE,))
    now = SystemClock().wall()
    assert 0 <= now - hour.until < 60 and round(hour.until - hour.since) == 3600
    assert round(day.until - day.since) == 86400 and (day.peers, day.kinds) == ((), ())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kinds": ["node_ofline"]}, "cannot tell of 'node_ofline': no such kind; there are run_started, "),
        ({"kinds": "node_offline"}, "as kinds: give a list"),
        ({"peers": "web-1"}, "as peers: give a list"),
        ({"since": SOME_DAY.replace(tzinfo=None)}, "it has no offset"),
        ({"until": SOME_DAY.replace(tzinfo=None)}, "it has no offset"),
    ],
)
def test_a_mistake_is_told_where_it_is_made(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match="cannot ") as told:
        netmap_supervisor.history(**given)  # type: ignore[arg-type]
    assert says in str(told.value)


def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(netmap_supervisor.NoHistory, match="the daemon is not running, or history"):
        netmap_supervisor.history(runtime_dir=tmp_path)


def test_an_occurrence_has_its_moment() -> None:
    assert Occurrence(at=SOME_DAY.timestamp(), kind=Happening.GAP).moment == SOME_DAY
