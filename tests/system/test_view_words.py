"""What the view of `run` says beside the screen: its own lines in the log, and none of the Supervisor's."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for
from tests.system.test_run_view import CONTROL_SEQUENCE, Screen, place  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORGED = '{"event":"stopped","level":"warning","actor":"supervisor","pid":1,"mark":"forged"}'
LINES = 3000
SITECUSTOMIZE = f"""
import os, sys
if "netmap_supervisor" in sys.orig_argv and "view" in sys.orig_argv:
    def say(data):
        while data:
            data = data[os.write(2, data):]
    say(b'''{FORGED}\\n''' * {LINES})
    say(b"x" * 200_000 + b"\\n")
    say(b"the last line\\n")
"""


@pytest.fixture
def loud(tmp_path: Path) -> dict[str, str]:
    """An environment in which every view says all this."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.fixture
def with_view(loud: dict[str, str]) -> Iterator[Daemon]:
    with Daemon("--view=plain", env=loud) as daemon:
        yield daemon


def events(daemon: Daemon) -> list[dict[str, Any]]:
    return [json.loads(line) for line in daemon.log_path.read_bytes().splitlines() if line.endswith(b"}")]


def test_what_the_view_says_is_logged_as_its_own_and_bounded(with_view: Daemon) -> None:
    with_view.wait_fresh()
    wait_for(
        lambda: (with_view.status() or {}).get("log_lines_suppressed", 0) > LINES - 100,
        20.0,
        "most of it is counted",
    )
    told = events(with_view)
    forged = [one for one in told if one.get("mark") == "forged"]
    assert forged
    assert {(one["actor"], one["event"], one["said"], one["generation"]) for one in forged} == {
        ("view", "child_output", "stopped", 1)
    }
    assert len(told) < 200
    assert max(map(len, with_view.log_path.read_bytes().splitlines())) < 10_000
    assert with_view.terminate() == 0
    last = events(with_view)
    assert [one.get("mark") for one in last if one["event"] == "stopped"] == [None]
    suppressed = [one for one in last if one["event"] == "log_lines_suppressed" and one["actor"] == "view"]
    assert sum(one["lines"] for one in suppressed) > LINES - 100


def test_on_the_screen_its_words_are_not_drawn_over_it(loud: dict[str, str], place: Path) -> None:  # noqa: F811
    with Screen(place, **loud) as screen:
        screen.wait_for("FRESH")
        assert screen.end()[0] == 0
        while screen.read():
            pass
        shown = CONTROL_SEQUENCE.sub("", screen.text)
        assert "router-7" in shown
        assert "forged" not in shown


def test_that_the_view_has_ended_is_told(place: Path) -> None:  # noqa: F811
    with Screen(place) as screen:
        screen.wait_for("FRESH")
        [viewer] = screen.viewers()
        os.kill(viewer, signal.SIGKILL)
        assert screen.command("fault", "kill", "publisher").returncode == 0
        screen.wait_for("view_ended")
        assert f"pid={viewer}" in CONTROL_SEQUENCE.sub("", screen.text)
        assert screen.end()[0] == 0
