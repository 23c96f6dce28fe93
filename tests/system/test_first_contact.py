"""A whole daemon that meets its control server, or meets it again: what must not need a person, and does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from netmap_actors.protocol.keys import MachinePrivate
from tests.support.host.dark_scene import PORT
from tests.support.host.scripted_resolver import resolving
from tests.support.inputs.low_order import LOW_ORDER
from tests.support.processes.daemon import Daemon
from tests.support.processes.dev_server import running_dev_server
from tests.support.proxies.lying_front import http_answer, lying_front
from tests.support.servers.scripted import joined

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.host.netns import Pair
    from tests.support.servers.scripted import Control


def test_a_server_that_errs_about_its_key_once_is_joined_without_a_person(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    other = MachinePrivate.generate(b"\x2a" * 32).public()
    with lying_front(control.server.port) as front:
        front.key_answer = http_answer(b'{"publicKey":"%s"}' % str(other).encode())
        running = daemon(*joined(control), f"--control-url={front.url}")
        failed = running.wait_status(
            lambda status: status["connection"]["ended"]["error"] >= 2, 30.0, "two failed attempts"
        )
        assert "proved by nothing" in failed["connection"]["last_end"]["detail"]
        assert failed["control"]["server_key"] is None
        assert failed["degraded"] == []
        front.key_answer = b""
        after = running.wait_fresh()
        assert after["control"]["server_key"] == str(control.server.server_key)
        assert after["pid"] == failed["pid"]


def test_a_daemon_comes_back_with_a_bad_pin_and_a_bad_auth_key(
    control: Control, daemon: Callable[..., Daemon]
) -> None:
    """An older version may have written the one, a person the other; the node is registered all the same."""
    running = daemon(*joined(control))
    before = running.wait_fresh()
    running.terminate()
    (path,) = running.state_dir.glob("*/node.json")
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps(document | {"server_key": f"mkey:{LOW_ORDER[2].hex()}"}))
    control.key_file.write_text("tskey-auth-WRONG")
    control.fault("register/error", text="invalid authkey")
    running.start()
    after = running.wait_status(
        lambda status: status["netmap"]["state"] == "fresh" and status["degraded"], 30.0, "a fresh netmap"
    )
    assert [one["code"] for one in after["degraded"]] == ["auth_key_refused"]
    assert after["netmap"]["self"]["stable_id"] == before["netmap"]["self"]["stable_id"]
    assert json.loads(path.read_bytes()) == document


@pytest.mark.netns
@pytest.mark.xdist_group("waits")
def test_a_name_is_not_believed_over_plain_http_because_it_leads_to_a_private_address(
    namespaces: Pair, tmp_path: Path
) -> None:
    listen = f"{namespaces.server.address}:{PORT}"
    key = tmp_path / "auth-key"
    with (
        running_dev_server("--nodes=2", listen=listen, prefix=namespaces.server.prefix) as server,
        resolving(namespaces.server, namespaces.client, namespaces.server.address),
    ):
        key.write_text(server.auth_key)
        key.chmod(0o600)

        def started(url: str, *options: str) -> Daemon:
            return Daemon(
                f"--control-url={url}", f"--auth-key=file:{key}", *options, prefix=namespaces.client.prefix
            )

        with started("http://control.test:" + str(PORT)) as refused:
            assert refused.wait(30) == 78
            assert "plain http to a name" in refused.log_path.read_text()
            assert "--insecure-key-fetch" in refused.log_path.read_text()
        with started(f"http://{listen}") as by_address:
            by_address.wait_fresh()
        with started("http://control.test:" + str(PORT), "--insecure-key-fetch") as allowed:
            allowed.wait_fresh()
