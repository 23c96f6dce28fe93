"""A shell completes the names of the peers that the daemon tells of."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.netmaps.publishing import full, node
from tests.support.processes.publisher_process import running_publisher
from tests.support.waiting import wait_for

LIMIT = 60.0


@pytest.mark.parametrize("typed", [("netmap",), ("watch", "--peer"), ("history", "--peer")])
def test_bash_is_told_the_names_that_begin_as_typed(typed, tmp_path) -> None:
    def offered(begun: str, runtime_dir: str) -> list[str]:
        words = ("netmap-supervisor", *typed, begun)
        environment = os.environ | {
            "_NETMAP_SUPERVISOR_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "NETMAP_SUPERVISOR_RUNTIME_DIR": runtime_dir,
        }
        told = subprocess.run(
            [sys.executable, "-P", "-m", "netmap_supervisor"],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert told.stderr == ""
        return [line.partition(",")[2] for line in told.stdout.splitlines() if line]

    with running_publisher() as publisher:
        hostile = node(4) | {"Name": "node$(reboot).example."}
        publisher.new_session(full(node(2), node(3), hostile))
        publisher.statistics(peers=3)
        where = str(publisher.runtime_dir)
        # A shell waits for two seconds at most, in which a busy machine may not answer.
        wait_for(lambda: offered("NODE", where) == ["node2", "node3"], LIMIT, "the names")
        wait_for(lambda: offered("node3.e", where) == ["node3.example"], LIMIT, "the full name")
        assert offered("web", where) == []
    assert offered("node", str(tmp_path)) == []
