"""A short soak, of the machines and of a real daemon; `make soak` runs the long one."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from tests.soak import samples
from tests.soak.real import Soak
from tests.soak.samples import Samples
from tests.soak.simulated import SILENCE, Day, long_session
from tests.support.waiting import wait_for


def test_an_hour_of_keep_alives_and_faults_leaves_no_promise_broken() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: python -m tests.soak --seed {seed} --simulated-hours 1 --minutes 0.3")
    figures = Day(seed).live(3600.0)
    # A fault every half minute, each of which costs a process, a session or nothing.
    assert sum(figures.faults.values()) >= 100
    assert figures.keep_alives >= 3600
    assert figures.respawns >= 80
    assert figures.kills <= sum(figures.faults.values())
    assert SILENCE <= figures.latest_verdict <= SILENCE + 1.1
    assert 0.0 < figures.latest_return <= 6.0


def test_windows_are_never_less_than_half_open_however_much_comes() -> None:
    received, lowest = long_session(1000, 20_000, seed=1)
    assert received > 16 << 20
    assert lowest >= 0.49


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_storm_leaves_a_daemon_as_it_was() -> None:
    """A sleep or a route that flaps takes ten seconds of it; where we are not root there are none."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: python -m tests.soak --seed {seed} --minutes 0.6")
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
        report = Soak(36.0, seed, Path(directory)).run()
    print(*report.lines(), sep="\n")
    assert report.problems == []
    assert sum(report.done.values()) >= 3
    assert report.respawns["control_connection"] >= 1
    assert report.keep_alives >= 50


def test_a_leak_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter(range(20, 1000))
    monkeypatch.setattr(
        "tests.soak.samples.sample",
        lambda _pid, at: samples.Sample(at, next(held), 3, 30 << 20),
    )
    taken = Samples(warm_up=2.0)
    for at in range(30):
        taken.take({"publisher": 7}, float(at))
    (growth,) = taken.growths()
    assert growth.problems() == ["publisher (7) held 24 files, then 47"]


def test_a_process_is_sampled_while_it_lives_and_not_after() -> None:
    import os
    import subprocess
    import sys

    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        seen = wait_for(lambda: samples.sample(child.pid, 1.0), 5.0, "a sample")
        assert seen.threads == 1
        assert seen.fds >= 3
    finally:
        child.communicate()
    assert samples.sample(child.pid, 2.0) is None
    assert samples.sample(os.getpid(), 2.0) is not None
