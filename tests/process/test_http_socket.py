"""The HTTP endpoint on a unix socket: whose that is, and who takes it away."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from netmap_actors.bus.socket_files import remove_abandoned
from netmap_actors.exit_reason import ExitReason, status_of
from tests.support.netmaps.publishing import full, node
from tests.support.processes.http_process import running_http
from tests.support.processes.publisher_process import LIMIT, running_publisher
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def publisher():
    with running_publisher() as publisher:
        publisher.new_session(full(node(2)))
        yield publisher


def test_a_unix_socket_is_its_owners_alone_and_abandoned_with_the_process(publisher) -> None:
    path = Path(publisher.runtime_dir) / "http.sock"
    with running_http(publisher, f"unix:{path}") as endpoint:
        endpoint.fresh()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert endpoint.get("/netmap")[0] == 200
        remove_abandoned([path])
        assert path.exists(), "somebody listens there"
    # Whoever started it takes it away: it may remove nothing itself.
    assert not [line for line in endpoint.said if line["level"] == "error"]
    remove_abandoned([path])
    assert not path.exists()


def test_a_socket_that_another_program_has_is_for_the_next_process_when_it_is_free(publisher) -> None:
    path = Path(publisher.runtime_dir) / "used.sock"
    with socket.socket(socket.AF_UNIX) as holder:
        holder.bind(str(path))
        holder.listen()
        with running_http(publisher, f"unix:{path}") as endpoint:
            wait_for(lambda: endpoint.conditions, LIMIT, "the condition")
            assert "another program listens there" in endpoint.conditions[0][1]
            holder.close()
            assert endpoint.process.wait(LIMIT) == status_of(ExitReason.ERROR)
    with running_http(publisher, f"unix:{path}") as endpoint:
        endpoint.fresh()


def test_a_socket_left_by_a_killed_process_is_taken_over_and_nothing_else(publisher) -> None:
    path = Path(publisher.runtime_dir) / "left.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with running_http(publisher, f"unix:{path}") as endpoint:
        endpoint.fresh()
    other = Path(publisher.runtime_dir) / "file"
    other.write_text("mine")
    with running_http(publisher, f"unix:{other}") as endpoint:
        wait_for(lambda: endpoint.conditions, LIMIT, "the condition")
        assert endpoint.conditions[0][0] == "http_endpoint"
        assert "cannot listen" in endpoint.conditions[0][1]
    assert other.read_text() == "mine"
