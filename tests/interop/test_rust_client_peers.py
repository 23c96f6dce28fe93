"""tailscale's crate for Rust in one tailnet with others: each side is asked what it knows of the others.

The crate shows name, addresses, routes, tags, key, endpoints and whether a peer is online. It has no list of peers:
the client asks for those whose addresses were in a map, so a peer that the crate kept without one would not be seen.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.rust_client import RustClient, running_rust_client
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

LIMIT = 15.0


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server(offline_grace=0.5) as running:
        yield running


@pytest.fixture
def ferris(server: RunningServer, rust_client_binary: Path) -> Iterator[RustClient]:
    with running_rust_client(rust_client_binary, server.url, "ferris", server.auth_key) as client:
        yield client


def test_what_becomes_of_a_node_reaches_it(server: RunningServer, ferris: RustClient) -> None:
    ferris.wait_own()
    assert ferris.agrees_with(server)
    edit = server.tailnet
    steps: list[tuple[str, object]] = [
        ("comes", lambda: edit.add_node("web-1", tags=["tag:web"])),
        ("goes offline", lambda: edit.set_online("web-1", False)),
        ("is back online", lambda: edit.set_online("web-1", True)),
        ("has another name", lambda: edit.rename("web-1", "web-2")),
        ("has another tag", lambda: edit.set_tags("web-2", ["tag:db", "tag:web"])),
        ("has a route", lambda: edit.set_routes("web-2", ["10.9.0.0/16"])),
        ("has lost its route", lambda: edit.set_routes("web-2", [])),
        ("has a neighbour", lambda: edit.add_node("web-3")),
        ("is gone", lambda: edit.remove_node("web-2")),
    ]
    for what, step in steps:
        assert callable(step)
        step()
        wait_for(lambda: ferris.agrees_with(server), LIMIT, f"it hears that the node {what}")
    assert set(ferris.peers()) == {"web-3"}

    edit.set_endpoints("web-3", ["192.0.2.9:41641"])
    wait_for(
        lambda: ferris.peers()["web-3"]["endpoints"] == ["192.0.2.9:41641"], LIMIT, "it hears of an endpoint"
    )
    assert ferris.peers()["web-3"]["key_expiry"] is None
    edit.expire("web-3")
    wait_for(lambda: ferris.peers()["web-3"]["key_expiry"], LIMIT, "it hears that a key has expired")


def test_what_becomes_of_itself_reaches_it(server: RunningServer, ferris: RustClient) -> None:
    before = ferris.wait_own()
    server.tailnet.rename("ferris", "crab")
    server.tailnet.set_tags("crab", ["tag:animal"])
    wait_for(lambda: ferris.agrees_with(server), LIMIT, "it hears of its name and tag")
    after = ferris.last("self")
    assert after["tags"] == ["tag:animal"]
    assert (after["name"].partition(".")[0], after["stable_id"]) == ("crab", before["stable_id"])


def test_what_its_owner_may_not_see_is_no_peer(server: RunningServer, ferris: RustClient) -> None:
    ferris.wait_own()
    server.tailnet.add_node("web-1", tags=["tag:web"])
    server.tailnet.add_node("db-1", tags=["tag:db"])
    wait_for(lambda: set(ferris.peers()) == {"web-1", "db-1"}, LIMIT, "it sees both")
    server.tailnet.set_policy(
        {
            "tagOwners": {"tag:web": [], "tag:db": []},
            "acls": [{"action": "accept", "src": ["autogroup:member"], "dst": ["tag:web:80"]}],
        }
    )
    wait_for(lambda: set(ferris.peers()) == {"web-1"}, LIMIT, "it has lost the one")
    server.tailnet.set_policy(None)
    wait_for(lambda: ferris.agrees_with(server), LIMIT, "and has it again")


def test_it_answers_echo_and_stays_when_it_is_asked_what_it_does_not_know(
    server: RunningServer, ferris: RustClient
) -> None:
    """It answers no PingRequest but the c2n ones."""
    ferris.wait_own()
    server.call(lambda it: it.ping("ferris"))
    request = "POST /echo HTTP/1.1\r\nHost: it\r\nContent-Length: 5\r\n\r\nhello"
    echo = server.call(lambda it: it.ping("ferris", payload=request))
    answer = wait_for(lambda: server.call(lambda it: it.pong(echo)), LIMIT, "it answers /echo")
    assert answer == "HTTP/1.1 200 OK\r\n\r\nhello"
    assert not [event for event in server.seen("end") if event.connection == 1], "one session all the time"


def test_it_and_tailscaled_see_each_other(rust_client_binary: Path, go_tools: Path, tmp_path: Path) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(derp_map=derp_map, offline_grace=0.5))
        gopher = running.enter_context(running_tailscaled(go_tools))
        gopher.up(server.url, server.auth_key, "gopher")
        crab = (rust_client_binary, server.url, "crab", server.auth_key, tmp_path)
        with running_rust_client(*crab) as client:
            client.wait_own()
            wait_for(lambda: client.agrees_with(server), LIMIT, "it has tailscaled as a peer")
            # It registers before its map session, by which it is online, begins.
            wait_for(lambda: gopher.peers().get("crab", {}).get("Online"), LIMIT, "tailscaled has it online")
            peer = gopher.peers()["crab"]
            assert peer["PublicKey"] == client.last("self")["key"]
            assert peer["TailscaleIPs"] == client.last("self")["addresses"]
            gopher.run("down")
            wait_for(lambda: client.peers()["gopher"]["online"] is False, LIMIT, "tailscaled is offline")
            gopher.run("up")
            wait_for(lambda: client.agrees_with(server), LIMIT, "and back")
        wait_for(lambda: not gopher.peers()["crab"]["Online"], LIMIT, "it is offline")
        with running_rust_client(*crab) as client:
            wait_for(lambda: gopher.peers()["crab"]["Online"], LIMIT, "it is online again")
            wait_for(lambda: client.agrees_with(server), LIMIT, "both agree")
            server.tailnet.remove_node("gopher")
            wait_for(lambda: client.peers() == {}, LIMIT, "the removed peer is gone")
