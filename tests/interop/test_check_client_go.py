"""`check-client` with Tailscale's own clients, by the scripts that the documentation names."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.reporting_client import running_client
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.processes.daemon import PROGRAM
from tests.support.waiting import wait_for

SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "clients"
LIMIT = 15.0


@pytest.mark.parametrize("script", ["tailscaled.sh", "tsp.sh", "tsnet.sh"])
def test_a_go_client_joins_and_comes_back_after_a_cut(
    go_tools: Path, tsnet_client: Path, tmp_path: Path, script: str
) -> None:
    options = ["--jobs=2", "--scenario=join", "--scenario=session/cut", f"--output={tmp_path}"]
    done = subprocess.run(
        [*PROGRAM, "check-client", *options, "--", SCRIPTS / script],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PATH": f"{go_tools}:{tsnet_client.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 pass" in done.stdout


def printed_peers(script: str, directory: Path, tools: Path) -> dict[str, tuple[list[str], bool]]:
    """Addresses and online by name, as the script prints them; empty when it fails."""
    done = subprocess.run(
        [SCRIPTS / script],
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "NETMAP_CHECK_DIR": str(directory)},
    )
    found: list[dict[str, Any]] = json.loads(done.stdout) if done.returncode == 0 else []
    return {peer["name"]: (peer["addresses"], peer["online"]) for peer in found}


def true_peers(server: RunningServer, without: str) -> dict[str, tuple[list[str], bool]]:
    """The same of all nodes but one, as the server has them."""
    return {
        node.name: ([address.partition("/")[0] for address in node.addresses], bool(node.online))
        for node in server.nodes()
        if node.name.partition(".")[0] != without
    }


@pytest.mark.parametrize("client", ["tailscaled", "tsnet"])
def test_its_script_prints_the_peers_that_the_client_believes_in(
    go_tools: Path, tsnet_client: Path, client: str
) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(derp_map=derp_map))
        directory = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="nmt-", dir="/tmp")))
        if client == "tailscaled":
            running.enter_context(running_tailscaled(go_tools, directory)).up(
                server.url, server.auth_key, "gopher"
            )
        else:
            running.enter_context(
                running_client(tsnet_client, directory, server.url, "gopher", server.auth_key)
            )

        def believes_the_truth() -> bool:
            return printed_peers(f"{client}-peers.sh", directory, go_tools) == true_peers(server, "gopher")

        server.tailnet.add_node("web")
        server.tailnet.add_node("db")
        wait_for(believes_the_truth, LIMIT, "it has the peers")
        server.tailnet.set_online("db", False)
        wait_for(believes_the_truth, LIMIT, "one is offline")
        server.tailnet.remove_node("web")
        wait_for(believes_the_truth, LIMIT, "one is gone")
        assert [online for _, online in true_peers(server, "gopher").values()] == [False]
