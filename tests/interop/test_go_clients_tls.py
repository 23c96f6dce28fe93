"""Tailscale's own clients with the control server's TLS, whose CA `SSL_CERT_FILE` makes them trust."""

from __future__ import annotations

import urllib.parse
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.http.tls_files import TlsSetup
from netmap_actors.dev_control.standalone import RunningServer, running_server
from netmap_actors.errors import ConfigurationError
from tests.support.availability import unavailable
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.peers.tsp import Tsp
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

LIMIT = 15.0
DESK = "127.0.0.77"
"""An address of loopback on which nobody else listens."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningServer]:
    with running_server(nodes=2, tls=TlsSetup()) as running:
        monkeypatch.setenv("SSL_CERT_FILE", running.ca_file)
        yield running


def with_tls(server: RunningServer, kind: str) -> set[bool]:
    """Whether the connections on which this was seen have TLS."""
    secure = {event.connection for event in server.seen("tls")}
    return {event.connection in secure for event in server.seen(kind)}


def test_tailscaled_joins_and_comes_back_after_a_cut(go_tools: Path, server: RunningServer) -> None:
    with running_tailscaled(go_tools) as daemon:
        daemon.up(server.url, server.auth_key, "laptop")
        assert len(daemon.peers()) == 2
        before = len(server.seen("map"))
        server.fault("session/cut")
        wait_for(lambda: len(server.seen("map")) > before, LIMIT, "it is back")
        assert with_tls(server, "key") == with_tls(server, "map") == {True}


def test_tailscaled_that_does_not_trust_the_ca_is_told_apart(
    go_tools: Path, server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with running_tailscaled(go_tools) as daemon, daemon.going_up(server.url, "laptop"):
        wait_for(
            lambda: any("it does not trust the certificate" in event.detail for event in server.seen("end")),
            LIMIT,
            "its end says why",
        )


def test_tsp_joins(tsp_binary: Path, server: RunningServer, tmp_path: Path) -> None:
    tsp = Tsp(tsp_binary, server, tmp_path)
    tsp.make_node()
    tsp.join("-hostname", "gopher")
    assert len(tsp.map()["Peers"]) == 2
    assert with_tls(server, "key") == with_tls(server, "register") == {True}


def test_with_80_and_443_the_key_comes_by_tls_and_the_upgrade_without(
    go_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Tailscale's own server: it dials 80 first, and 443 half a second later (control/controlhttp)."""
    try:
        running = running_server(host=DESK, port=80, nodes=2, tls=TlsSetup(DESK, 443))
        with running as server:
            monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
            assert (server.url, server.plain_url) == (f"https://{DESK}", f"http://{DESK}")
            with running_tailscaled(go_tools) as daemon:
                daemon.up(server.url, server.auth_key, "laptop")
                assert len(daemon.peers()) == 2
                assert with_tls(server, "key") == {True}
                assert with_tls(server, "map") == {False}
    except ConfigurationError as error:
        unavailable(f"ports below 1024: {error}")
    assert urllib.parse.urlsplit(server.url).port is None
