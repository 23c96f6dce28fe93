"""tailscale's own protocol client, tsp, against our control server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, make_options, running_server
from tests.support.clients.control_client import ControlClient, Node
from tests.support.peers.tsp import Tsp, documents
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop


@pytest.fixture(params=["split", "whole", "off"])
def server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """With each form of the early payload."""
    options = make_options(keep_alive=0.2, batch_delay=0.01, early_payload=request.param)
    with running_server(nodes=5, options=options) as running:
        yield running


@pytest.fixture
def tsp(tsp_binary: Path, server: RunningServer, tmp_path: Path) -> Tsp:
    made = Tsp(tsp_binary, server, tmp_path)
    made.make_node()
    return made


def test_it_discovers_the_key_and_pins_it(tsp: Tsp) -> None:
    assert tsp.run("discover-server-key").strip() == str(tsp.server.server_key)
    assert json.loads(tsp.node.read_text())["server_key"] == str(tsp.server.server_key)


def test_it_registers_and_reads_the_map(tsp: Tsp) -> None:
    answer = tsp.join("-hostname", "gopher")
    assert answer["MachineAuthorized"]
    assert answer["Login"]["LoginName"] == "alice"
    netmap = tsp.map()
    assert netmap["Node"]["Name"] == "gopher.dev.netmap.example."
    assert sorted(peer["ID"] for peer in netmap["Peers"]) == [
        node.id for node in tsp.server.nodes() if not node.registered
    ]


def test_it_is_told_to_log_in_and_is_in_after_the_click(tsp: Tsp) -> None:
    assert tsp.register()["AuthURL"].startswith(f"{tsp.server.url}/auth/")
    assert tsp.server.call(lambda it: it.approve_login())
    assert tsp.register()["MachineAuthorized"]


def test_a_wrong_key_is_refused(tsp: Tsp) -> None:
    tsp.key.write_text("devkey-auth-nonsense")
    with pytest.raises(AssertionError, match="invalid pre auth key"):
        tsp.join()


def test_it_streams_changes_and_keep_alives(tsp: Tsp, tmp_path: Path) -> None:
    tsp.join("-hostname", "gopher")
    output = tmp_path / "stream.json"
    with tsp.streaming(output, "-quiet=false"):
        wait_for(lambda: documents(output), 10.0, "the first map")
        tsp.server.tailnet.add_node("printer", tags=["tag:new"])
        other = ControlClient(tsp.server.url, Node("second"))
        other.register(tsp.server.auth_key)
        other.message(other.map(), 0)
        tsp.server.tailnet.churn(30)
        wait_for(
            lambda: "printer" in str(documents(output)) and "second" in str(documents(output)),
            10.0,
            "the newcomers",
        )
        wait_for(lambda: any(one.get("KeepAlive") for one in documents(output)), 10.0, "a keep-alive")
        other.close()
    first = documents(output)[0]
    assert first["Node"]["Name"] == "gopher.dev.netmap.example."
    assert len(first["Peers"]) == 5


def test_a_large_tailnet_fits_through_its_limit_of_four_megabytes(tsp_binary: Path, tmp_path: Path) -> None:
    with running_server(nodes=5000) as server:
        tsp = Tsp(tsp_binary, server, tmp_path)
        tsp.make_node()
        tsp.join()
        assert len(tsp.map()["Peers"]) == 5000
