"""A session recorded from a real server, played to tailscale's crate for Rust."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import running_server
from tests.support.netmaps.headscale_recording import headscale_recording
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.peers.rust_client import running_rust_client
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop


def test_it_has_the_peers_of_the_session_at_its_end(rust_client_binary: Path, tmp_path: Path) -> None:
    path = headscale_recording(tmp_path / "a.jsonl")
    expected = {peer.name.partition(".")[0] for peer in recorded_netmap().peers.values()}
    with (
        running_server(replay=str(path), replay_pace=math.inf) as server,
        running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as ferris,
    ):
        ferris.wait_own()
        wait_for(lambda: set(ferris.peers()) == expected, 20.0, "its peers")
