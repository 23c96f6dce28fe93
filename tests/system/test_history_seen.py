"""What a history has seen although its process was killed, or the clock was set."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.questions import ask_daemon
from tests.support.availability import unavailable
from tests.support.host import moved_clocks
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for
from tests.system.test_history import at, history, told

if TYPE_CHECKING:
    from pathlib import Path


def test_where_nothing_came_while_the_history_was_away_nothing_was_missed() -> None:
    with Daemon(config="[dev_control]\nnodes = 5\nchurn = 0.0\n", history=True) as daemon:
        daemon.wait_fresh()
        for generation in (2, 3):
            wait_for(lambda: told(history(daemon), "netmap_fresh"), 10.0, "a fresh netmap in the history")
            daemon.signal_actor("history")
            daemon.wait_event("actor_ready", 40.0, actor="history", generation=generation)
        answer = wait_for(
            lambda: (found := history(daemon))["netmap"][-1]["until"] == found["until"] and found,
            10.0,
            "the netmap as it is now",
        )
        assert len(told(answer, "actor_exited")) == 2
        assert told(answer, "gap") == []
        assert len(told(answer, "netmap_fresh")) == 1
        assert len(answer["gaps"]) == 1, "before the first word of it"
        for lane in ("netmap", "connection"):
            assert at(answer[lane][-1]["since"]) < at(told(answer, "actor_exited")[0]["at"])
        # What comes while it is away is not seen.
        daemon.signal_actor("history", signal.SIGSTOP)
        daemon.signal_actor("control_connection")
        daemon.wait_event("first_netmap", 20.0, after=1)
        daemon.wait_fresh()
        daemon.signal_actor("history")
        daemon.wait_event("actor_ready", 40.0, actor="history", generation=4)
        answer = wait_for(lambda: told(found := history(daemon), "gap") and found, 10.0, "the gap")
        assert len(answer["gaps"]) == 2


@pytest.mark.parametrize("by", [3 * 86400.0, -3600.0], ids=["forward", "back"])
def test_a_clock_that_is_set_is_no_life(tmp_path: Path, by: float) -> None:
    if (reason := moved_clocks.problem()) is not None:
        unavailable(reason)
    clocks = moved_clocks.MovedClocks(tmp_path)
    config = "[dev_control]\nnodes = 5\nchurn = 0.0\n"
    with Daemon(config=config, history=True, env=clocks.env) as daemon:
        daemon.wait_fresh()
        wait_for(lambda: told(history(daemon), "netmap_fresh"), 10.0, "a fresh netmap in the history")
        clocks.step_wall(by)
        answer = wait_for(
            lambda: (
                told(found := whole_history(daemon), "clock_stepped")
                and found["connection"]
                and found["connection"][-1]["until"] == found["netmap"][-1]["until"]
                and found
            ),
            20.0,
            "the step",
        )
        (step,) = told(answer, "clock_stepped")
        assert abs(step["detail"]["by_s"] - by) < 1.0
        assert len(told(answer, "netmap_fresh")) == 1
        lanes = [answer["netmap"], answer["connection"], *(node["spans"] for node in answer["nodes"])]
        for spans in lanes:
            assert sum(at(one["until"]) - at(one["since"]) for one in spans) < 600, "nobody lived so long"
            assert at(spans[-1]["since"]) >= at(step["at"]) - 1.0, "what holds goes on"


def whole_history(daemon: Daemon) -> dict[str, Any]:
    """Whatever its clock says."""
    return ask_daemon(HistoryQuestion(), daemon.runtime_dir).to_json()
