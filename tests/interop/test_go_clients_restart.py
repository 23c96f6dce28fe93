"""tailscaled while the control server it belongs to is restarted: it comes back by itself, as the same node."""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import running_server
from tests.support.peers.login_page import press
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import Tailscaled, running_tailscaled
from tests.support.processes.dev_server import running_dev_server
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.dev_control.operator.listings import NodeView
    from netmap_actors.dev_control.standalone import RunningServer

pytestmark = pytest.mark.interop

LIMIT = 20.0
BACK_LIMIT = 40.0
"""Seconds; tailscaled waits a few of them before each new attempt, the longer the more have failed."""


def registered(server: RunningServer) -> list[NodeView]:
    return [node for node in server.nodes() if node.registered]


def identity(daemon: Tailscaled) -> tuple[object, ...]:
    """What a restart of the server must not change."""
    own = daemon.status()["Self"]
    return own["ID"], own["PublicKey"], own["DNSName"], own["TailscaleIPs"]


def sees(daemon: Tailscaled, label: str) -> Callable[[], bool]:
    return lambda: bool(daemon.peers().get(label, {}).get("Online"))


def test_clients_come_back_to_a_server_that_was_restarted(go_tools: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        with running_server(state_dir=state, derp_map=derp_map) as server:
            port = server.port
            one.up(server.url, server.auth_key, "one")
            with two.going_up(server.url, "two") as up:
                press(up.wait_login_url(), "Allow")
                assert up.wait_end() == 0, up.words()
            wait_for(sees(one, "two"), LIMIT, "one sees two")
            server.tailnet.rename("two", "deux")
            wait_for(sees(one, "deux"), LIMIT, "one hears the new name")
            wait_for(lambda: two.status()["Self"]["DNSName"].startswith("deux."), LIMIT, "and so does two")
            before, names = registered(server), (identity(one), identity(two))
        with running_server(state_dir=state, derp_map=derp_map, port=port) as server:
            wait_for(
                lambda: len({event.detail for event in server.seen("map")}) == 2, BACK_LIMIT, "both are back"
            )
            server.tailnet.rename("one", "un")
            wait_for(sees(two, "un"), LIMIT, "what changes now reaches two")
            server.tailnet.rename("un", "one")
            wait_for(sees(two, "one"), LIMIT, "and the next change")
            wait_for(lambda: registered(server) == before, LIMIT, "both are online as what they were")
            wait_for(lambda: (identity(one), identity(two)) == names, LIMIT, "and know themselves by that")
            assert not server.seen("register"), "they have not even asked to be let in"


def test_clients_come_back_after_the_server_was_killed(go_tools: Path, tmp_path: Path) -> None:
    with ExitStack() as running:
        (tmp_path / "derp.json").write_text(json.dumps(running.enter_context(running_stun())))
        options = ("--nodes=0", f"--state-dir={tmp_path}/state", f"--derp-map={tmp_path}/derp.json")
        options += ("--offline-grace=500ms",)
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        with running_dev_server(*options) as server:
            one.up(server.url, server.auth_key, "one")
            two.up(server.url, server.auth_key, "two")
            wait_for(sees(one, "two"), LIMIT, "one sees two")
            names = identity(one), identity(two)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
        with running_dev_server(*options, listen=server.url.partition("//")[2]) as again:
            assert again.auth_key == server.auth_key
            two.run("down")
            # Only the new server can tell this, and only to a client that is back.
            wait_for(lambda: not sees(one, "two")(), BACK_LIMIT, "one is back and hears that two is offline")
            two.run("up")
            wait_for(sees(one, "two"), BACK_LIMIT, "two is back, too")
            assert (identity(one), identity(two)) == names


def test_a_login_that_waits_outlives_the_server_that_gave_it(go_tools: Path, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        laptop = running.enter_context(running_tailscaled(go_tools))
        with running_server(state_dir=state, derp_map=derp_map) as server:
            port = server.port
            up = running.enter_context(laptop.going_up(server.url, "laptop"))
            url = up.wait_login_url()
            wait_for(
                lambda: any("followup" in event.detail for event in server.seen("register")),
                LIMIT,
                "it waits for the answer",
            )
        with running_server(state_dir=state, derp_map=derp_map, port=port) as server:
            assert server.call(lambda it: it.approve_login(url.rpartition("/")[2]))
            assert up.wait_end() == 0, up.words()
            assert up.words().count("/auth/") == 1, "it was asked for one login only"
            (node,) = registered(server)
            assert laptop.status()["Self"]["ID"] == node.stable_id
