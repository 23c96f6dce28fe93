"""The pipe from `run` to its view: when the view is started, and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.bus.loop import Loop
from netmap_actors.clock import SystemClock
from netmap_supervisor.daemon.output.log_pipes import LogPipes
from netmap_supervisor.system.log import Log
from netmap_supervisor.view import process
from netmap_supervisor.view.process import MOST_STARTS, PAUSE, RunView
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

FACTS: Any = None


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def boottime(self) -> float:
        return self.now


@pytest.fixture
def log_pipes() -> Iterator[LogPipes]:
    loop = Loop()
    log = Log(SystemClock(), fd=os.open(os.devnull, os.O_WRONLY))
    yield LogPipes(loop, log)
    log.close()
    loop.close()
    os.close(log._fd)


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunView]:
    made = RunView("plain", tmp_path, banner="a banner", hint="", began=0.0, last_log=lambda: _last(tmp_path))
    clock = _Clock()
    monkeypatch.setattr(made, "_clock", clock)
    copy = f"import sys; [open({str(tmp_path / 'seen')!r}, 'a').write(line) for line in sys.stdin]"
    monkeypatch.setattr(made, "_command", [sys.executable, "-c", copy])
    yield made
    made.close()


def _last(directory: Path) -> Log:
    return Log(SystemClock(), fd=os.open(directory / "last", os.O_WRONLY | os.O_CREAT))


def kill(view: RunView) -> None:
    assert view._process is not None
    view._process.kill()
    view._process.wait()


def test_nothing_is_shown_before_the_directories_are_ours(
    view: RunView, log_pipes: LogPipes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    view.event("info", "early", {})
    assert capsys.readouterr().out == ""
    assert view._process is None
    view.facts(FACTS, log_pipes)
    assert capsys.readouterr().out == "a banner\n"
    view.event("info", "told", {})
    view.close()
    assert "told" in (tmp_path / "seen").read_text()
    view._process = None


def test_ctrl_c_before_the_view_ignores_it_does_not_end_it(
    view: RunView, log_pipes: LogPipes, tmp_path: Path
) -> None:
    """A terminal sends it to the whole foreground group, while the view is still being loaded."""
    early = f"import os, signal; [os.kill(os.getpid(), n) for n in (2, 15)]; open({str(tmp_path / 'lives')!r}, 'x')"
    view._command = [sys.executable, "-c", early]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    view.facts(FACTS, log_pipes)
    assert view._process is not None
    assert view._process.wait(20) == 0
    assert (tmp_path / "lives").exists()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, "the daemon goes on hearing them"


def test_a_view_that_died_is_started_again_but_not_for_ever(
    view: RunView, log_pipes: LogPipes, tmp_path: Path
) -> None:
    clock: Any = view._clock
    view.facts(FACTS, log_pipes)
    kill(view)
    view.event("info", "too-soon", {})
    assert view._starts == 1
    for start in range(2, MOST_STARTS + 4):
        clock.now += PAUSE
        view.event("info", "more", {})
        assert view._starts == min(start, MOST_STARTS)
        kill(view)
    assert view.dropped == 1 + 3
    assert process.MAX_EVENT_BYTES < 4096


def test_what_comes_after_the_second_start_is_shown(
    view: RunView, log_pipes: LogPipes, tmp_path: Path
) -> None:
    clock: Any = view._clock
    view.facts(FACTS, log_pipes)
    kill(view)
    clock.now += PAUSE
    view.event("info", "first", {})
    view.event("info", "second", {})
    view.close()
    wait_for((tmp_path / "seen").exists, 10.0, "a line")
    assert [word in (tmp_path / "seen").read_text() for word in ("first", "second")] == [True, True]
    view._process = None


def test_a_view_that_cannot_be_started_costs_the_view_alone(
    view: RunView, log_pipes: LogPipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock: Any = view._clock
    tried = []

    def no_memory(*_words: object, **_options: object) -> None:
        tried.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    def descriptors() -> set[str]:
        return {path.name for path in Path("/proc/self/fd").iterdir()}

    before = descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", no_memory)
        view.facts(FACTS, log_pipes)
        view.event("info", "lost", {})
        clock.now += PAUSE
        view.event("info", "lost", {})
        assert (view.dropped, len(tried)) == (2, 2)
    clock.now += PAUSE
    view.event("info", "told", {})
    assert view._process is not None
    view.close()
    assert (view.dropped, descriptors()) == (2, before)


def test_what_the_view_says_is_told_in_its_name_also_when_the_run_is_over(
    view: RunView, log_pipes: LogPipes, tmp_path: Path
) -> None:
    forged = '{"event":"stopped","actor":"supervisor"}'
    view._command = [
        sys.executable,
        "-c",
        f"import sys; sys.stdin.read(); sys.stderr.write('{forged}\\nlast words')",
    ]
    view.facts(FACTS, log_pipes)
    view.close()
    told = [json.loads(line) for line in (tmp_path / "last").read_bytes().splitlines()]
    assert [(one["actor"], one["event"], one["generation"]) for one in told] == [
        ("view", "child_output", 1)
    ] * 2
    assert (told[0]["said"], told[1]["text"]) == ("stopped", "last words")


def test_why_a_view_has_ended_is_told(
    view: RunView, log_pipes: LogPipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str, dict[str, Any]]] = []
    monkeypatch.setattr(
        log_pipes.log, "event", lambda level, event, fields, _="": told.append((level, event, fields))
    )
    view._command = [sys.executable, "-c", "raise ValueError('a screen\x1b[2J')"]
    view.facts(FACTS, log_pipes)
    assert view._process is not None
    pid = view._process.pid
    assert view._process.wait(20) == 1
    view.event("info", "more", {})
    level, event, fields = told[-1]
    assert (level, event) == ("error", "view_ended")
    assert fields == {
        "actor": "view", "pid": pid, "generation": 1, "status": 1, "detail": r"ValueError: a screen\x1b[2J",
    }  # fmt: skip
    view.event("info", "more", {})
    assert [event for _, event, _ in told].count("view_ended") == 1
