"""Connections without end, of several processes and users: nobody else notices, and nothing has to be started anew.

Not here: floods of messages (`test_publisher_floods`), who has to go (`tests/unit/bus/test_admission`).
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from netmap_actors.subscriber import Subscriber
from tests.process.test_publisher_floods import MIB, HostileClient, Ordinary, memory
from tests.support.processes.publisher_process import LIMIT, PublisherProcess, running_publisher

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow

NOBODY, DAEMON = 65_534, 1
GROWN = 400 * MIB
"""Of what is left of connections, at most; 12 000 that are kept would be 650."""


def open_to_all(publisher: PublisherProcess) -> tuple[int, ...]:
    """Let other users reach the sockets; which ones there are to be."""
    if os.geteuid() != 0:
        return (os.geteuid(),)
    directory = publisher.runtime_dir / "pub"
    for path, mode in ((publisher.runtime_dir, 0o711), (directory, 0o711)):
        path.chmod(mode)
    for path in directory.iterdir():
        path.chmod(0o666)
    return (0, NOBODY, DAEMON)


@pytest.mark.parametrize("harm", ["idle_thousands", "in_and_out"])
def test_a_flood_of_connections_from_several_processes_and_users_disturbs_nobody(harm: str) -> None:
    with contextlib.ExitStack() as stack:
        publisher = stack.enter_context(running_publisher())
        ordinary = Ordinary(publisher, {})
        stack.callback(ordinary.subscriber.close)
        before = memory(ordinary.pid)
        users = open_to_all(publisher)
        hostiles = [HostileClient(publisher, harm, users[number % len(users)]) for number in range(3)]
        for hostile in hostiles:
            stack.callback(hostile.close)
        for hostile in hostiles:
            hostile.wait_begun()
        ordinary.changes(1)
        with Subscriber(publisher.runtime_dir) as newcomer:
            assert newcomer.wait_for(lambda view: view.state == "fresh", LIMIT), "a new one did not get in"
        made = sum(hostile.end()["made"] for hostile in hostiles)
        assert made > 3000, "that was no flood"
        assert publisher.process.poll() is None
        assert publisher.process.pid == ordinary.pid
        assert ordinary.subscriber._replica.gaps == 0, "nothing had to be asked for again"
        assert memory(ordinary.pid) - before <= GROWN
        assert harm == "in_and_out" or any(event["event"] == "connections_cut" for event in publisher.log())
        publisher.statistics(subscribers=1)  # whoever did harm has gone, and is remembered no more
        with Subscriber(publisher.runtime_dir) as newcomer:
            assert newcomer.wait_for(lambda view: view.state == "fresh", LIMIT)
