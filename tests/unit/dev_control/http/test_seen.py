"""What a running server remembers for a timeline: faults and their end, refusals, and on demand what it sent."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.faults.catalogue import FAULTS
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import NetmapError
from tests.support.clients.control_client import Closed, ControlClient, Node, fetch_key, joined
from tests.support.servers.quick_server import QUICK
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_actors.dev_control.http.state import Seen

LIMIT = 10.0
WHAT_A_CLIENT_MAY_MEET = (NetmapError, OSError, Closed, ValueError, TimeoutError, AssertionError)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(nodes=3, options=QUICK) as running:
        yield running


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def awaited(server: RunningServer, kind: str, says: str = "") -> Seen:
    """The first event of this kind whose detail holds these words."""
    return wait_for(
        lambda: next((one for one in server.seen(kind) if says in one.detail), None), LIMIT, f"{kind} {says}"
    )


# Faults


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_there_before_what_it_does(server: RunningServer, name: str) -> None:
    began = now()
    # Without what it carries the fault is enough: it may be injected before or behind the client's steps.
    client, _ = joined(server)
    with client:
        struck = server.fault(name)
        if not struck:
            with contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET):
                fetch_key(server.url)
            with contextlib.suppress(*WHAT_A_CLIENT_MAY_MEET):
                again = ControlClient(server.url, client.node, server.server_key, patience=2.0)
                again.request("/machine/register", again.register_body(server.auth_key))
                again.map()
                again.wait(lambda: server.seen("fault"), LIMIT)
        event = awaited(server, "fault", name)
        assert event.detail.split()[0] == name
        assert event.connection > 0
        assert event.remote
        assert began <= event.at <= now()


def test_a_fault_comes_before_the_end_it_makes_and_its_time_too(server: RunningServer) -> None:
    client, _ = joined(server)
    before = now()
    assert server.fault("cut") == 1
    end = awaited(server, "end", "fault cut")
    (event,) = server.seen("fault")
    assert server.seen().index(event) < server.seen().index(end)
    assert before <= event.at <= end.at
    assert event.connection == end.connection
    client.close()


def test_a_fault_says_what_it_is_made_of(server: RunningServer) -> None:
    server.fault("http_status", status=429, retry_after="7")
    client = ControlClient(server.url, Node())
    client.register(server.auth_key)
    assert client.answer("/machine/map", client.map_body()).status == 429
    (event,) = server.seen("fault")
    assert event.detail == "http_status status=429 retry_after=7"
    client.close()


def test_what_could_concern_nobody_is_no_fault(server: RunningServer) -> None:
    client = ControlClient(server.url, Node())
    assert server.fault("half_frame") == 0
    assert server.seen("fault") == []
    client.close()


def test_healing_is_seen_where_a_fault_was(server: RunningServer) -> None:
    under, _ = joined(server, "under")
    beside, _ = joined(server, "beside")
    server.fault("ping_only", client="under")
    server.fault("silent", client="under")
    server.fault("register_null")
    assert server.heal() == 3
    heals = server.seen("heal")
    number = next(one.number for one in server.clients() if "under" in one.names)
    assert [(event.connection, event.detail) for event in heals] == [
        (0, "1 planned fault"),
        (number, "ping_only silent"),
    ]
    server.heal()
    assert server.seen("heal") == heals, "there was nothing to heal"
    under.close()
    beside.close()
