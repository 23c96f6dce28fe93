"""How long the key of a server is waited for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from netmap_actors.boot import ConnectionSettings
from netmap_actors.control_connection.client.server.control_url import ControlUrl
from netmap_actors.control_connection.control_key import EMBEDDED_KEY_LIMIT, ControlKey
from netmap_actors.control_connection.side_requests import KEY_LIMIT
from netmap_actors.transport.address import Address
from netmap_supervisor.supervision.child_spec import ChildSpec

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize(("embedded", "expected"), [(False, KEY_LIMIT), (True, EMBEDDED_KEY_LIMIT)])
def test_the_embedded_servers_key_may_take_as_long_as_its_process_to_start(embedded, expected) -> None:
    limits: list[float] = []

    def fetch_key(*_: object, limit: float) -> None:
        limits.append(limit)

    key = ControlKey(
        cast(Any, SimpleNamespace(server_key=None)),
        cast(Any, SimpleNamespace(url=ControlUrl.parse(URL), proxy=None)),
        cast(Any, SimpleNamespace(fetch_key=fetch_key)),
        ConnectionSettings(control_url=URL, state_dir="/s", embedded=embedded),
    )
    key.obtain(Address("127.0.0.1", 8080), lambda _: None, lambda *_: None)
    assert limits == [expected]
    assert ChildSpec(name="dev_control").longest_start == EMBEDDED_KEY_LIMIT
