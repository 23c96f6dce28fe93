"""The whole daemon against a control server that is not ours: tailscale's testcontrol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netmap_supervisor import Subscriber

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.peers.testcontrol import GoControl
    from tests.support.processes.daemon import Daemon


@pytest.mark.parametrize("nodes", [0, 1_000, 10_000])
def test_the_daemon_publishes_the_whole_netmap_of_a_go_server(
    nodes: int, testcontrol: Callable[[int], GoControl], daemon: Callable[..., Daemon]
) -> None:
    server = testcontrol(nodes)
    running = daemon(f"--control-url={server.url}", "--hostname=client")
    status = running.wait_fresh(60.0)
    assert status["netmap"]["peers"] == nodes
    assert status["netmap"]["self"]["addresses"]
    with Subscriber(running.runtime_dir) as subscriber:
        assert subscriber.wait_for(
            lambda now: now.state == "fresh" and len(now.netmap.peers) == nodes, timeout=30.0
        )
        assert all(peer.decoded for peer in subscriber.store.netmap.peers.values())

    running.signal_actor("control_connection")
    again = running.wait_status(
        lambda status: status["netmap"]["state"] == "fresh" and status["connection"]["ended"]["crashed"] == 1,
        60.0,
        "a fresh netmap over a new connection",
    )
    assert again["netmap"]["peers"] == nodes
    assert again["netmap"]["self"] == status["netmap"]["self"], "it is the same node"
