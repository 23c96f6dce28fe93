"""tailscale's crate for Rust while its connection or its control server goes away: it comes back as the same node.

The crate itself dials anew at once and without a pause, five times; a program that uses it has to start it anew after
that, as the script does which the documentation shows.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.rust_client import running_rust_client
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from netmap_actors.dev_control.operator.listings import NodeView

pytestmark = pytest.mark.interop

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "clients" / "tailscale-rs.sh"
LIMIT = 20.0
BACK_LIMIT = 40.0
"""Seconds; the script waits 5 of them before each new attempt."""


def registered(server: RunningServer) -> list[NodeView]:
    return [node for node in server.nodes() if node.registered]


def test_it_comes_back_by_itself_when_its_connection_is_cut(rust_client_binary: Path) -> None:
    with (
        running_server() as server,
        running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as client,
    ):
        client.wait_own()
        server.tailnet.add_node("web-1")
        wait_for(lambda: client.agrees_with(server), LIMIT, "it has its peer")
        before = registered(server)
        server.drop_all()
        wait_for(lambda: len(server.seen("map")) > 1, LIMIT, "it has a new map session")
        server.tailnet.rename("web-1", "web-2")
        wait_for(lambda: client.agrees_with(server), LIMIT, "what changes now reaches it")
        wait_for(lambda: registered(server) == before, LIMIT, "it is online as what it was")
        assert client.process.poll() is None


def test_it_gives_up_a_server_that_is_gone_and_is_the_same_node_when_it_is_started_anew(
    rust_client_binary: Path, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    with ExitStack() as running:
        with running_server(state_dir=state, nodes=2) as server:
            port = server.port
            arguments = (rust_client_binary, server.url, "ferris", server.auth_key)
            client = running.enter_context(running_rust_client(*arguments, script=SCRIPT))
            own = client.wait_own()
            wait_for(lambda: client.agrees_with(server), LIMIT, "it has its peers")
            before = registered(server)
        wait_for(lambda: "the crate has given up" in client.log(), LIMIT, "it gives up")
        with running_server(state_dir=state, nodes=2, port=port) as server:
            wait_for(lambda: server.seen("map"), BACK_LIMIT, "it is back")
            wait_for(lambda: client.agrees_with(server), LIMIT, "both sides agree")
            wait_for(lambda: registered(server) == before, LIMIT, "it is online as what it was")
            assert client.last("self")["key"] == own["key"]
            server.tailnet.rename("ferris", "crab")
            wait_for(lambda: client.agrees_with(server), LIMIT, "what changes now reaches it")
    assert client.process.returncode == 0


def test_a_login_that_waits_outlives_the_server_that_gave_it(
    rust_client_binary: Path, tmp_path: Path
) -> None:
    state = str(tmp_path / "state")
    with ExitStack() as running:
        with running_server(state_dir=state) as server:
            port = server.port
            arguments = (rust_client_binary, server.url, "ferris")
            client = running.enter_context(running_rust_client(*arguments, script=SCRIPT))
            url = client.wait_login_url()
            wait_for(
                lambda: any("followup" in event.detail for event in server.seen("register")),
                LIMIT,
                "it waits for the answer",
            )
        with running_server(state_dir=state, port=port) as server:
            assert server.call(lambda it: it.approve_login(url.rpartition("/")[2]))
            own = wait_for(lambda: client.last("self"), BACK_LIMIT, "it is let in")
            (node,) = registered(server)
            assert own["stable_id"] == node.stable_id
            assert {login["url"] for login in client.said("login")} == {url}, (
                "it was asked for one login only"
            )
