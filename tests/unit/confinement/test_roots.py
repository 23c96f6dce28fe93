"""The roots of TLS are open to a connection that needs them, and only to that."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from netmap_actors.boot import Boot, ConnectionSettings, Endpoints, EnvironmentSecrets, Secrets
from netmap_actors.confinement import system_files
from netmap_actors.confinement.permissions import ROWS


@pytest.mark.parametrize(
    ("url", "proxy", "environment", "open_to_it"),
    [
        ("https://control.example", "off", {}, True),
        ("http://control.example", "off", {}, False),
        ("http://control.example", "https://proxy.example", {}, True),
        ("http://control.example", "environment", {"http_proxy": "HTTPS://proxy.example"}, True),
        ("http://control.example", "environment", {"http_proxy": "proxy.example:3128"}, False),
    ],
)
def test_roots_are_read_by_who_speaks_tls(
    url: str, proxy: str, environment: dict[str, str], open_to_it: bool, tmp_path: Path
) -> None:
    settings = ConnectionSettings(
        control_url=url, state_dir=str(tmp_path), proxy=proxy, secrets=EnvironmentSecrets(environment)
    )
    names = ("supervisor", "liveness", "publisher", "updates", "requests")
    boot = Boot(
        run="0" * 16,
        actor="control_connection",
        generation=1,
        parent_pid=1,
        life_fd=0,
        endpoints=Endpoints(**dict.fromkeys(names, "ipc:///r/s")),
        secrets=Secrets(supervisor="00" * 32),
        settings=msgspec.Raw(msgspec.json.encode(settings)),
    )
    roots = set(system_files.certificates(os.environ)) - set(system_files.names())
    assert (roots <= set(ROWS["control_connection"].permissions(boot).readable)) == open_to_it
