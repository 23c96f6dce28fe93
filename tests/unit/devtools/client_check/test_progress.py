"""How much longer a check takes, and how it is told on a terminal and elsewhere."""

from __future__ import annotations

import re
import threading

import pytest

from netmap_supervisor.devtools.client_check.outcome import CheckVerdict
from netmap_supervisor.devtools.client_check.progress import Progress
from netmap_supervisor.devtools.client_check.report.time_left import TimeLeft, duration_text
from tests.support.netmaps.check_outcomes import HOSTILE, outcome


@pytest.mark.parametrize(("jobs", "to_go"), [(1, 100.0), (2, 60.0), (3, 60.0), (9, 60.0)])
def test_scenarios_side_by_side_take_less(jobs: int, to_go: float) -> None:
    left = TimeLeft({"long": 60.0, "middle": 30.0, "short": 10.0}, jobs)
    assert left.to_go(0.0) == to_go


def test_it_shrinks_as_time_passes_and_as_scenarios_end() -> None:
    left = TimeLeft({"a": 60.0, "b": 30.0, "c": 10.0}, 1)
    seen = [left.to_go(0.0)]
    left.began("a", 0.0)
    seen += [left.to_go(now) for now in (0.0, 20.0, 59.0, 61.0, 70.0)]
    assert left.running == ("a",)
    left.ended("a")
    left.began("b", 70.0)
    seen.append(left.to_go(70.0))
    left.ended("b")
    left.ended("c")
    seen.append(left.to_go(71.0))
    assert seen == [100.0, 100.0, 80.0, 41.0, 40.0, 40.0, 40.0, 0.0]


def test_one_that_is_run_again_counts_again_after_all_others() -> None:
    left = TimeLeft({"a": 60.0, "b": 40.0, "c": 30.0}, 2)
    left.began("a", 0.0)
    left.began("b", 0.0)
    left.waits("b")
    assert (left.running, left.to_go(10.0)) == (("a",), 90.0)
    left.began("c", 10.0)
    left.ended("c")
    left.ended("a")
    left.began("b", 60.0)
    assert (left.running, left.to_go(70.0)) == (("b",), 30.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0 s"), (0.1, "5 s"), (25.0, "25 s"), (60.0, "60 s"), (61.0, "2 min"), (665.0, "12 min")],
)
def test_a_duration_is_never_told_too_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "netmap_supervisor.devtools.client_check.progress"
    monkeypatch.setattr(f"{place}.can_redraw", lambda _: True)
    monkeypatch.setattr(f"{place}.error_width", lambda: 60)


def test_lines_in_a_pipe_are_plain(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress({"session/cut": 60.0, "session/goaway": 60.0}, 1)
    progress.began("session/cut")
    progress.tick()
    progress.done([outcome("session/cut", CheckVerdict.FAIL, "not back")])
    progress.began("session/goaway")
    progress.done([outcome("session/goaway", CheckVerdict.SKIP, HOSTILE)])
    progress.over()
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\r" not in said
    first, second, third = said.splitlines()
    assert first == "2 scenarios, at most about 2 min"
    assert second == "    1/2  fail   session/cut: not back (at most about 60 s to go)"
    assert third.startswith("    2/2  skip   session/goaway: \\x1b[31m")


def test_what_is_not_run_for_the_same_reason_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["session/cut", "session/goaway", "session/rst-stream", "session/end-stream"]
    progress = Progress({"join/first-map": 30.0, **dict.fromkeys(names, 60.0)}, 1)
    why = "join/first-map failed"
    progress.done(
        [
            outcome("join/first-map", CheckVerdict.FAIL, "no map"),
            *(outcome(name, CheckVerdict.SKIP, why, attempts=()) for name in names[:3]),
            outcome(names[3], CheckVerdict.SKIP, "not for this client", attempts=()),
        ]
    )
    assert capsys.readouterr().err.splitlines()[1:] == [
        "    1/5  fail   join/first-map: no map (at most about 4 min to go)",
        "    4/5  skip   3 scenarios: join/first-map failed (at most about 60 s to go)",
        "    5/5  skip   session/end-stream: not for this client",
    ]


@pytest.mark.usefixtures("terminal")
def test_a_terminal_shows_what_runs_within_its_width(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["session/cut", "session/goaway", "session/rst-stream", "session/end-stream", "liveness/silence"]
    progress = Progress(dict.fromkeys(names, 60.0), 5)
    for name in names:
        progress.began(name)
    progress.done([outcome("session/cut", CheckVerdict.PASS, "new TCP connection " * 5)])
    progress.over()
    said = capsys.readouterr().err
    assert "at most about 60 s to go; running: session/cut, session" in said
    # click leaves control sequences out of what is no terminal.
    assert said.endswith("\r"), "nothing is left of it"
    for line in re.split(r"[\n\r]", said):
        assert len(line) <= 60, line


@pytest.mark.usefixtures("terminal")
def test_it_is_told_from_any_thread(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"session/{number}" for number in range(20)]
    progress = Progress(dict.fromkeys(names, 60.0), 20)
    threads = [threading.Thread(target=progress.began, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "running: " in capsys.readouterr().err
