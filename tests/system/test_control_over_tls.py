"""The daemon with a control server that has TLS and a CA of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmap_supervisor.testing import dev_control_server
from tests.support.processes.daemon import Daemon


@pytest.mark.parametrize("how", ["option", "environment"])
def test_the_daemon_joins_whom_it_is_told_to_trust(tmp_path: Path, how: str) -> None:
    with dev_control_server(tls=True, nodes=2, keep_alive=1.0) as server:
        (tmp_path / "key").write_text(server.auth_key)
        options = [f"--control-url={server.url}", f"--auth-key=file:{tmp_path}/key", "--hostname=laptop"]
        env = {}
        if how == "option":
            options.append(f"--ca-file={server.ca_file}")
        else:
            env["SSL_CERT_FILE"] = server.ca_file
        with Daemon(*options, env=env):
            client = server.wait_for_map("laptop", limit=20.0)
            assert server.wait_seen("tls").detail == "TLSv1.3"
            ping = server.call(lambda it: it.ping("laptop"))
            server.wait_until(lambda: server.call(lambda it: it.pong(ping)), 10.0, "no answer to the ping")
            before = server.last_seen()
            server.fault("session/cut", "laptop")
            again = server.wait_seen("map", 20.0, after=before)
            assert again.connection != client.number
