"""What a person or an administrator does to a node while its daemon runs, and what the daemon makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.proxies.connect_proxy import ConnectProxy
from tests.support.proxies.tls_front import self_signed, tls_in_front_of
from tests.support.servers import scripted
from tests.support.servers.scripted import joined
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.processes.daemon import Daemon
    from tests.support.servers.scripted import Control

pytestmark = pytest.mark.xdist_group("waits")

PASSWORD = "hunter2-of-the-proxy"


def stable_id(status: dict) -> str:
    return str(status["netmap"]["self"]["stable_id"])


def test_a_machine_that_awaits_approval_says_so_and_is_fresh_once_it_has_it(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    control.server.call(lambda it: it.require(approval=True))
    running = daemon(*joined(control))
    status = running.wait_status(
        lambda status: status["connection"]["state"] == "awaiting_approval", 20.0, "the wait for approval"
    )
    generation = status["connection"]["generation"]
    assert "approv" in running.command("status").stdout
    control.server.tailnet.authorize("client")
    after = running.wait_status(
        lambda status: (
            status["connection"]["state"] == "map_session" and status["netmap"]["state"] == "fresh"
        ),
        20.0,
        "an approved node with a fresh netmap",
    )
    assert after["connection"]["generation"] == generation, "the session that waited is the one that goes on"


def test_f32_an_expired_key_is_replaced_and_the_node_stays_the_same_one(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), "--truth-interval=2s")
    before = running.wait_fresh()
    keys_before = {node.key for node in control.server.nodes() if node.registered}
    control.server.tailnet.expire("client")
    after = running.wait_status(
        lambda status: status["connection"]["ended"]["expired"] == 1 and status["netmap"]["state"] == "fresh",
        30.0,
        "a fresh netmap with another node key",
    )
    assert stable_id(after) == stable_id(before)
    (node,) = [node for node in control.server.nodes() if node.registered]
    assert node.key not in keys_before
    assert not node.expired
    rotations = [seen for seen in control.server.seen("register") if "rotation" in seen.detail]
    assert len(rotations) == 1, "the old node key was named, once"


def test_f32_an_expired_key_without_an_auth_key_waits_for_a_person_and_keeps_what_it_knows(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    running = daemon(*joined(control), "--truth-interval=2s")
    before = running.wait_fresh()
    control.server.call(lambda it: it.revoke_auth_key(control.server.auth_key))
    control.key_file.unlink()
    control.server.tailnet.expire("client")
    waiting = running.wait_status(
        lambda status: status["connection"]["state"] == "login_needed", 30.0, "the need of a login"
    )
    assert waiting["netmap"]["state"] == "stale"
    assert waiting["netmap"]["peers"] == before["netmap"]["peers"]
    control.server.call(lambda it: it.approve_login())
    assert stable_id(running.wait_fresh()) == stable_id(before)


def test_a_login_url_that_changes_is_shown_anew(control: Control, daemon: Callable[..., Daemon]) -> None:
    running = daemon(f"--control-url={control.url}", "--hostname=client")

    def url_other_than(known: str | None) -> str:
        status = running.wait_status(
            lambda status: status["connection"]["auth_url"] not in {None, known}, 30.0, "a login URL"
        )
        return str(status["connection"]["auth_url"])

    first = url_other_than(None)
    control.server.call(lambda it: it.refuse_login())
    second = url_other_than(first)
    assert second.startswith(f"{control.url}/auth/")
    assert len(running.events("login_needed")) >= 2, "the log has both"
    control.server.call(lambda it: it.approve_login())
    assert running.wait_fresh()["connection"]["auth_url"] is None


def test_an_ephemeral_node_outlives_its_connection_and_goes_after_a_stop(
    tmp_path: Path, daemon: Callable[..., Daemon]
) -> None:
    with scripted.running(tmp_path, ephemeral_grace=6.0, offline_grace=3.0) as control:
        running = daemon(*joined(control), "--ephemeral")
        before = running.wait_fresh()
        for killed in range(1, 4):
            running.signal_actor("control_connection")
            after = running.wait_status(
                lambda status, killed=killed: (
                    status["connection"]["ended"]["crashed"] == killed
                    and status["netmap"]["state"] == "fresh"
                ),
                20.0,
                "a fresh netmap after a kill",
            )
            assert stable_id(after) == stable_id(before), "the same node came back before it was forgotten"
        assert len(control.server.seen("register")) == 1
        assert running.terminate() == 0
        wait_for(
            lambda: not [node for node in control.server.nodes() if node.registered],
            20.0,
            "the server forgets the ephemeral node",
        )
        running.start()
        assert running.wait_fresh()["netmap"]["peers"] == before["netmap"]["peers"], (
            "it may come again, as new"
        )


def test_behind_a_proxy_it_is_fresh_and_the_password_is_nowhere(
    control: Control, daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    pem = self_signed(tmp_path, "control.test")
    with tls_in_front_of(control.server.port, pem) as port, ConnectProxy(port) as proxy:
        running = daemon(
            "--control-url=https://control.test",
            f"--auth-key=file:{control.key_file}",
            f"--ca-file={pem}",
            env={"HTTPS_PROXY": f"http://al:{PASSWORD}@127.0.0.1:{proxy.port}"},
        )
        status = running.wait_fresh()
        assert status["connection"]["proxy"] == proxy.url
        assert proxy.url in running.command("status").stdout
        proxy.answer = b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"
        running.signal_actor("control_connection")
        refused = running.wait_status(
            lambda status: "407" in (status["connection"]["last_end"] or {"detail": ""})["detail"],
            20.0,
            "the refusal of the proxy",
        )
        proxy.answer = None
        running.wait_fresh(45.0)
        shown = running.log_path.read_text() + str(refused) + running.command("status").stdout
        for actor in running.wait_fresh()["actors"]:
            shown += Path(f"/proc/{actor['pid']}/cmdline").read_text()
            environment = Path(f"/proc/{actor['pid']}/environ").read_text()
            assert PASSWORD not in environment, actor["name"]
        assert PASSWORD not in shown


@pytest.mark.timeout(150)
def test_f40_a_proxy_that_cuts_idle_tunnels_is_named_and_lived_with(
    tmp_path: Path, daemon: Callable[..., Daemon]
) -> None:
    with (
        scripted.running(tmp_path, keep_alive=50.0) as control,
        ConnectProxy(control.server.port) as proxy,
    ):
        proxy.idle_limit = 12.0
        running = daemon(
            "--control-url=http://control.test",
            "--insecure-key-fetch",
            f"--proxy={proxy.url}",
            f"--auth-key=file:{control.key_file}",
        )
        before = running.wait_fresh()
        warned = running.wait_status(
            lambda status: "idle_cut" in {found["code"] for found in status["degraded"]}, 100.0, "the warning"
        )
        assert warned["connection"]["ended"]["closed"] == 3
        (text,) = [found["text"] for found in warned["degraded"] if found["code"] == "idle_cut"]
        assert "cut after 12 s each" in text
        after = running.wait_fresh()
        assert after["netmap"]["peers"] == before["netmap"]["peers"]
