"""Keep-alives can lie: a server that has deleted a node may go on feeding its session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.servers.scripted import joined

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control


def test_f29_a_node_that_was_deleted_and_is_still_fed_learns_of_it(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), "--truth-interval=2s")
    before = running.wait_fresh()
    running.wait_event("truth_probe", outcome="alive")
    control.server.tailnet.remove_node("client")
    status = running.wait_status(
        lambda status: status["connection"]["state"] == "login_needed", 30.0, "the need of a login"
    )
    assert status["connection"]["ended"]["removed"] == 1
    assert status["connection"]["auth_url"], "the auth key may not undo an administrator's removal"
    assert status["netmap"]["state"] == "stale"
    assert status["netmap"]["peers"] == before["netmap"]["peers"], "what was true once is kept"
    assert running.wait_event("node_removed")["generation"] == before["connection"]["generation"]
    assert running.command("status").returncode == 5


def test_with_on_removed_register_the_node_comes_back_by_itself(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), "--truth-interval=2s", "--on-removed=register")
    running.wait_fresh()
    control.server.tailnet.remove_node("client")
    status = running.wait_status(
        lambda status: status["connection"]["ended"]["removed"] == 1 and status["netmap"]["state"] == "fresh",
        30.0,
        "a fresh netmap of the node that registered again",
    )
    assert status["connection"]["auth_url"] is None
