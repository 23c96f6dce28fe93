"""A subscriber whose runtime directory was made anew while it held on to what was there before."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.clock import SystemClock
from netmap_actors.subscriber import Subscriber
from netmap_actors.subscriber.client import CONNECT_AGAIN
from tests.support.availability import unavailable
from tests.support.clients.watcher import Watcher
from tests.support.netmaps.publishing import full, node
from tests.support.processes.daemon import Daemon
from tests.support.processes.publisher_process import PublisherProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 20.0


class Ahead(SystemClock):
    """The machine's clock, and how far we are ahead of it."""

    ahead = 0.0

    def boottime(self) -> float:
        return super().boottime() + self.ahead


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="nma-", dir="/tmp") as directory:
        yield Path(directory)


def started(stack: ExitStack, runtime_dir: Path, *peers: int) -> PublisherProcess:
    """A daemon's publisher with a netmap of these peers, in a directory made for it."""
    runtime_dir.mkdir()
    publisher = PublisherProcess(runtime_dir)
    stack.callback(publisher.close)
    publisher.start()
    publisher.new_session(full(*(node(number) for number in peers)))
    return publisher


@pytest.mark.parametrize("old_one", ["goes on", "stands still"])
def test_it_follows_who_is_at_the_path_now(place: Path, old_one: str) -> None:
    """The old daemon's connection does not break: its process lives, and its socket has lost its name."""
    clock = Ahead()
    with ExitStack() as stack:
        old = started(stack, place / "run", 2)
        subscriber = stack.enter_context(Subscriber(place / "run", clock=clock))
        assert subscriber.wait_for(lambda view: list(view.netmap.peers) == ["n2"], LIMIT)
        if old_one == "stands still":
            assert old.process is not None
            os.kill(old.process.pid, signal.SIGSTOP)
        (place / "run").rename(place / "old")
        started(stack, place / "run", 3, 4)
        assert not subscriber.wait_for(lambda view: len(view.netmap.peers) == 2, 0.5), "not at every turn"
        clock.ahead += CONNECT_AGAIN
        assert subscriber.wait_for(lambda view: list(view.netmap.peers) == ["n3", "n4"], LIMIT)
        assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)


@pytest.mark.netns
@pytest.mark.parametrize("mounted", ["its parent", "itself, and it is preserved"])
def test_a_subscriber_behind_a_mount_is_fresh_again_after_a_restart(mounted: str) -> None:
    """As a container has it: the mount keeps the directory of the moment it was made, and what is below it moves on."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a mount of our own needs root and unshare")
    parent = mounted == "its parent"
    with Daemon("--dev-churn=0") as daemon:
        daemon.wait_fresh()
        there = daemon.directory / "there"
        (there / "run").mkdir(parents=True)
        what, where = (daemon.directory, there) if parent else (daemon.runtime_dir, there / "run")
        inside = ["unshare", "--mount", "sh", "-c", f'mount --bind {what} {where} && exec "$@"', "sh"]
        with Watcher(Daemon(prefix=inside, directory=there)) as watch:
            _, first = watch.wait(lambda line: line["state"] == "fresh", 3 * LIMIT, "the first netmap")
            assert daemon.terminate() == 0
            if parent:
                shutil.rmtree(daemon.runtime_dir)
            daemon.start()
            _, again = watch.wait(
                lambda line: line["state"] == "fresh" and line["epoch"] != first["epoch"],
                3 * LIMIT,
                "the next",
            )
            assert again["epoch"] == daemon.wait_fresh()["netmap"]["epoch"]
