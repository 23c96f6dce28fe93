"""A history against the recorded truth, over kills of every process, a server that falls silent and a full disk."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.history.answers import HistoryQuestion
from netmap_actors.history.occurrences import WARNED_BEFORE, Happening
from netmap_actors.history.questions import ask_daemon
from tests.soak.history import KILLED, live, may_mount, plan
from tests.support.availability import unavailable
from tests.support.netmaps.true_netmaps import seeded
from tests.support.processes.daemon import Daemon
from tests.support.servers import scripted
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from netmap_actors.history.occurrences import Occurrence


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_history_is_what_happened_over_kills_of_every_process() -> None:
    rng = seeded()
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as directory:
        life = live(rng, Path(directory), plan(rng))
    print(*life.lines(), sep="\n")
    assert life.found == []
    assert life.unlike == []
    assert (life.undelivered, life.forged) == ([], 0)
    assert life.deliveries >= 60
    assert life.figures.demanded >= 60
    assert life.figures.unseen >= 3
    assert life.figures.of_daemon >= 20
    assert life.killed >= {*KILLED}
    if not may_mount():
        unavailable("only root may mount a small disk; the rest was done")


def test_a_key_that_expires_soon_is_told_once_whether_much_happens_or_nothing(tmp_path: Path) -> None:
    with scripted.running(tmp_path, nodes=4, batch_delay=0.0) as server, Daemon(
        *scripted.joined(server), history=True
    ) as daemon:  # fmt: skip
        daemon.wait_fresh()
        daemon.wait_event("actor_ready", actor="history")

        def warned(node: str) -> list[Occurrence]:
            kinds = (Happening.NODE_KEY_EXPIRING,)
            told = ask_daemon(HistoryQuestion(peers=(node,), kinds=kinds, lanes=False), daemon.runtime_dir)
            return [one for _, one in told.occurrences]

        edits = server.server.tailnet
        quiet, busy, other = (node.stable_id for node in server.server.nodes()[:3])
        wait_for(lambda: not warned(quiet), 10.0, "an answer")
        edits.expire(quiet, WARNED_BEFORE[0] + 1.0)
        wait_for(lambda: warned(quiet), 10.0, "a warning while nothing else happens")
        edits.expire(busy, WARNED_BEFORE[0] + 2.5)
        online = True
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            online = not online
            edits.set_online(other, online)
        wait_for(lambda: warned(busy), 10.0, "a warning while much happens")
        assert [len(warned(node)) for node in (quiet, busy)] == [1, 1]
