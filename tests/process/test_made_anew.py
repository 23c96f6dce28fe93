"""A subscriber whose runtime directory was made anew while it held on to what was there before."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.clock import SystemClock
from netmap_actors.subscriber import Subscriber
from netmap_actors.subscriber.client import CONNECT_AGAIN
from tests.process.publisher_process import PublisherProcess
from tests.unit.publishing import full, node

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
        assert subscriber.wait_for(lambda view: list(view.peers) == ["n2"], LIMIT)
        if old_one == "stands still":
            assert old.process is not None
            os.kill(old.process.pid, signal.SIGSTOP)
        (place / "run").rename(place / "old")
        started(stack, place / "run", 3, 4)
        assert not subscriber.wait_for(lambda view: len(view.peers) == 2, 0.5), "not at every turn"
        clock.ahead += CONNECT_AGAIN
        assert subscriber.wait_for(lambda view: list(view.peers) == ["n3", "n4"], LIMIT)
        assert subscriber.wait_for(lambda view: view.state == "fresh", LIMIT)
