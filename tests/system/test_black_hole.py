"""The fault this project exists for: the control connection is dead and nobody says so.

The server's network drops every packet of the established flow and lets new flows pass. Both kernels keep showing
ESTABLISHED. Only the time since the last MapResponse can tell.
"""

from __future__ import annotations

import json
import os
import select
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support.clients.watcher import Watcher
from tests.support.histories.history import recording
from tests.support.host.dark_scene import client_port, joined_across
from tests.support.processes.daemon import Daemon
from tests.support.waiting import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.host.netns import Pair
    from tests.support.processes.dev_server import DevServer

pytestmark = [pytest.mark.netns, pytest.mark.xdist_group("waits")]

SHORT, DEFAULT = 10.0, 120.0
"""Silence limits, seconds: one a test can wait for twice, and the one of the product."""
VERDICT_WINDOW = 1.0
"""Seconds after the limit within which the verdict falls and the process is gone (the rule is exact)."""
RECOVERY = 2.0
"""Seconds from the verdict to a fresh netmap."""


def death_of(descriptor: int, limit: float) -> float:
    """The moment (CLOCK_MONOTONIC) a process ended, seen through its pidfd."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    assert poller.poll(limit * 1000), f"the process still lives after {limit:g} s"
    return time.monotonic()


class Scene:
    """A dev-control in the server's namespace, a daemon in the client's, its netmap fresh."""

    def __init__(self, network: Pair, server: DevServer, client: Daemon, newcomer_key: Path) -> None:
        self.network = network
        self.server = server
        self.client = client
        self._key = newcomer_key

    def newcomer(self) -> Daemon:
        """Another node, in the server's own namespace: the hole does not concern it."""
        options = (f"--control-url={self.server.url}", f"--auth-key=file:{self._key}", "--hostname=newcomer")
        return Daemon(*options, prefix=self.network.server.prefix)

    def peer_names(self) -> list[str]:
        shown = json.loads(self.client.command("netmap", "--json", check=True).stdout)
        return [peer["name"].split(".")[0] for peer in shown["peers"]]


@pytest.fixture
def scene(namespaces: Pair, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    # Keep-alives every second, so that a short limit is never reached while the network is well.
    quick = ("--keep-alive=1s",) if request.param < DEFAULT else ()
    limit = f"--silence-timeout={request.param:g}s"
    with (
        joined_across(namespaces, tmp_path, limit, server_options=quick) as (server, client, key),
        recording(client, tmp_path, silence=request.param),
    ):
        yield Scene(namespaces, server, client, key)


@pytest.mark.parametrize(
    ("scene", "limit"),
    [
        pytest.param(SHORT, SHORT, id="short", marks=pytest.mark.timeout(120)),
        pytest.param(DEFAULT, DEFAULT, id="default", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
    indirect=["scene"],
)
def test_f01_a_dead_connection_is_found_and_replaced(scene: Scene, limit: float) -> None:
    client = scene.client
    with Watcher(client) as watcher, ExitStack() as later:
        watcher.wait(lambda line: line["state"] == "fresh", 10.0, "the fresh netmap")
        before = client.wait_fresh()
        pid, port = before["connection"]["pid"], client_port(before)
        pidfd = os.pidfd_open(pid)
        later.callback(os.close, pidfd)

        watch = Stopwatch()
        scene.network.drop_flow(port)
        seen = watcher.mark()
        later.enter_context(scene.newcomer()).wait_fresh()
        asked = time.monotonic()
        status = client.status()
        assert status is not None
        # The last MapResponse came between these two: the answer was given somewhere within the asking.
        earliest, latest = (moment - status["netmap"]["age_s"] for moment in (asked, time.monotonic()))
        assert status["connection"]["pid"] == pid, "nothing happens before the limit"
        assert status["netmap"]["state"] == "fresh", (
            "the age is below the limit: the netmap may still be trusted"
        )
        established = scene.network.client.tcp_sockets("established")
        assert any(f":{port} " in line for line in established), "the kernel has noticed nothing"

        died = death_of(pidfd, limit + 10.0)
        assert died - earliest >= limit, died - earliest
        assert died - latest <= limit + watch.allowed(VERDICT_WINDOW), died - latest
        verdict = client.wait_event("silence_detected", 5.0)
        assert limit <= verdict["silent_for"] <= limit + watch.allowed(VERDICT_WINDOW)
        assert client.wait_event("child_killed", 5.0, actor="control_connection")["pid"] == pid

        stale_at, _ = watcher.wait(
            lambda line: line["state"] == "stale", 5.0, "the netmap turns stale", after=seen
        )
        assert stale_at - earliest >= limit, stale_at - earliest
        assert stale_at - latest <= limit + watch.allowed(2 * VERDICT_WINDOW), stale_at - latest
        stale = watcher.mark() - 1
        fresh_at, _ = watcher.wait(
            lambda line: line["state"] == "fresh", 10.0, "a fresh netmap again", after=stale
        )
        assert fresh_at - died <= watch.allowed(RECOVERY), fresh_at - died

    after = client.wait_fresh()
    assert after["connection"]["pid"] != pid
    assert client_port(after) != port
    assert after["connection"]["generation"] == before["connection"]["generation"] + 1
    assert after["connection"]["ended"]["silence"] == 1
    assert after["connection"]["last_end"]["reason"] == "silence"
    assert "newcomer" in scene.peer_names(), "a peer that joined during the silence is there"
    remaining = scene.network.client.tcp_sockets()
    assert not any(f":{port} " in line for line in remaining), "nothing of the old connection is left"
    restarts = {row["name"]: row["restarts"] for row in after["actors"]}
    assert restarts["publisher"] == 0
    assert restarts["liveness"] == 0


@pytest.mark.timeout(150)
@pytest.mark.parametrize("scene", [SHORT], indirect=True)
def test_f01_while_the_server_cannot_be_reached_the_netmap_says_that_it_is_stale(scene: Scene) -> None:
    client = scene.client
    before = client.wait_fresh()
    scene.network.drop_all()
    # The server resets the connection, into the hole.
    scene.network.server.run("ss", "-K", "dport", "=", f":{client_port(before)}")
    stale = client.wait_status(
        lambda status: status["connection"]["generation"] > before["connection"]["generation"],
        20.0,
        "the next process",
    )
    assert stale["netmap"]["state"] == "stale"
    assert stale["netmap"]["age_s"] >= SHORT
    assert stale["netmap"]["peers"] == before["netmap"]["peers"], "what was true once is kept"
    assert client.command("status").returncode == 4

    client.wait_status(
        lambda status: status["connection"]["ended"]["error"] >= 1, 30.0, "an attempt that ran into its limit"
    )
    scene.network.heal()
    after = client.wait_fresh(limit=45.0)
    assert client_port(after) != client_port(before)
    assert after["netmap"]["epoch"] == before["netmap"]["epoch"], "the publisher was never touched"
