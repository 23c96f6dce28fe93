"""A session recorded from a real server, played to tailscale's own clients: they see what was there."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.standalone import running_server
from tests.support.netmaps.headscale_recording import headscale_recording
from tests.support.netmaps.recorded_netmap import FIXTURE, recorded_netmap
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.peers.tsp import Tsp, documents
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop

LIMIT = 20.0


def recorded() -> list[dict[str, Any]]:
    lines = map(json.loads, FIXTURE.read_text().splitlines())
    messages = (line["map_response"] for line in lines if "map_response" in line)
    return [message for message in messages if not message.get("KeepAlive")]  # tsp prints none of those


def test_tsp_gets_every_message_as_it_was_recorded(tsp_binary: Path, tmp_path: Path) -> None:
    path = headscale_recording(tmp_path / "a.jsonl")
    with running_server(replay=str(path), replay_pace=math.inf) as server:
        tsp = Tsp(tsp_binary, server, tmp_path)
        tsp.make_node()
        tsp.join()
        output = tmp_path / "stream.json"
        with tsp.streaming(output):
            expected = recorded()
            wait_for(lambda: len(documents(output)) >= len(expected), LIMIT, "the whole session")
        key = server.nodes()[0].key
        for came, was in zip(documents(output), expected, strict=True):
            if "Node" in was:
                assert came["Node"]["Key"] == key
                assert came["Node"]["Addresses"] == was["Node"]["Addresses"]
            for field in ("Peers", "PeersChanged"):
                told = [[peer[name] for name in ("ID", "Name", "Key")] for peer in came.get(field) or []]
                assert told == [[peer[name] for name in ("ID", "Name", "Key")] for peer in was.get(field, [])]
            assert (came.get("PeersRemoved") or []) == was.get("PeersRemoved", [])


def test_tailscaled_has_the_peers_of_the_session_at_its_end(go_tools: Path, tmp_path: Path) -> None:
    path = headscale_recording(tmp_path / "a.jsonl")
    expected = recorded_netmap()
    with (
        running_server(replay=str(path), replay_pace=math.inf) as server,
        running_tailscaled(go_tools) as daemon,
    ):
        daemon.up(server.url, server.auth_key, "anything")
        names = {peer.name for peer in expected.peers.values()}
        wait_for(
            lambda: {one["DNSName"].rstrip(".") for one in daemon.status()["Peer"].values()} == names,
            LIMIT,
            "its peers",
        )
        own = daemon.status()["Self"]
        assert expected.self_node is not None
        assert own["DNSName"].rstrip(".") == expected.self_node.name
        assert own["TailscaleIPs"] == [address.partition("/")[0] for address in expected.self_node.addresses]
        for peer in expected.peers.values():
            seen = daemon.peers()[peer.name.partition(".")[0]]
            assert seen["PublicKey"] == peer.key
            assert bool(seen["Online"]) is (peer.online is True)
            assert seen.get("Tags", []) == list(peer.tags)
