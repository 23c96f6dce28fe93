"""The daemon behind SOCKS5 servers of other people: the one in tailscaled, and Debian's microsocks."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import running_server
from tests.support.availability import unavailable
from tests.support.host.free_ports import free_port
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.processes.daemon import Daemon
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

PASSWORD = "hunter2-of-the-proxy"
INSECURE = ("--insecure-key-fetch", "--auth-key=env:KEY")
"""What goes through a proxy over plain http can be forged; here nobody does."""


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def microsocks(*options: str) -> Iterator[int]:
    """Its port."""
    program = shutil.which("microsocks")
    if program is None:
        unavailable("a second stranger's server needs microsocks")
    port = free_port()
    command = [program, "-i", "127.0.0.1", "-p", str(port), *options]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: answers(port), 10.0, "microsocks listens")
        yield port
    finally:
        process.kill()
        process.wait()


def test_through_the_server_in_tailscaled(go_tools: Path) -> None:
    port = free_port()
    proxy = f"socks5://127.0.0.1:{port}"
    with (
        running_tailscaled(go_tools, None, f"--socks5-server=127.0.0.1:{port}"),
        running_server(nodes=3) as server,
        # A server on loopback is asked of a proxy only when one is named.
        Daemon(
            f"--control-url={server.url}", f"--proxy={proxy}", *INSECURE, env={"KEY": server.auth_key}
        ) as daemon,
    ):
        status = daemon.wait_fresh()
        assert status["connection"]["proxy"] == proxy
        assert status["netmap"]["peers"] == 3


def test_through_microsocks_with_a_password_from_the_variable() -> None:
    with microsocks("-u", "al", "-P", PASSWORD) as port, running_server(nodes=3) as server:
        # Leads to this machine, and is no loopback address to whoever only reads it.
        url = server.url.replace("127.0.0.1", "0.0.0.0")
        environment = {"KEY": server.auth_key, "ALL_PROXY": f"socks5h://al:{PASSWORD}@127.0.0.1:{port}"}
        with Daemon(f"--control-url={url}", *INSECURE, env=environment) as daemon:
            status = daemon.wait_fresh()
            assert status["connection"]["proxy"] == f"socks5h://127.0.0.1:{port}"
            assert status["netmap"]["peers"] == 3
            assert PASSWORD not in daemon.log_path.read_text()
        wrong = environment | {"ALL_PROXY": f"socks5://al:wrong@127.0.0.1:{port}"}
        with Daemon(f"--control-url={url}", *INSECURE, env=wrong) as daemon:
            status = daemon.wait_status(lambda status: status["connection"]["last_end"], what="an end")
            assert "does not take this user name" in json.dumps(status)
