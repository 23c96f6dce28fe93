"""A history process that is killed, stopped and kept from writing: nothing is lost without a word, nothing is there
twice.
"""

from __future__ import annotations

import itertools
import os
import random
import resource
import shutil
import signal
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.occurrences import Happening
from netmap_actors.history.questions import QuestionLine
from netmap_actors.history.schema import VERSION
from netmap_actors.runtime_paths import history_path
from tests.support.processes.history_process import HistoryProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 30


@pytest.fixture
def history() -> Iterator[HistoryProcess]:
    place = Path(tempfile.mkdtemp(prefix="nmh-", dir="/tmp"))  # short: the path of a socket
    process = HistoryProcess(place, place / "history")
    try:
        yield process
    finally:
        process.close()
        shutil.rmtree(place)


def told(history: HistoryProcess) -> list[int]:
    """The numbers of what was told, as they are on disk, with those that are said to be missing."""
    out: list[int] = []
    for _, one in history.answer().occurrences:
        if one.kind is Happening.DEGRADED:
            out.append(one.detail["n"])
        elif one.kind is Happening.GAP:
            out += [-1] * one.detail.get("missed", 0)
    return out


def test_nothing_is_lost_or_there_twice_over_kills_at_any_moment(history: HistoryProcess) -> None:
    chance = random.Random(7)
    numbers = itertools.count()
    for _ in range(KILLS):
        history.start()
        for _ in range(chance.randrange(8)):
            history.happened("degraded", n=next(numbers))
            history.take_for(chance.choice((0.0, 0.001, 0.01, 0.03)))
        history.kill()
    history.start()
    history.wait_ready()
    history.wait_kept()
    assert told(history) == list(range(next(numbers)))
    answer = history.answer()
    assert [one.kind for _, one in answer.occurrences].count(Happening.ACTOR_EXITED) == KILLS
    assert [number for number, _ in answer.occurrences] == sorted({n for n, _ in answer.occurrences})


def test_one_that_is_stopped_while_much_happens_says_how_much_it_missed(history: HistoryProcess) -> None:
    history.start()
    history.wait_ready()
    history.happened("degraded", n=-2)
    history.wait_kept()
    os.kill(history.pid, signal.SIGSTOP)
    for number in range(5000):
        history.happened("degraded", n=number)
    os.kill(history.pid, signal.SIGCONT)
    history.wait_kept()
    history.happened("degraded", n=5000)
    history.wait_kept()
    found = told(history)
    assert found[0] == -2
    assert len(found) == 5002, "each is there, or counted as missing"
    assert 0 < found.count(-1) <= history.history_feed.lost
    assert [n for n in found if n >= 0] == sorted({n for n in found if n >= 0})
    assert found[-1] == 5000


def test_what_happens_while_the_disk_is_full_is_told_again(history: HistoryProcess) -> None:
    history.start()
    history.wait_ready()
    history.happened("degraded", n=0)
    history.wait_kept()
    limits = resource.prlimit(history.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(history.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
    for number in range(1, 50):
        history.happened("degraded", n=number, text="x" * 1000)
    history.take(lambda: "history" in history.conditions)
    for number in range(50, 100):
        history.happened("degraded", n=number)
    history.take_for(0.5)
    assert "cannot" in history.conditions["history"]
    resource.prlimit(history.pid, resource.RLIMIT_FSIZE, limits)
    history.take(lambda: "history" not in history.conditions)
    history.wait_kept()
    assert told(history) == list(range(100))


def test_who_waits_for_what_happens_hears_that_nothing_can_be_told(history: HistoryProcess) -> None:
    history.start()
    history.wait_ready()
    history.happened("degraded", n=0)
    history.wait_kept()
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(f"ipc://{history_path(history.runtime_dir)}")
        line = QuestionLine(socket)
        line.ask(HistoryQuestion(kinds=(Happening.NODE_JOINED,), wait=50.0, token=1))
        line.ask(HistoryQuestion(token=2))
        assert socket.poll(20_000), "the one that has an answer has it"
        first = line.told()
        assert first is not None
        assert (first.token, first.answer is None) == (2, False)
        limits = resource.prlimit(history.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(history.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
        for number in range(1, 50):
            history.happened("degraded", n=number, text="x" * 1000)
        history.take(lambda: "history" in history.conditions)
        assert socket.poll(20_000), "long before the wait is over"
        second = line.told()
        assert second is not None
        assert (second.token, second.answer) == (1, None)
        assert "it is not written now" in second.error


def test_a_file_of_a_newer_version_is_left_as_it_is(history: HistoryProcess) -> None:
    history.file.parent.mkdir(mode=0o700)
    newer = sqlite3.connect(history.file)
    newer.execute("CREATE TABLE another (x)")
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    before = history.file.read_bytes()
    history.start()
    history.take(lambda: "history" in history.conditions)
    history.happened("degraded", n=0)
    history.take_for(0.5)
    assert "use the newer release" in history.conditions["history"]
    assert history.file.read_bytes() == before
    assert sorted(path.name for path in history.file.parent.iterdir() if "sqlite" in path.name) == [
        "history.sqlite3"
    ]
    history.file.rename(history.file.with_name("newer"))
    history.take(lambda: "history" not in history.conditions)
    history.wait_kept()
    assert told(history) == [0]


def test_a_file_that_is_removed_while_it_is_written_is_made_anew(history: HistoryProcess) -> None:
    history.start()
    history.wait_ready()
    history.happened("degraded", n=0)
    history.wait_kept()
    before = history.answer().file
    for path in history.file.parent.glob("history.sqlite3*"):
        path.unlink()
    history.happened("degraded", n=1)
    history.wait_kept()
    assert told(history) == [1]
    assert history.answer().file != before
