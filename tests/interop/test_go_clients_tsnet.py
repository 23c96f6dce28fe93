"""tailscale's library for programs, tsnet, against our control server: a program of ours prints what it believes, and
that is compared with what the server and tailscale's own daemon know.
"""

from __future__ import annotations

import urllib.error
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.login_page import browse, press
from tests.support.peers.reporting_client import ReportingClient, running_client
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import running_tailscaled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.interop

LIMIT = 15.0
BACK_LIMIT = 40.0
"""Seconds; tsnet waits a few of them before each new attempt, the longer the more have failed."""
NODE = ("stable_id", "name", "addresses", "key", "tags", "routes", "online", "expired")


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_stun() as derp_map, running_server(derp_map=derp_map, offline_grace=0.5) as running:
        yield running


def truth(server: RunningServer, label: str) -> dict[str, Any]:
    """A node as the server has it, in the words of the client."""
    node = next(node for node in server.nodes() if node.name.partition(".")[0] == label)
    bare = [address.partition("/")[0] for address in node.addresses]
    words = (node.stable_id, node.name, bare, node.key, list(node.tags), list(node.routes))
    return dict(zip(NODE, (*words, node.online, node.expired), strict=True))


def said(node: dict[str, Any]) -> dict[str, Any]:
    return {name: node.get(name) for name in NODE}


def wait_running(client: ReportingClient) -> None:
    wait_for(lambda: client.own().get("state") == "Running", LIMIT, "tsnet is running")


def peer_is(
    client: ReportingClient, server: RunningServer, label: str, fact: Callable[[Any], object], what: str
) -> None:
    """Wait until this client says so of that peer, and all it says is what the server has."""
    wait_for(
        lambda: (peer := client.peers().get(label)) and fact(peer) and said(peer) == truth(server, label),
        LIMIT,
        f"{label} {what}",
    )


def test_it_joins_by_key_and_sees_what_becomes_of_another(
    server: RunningServer, tsnet_client: Path, go_tools: Path, tmp_path: Path
) -> None:
    with ExitStack() as running:
        gopher = running.enter_context(
            running_client(tsnet_client, tmp_path / "gopher", server.url, "gopher", server.auth_key)
        )
        wait_running(gopher)
        wait_for(lambda: said(gopher.own()) == truth(server, "gopher"), LIMIT, "it knows itself")
        assert gopher.peers() == {}

        two = running.enter_context(running_tailscaled(go_tools))
        two.up(server.url, server.auth_key, "two", "--advertise-routes=10.9.0.0/16")
        peer_is(gopher, server, "two", lambda peer: peer["online"], "has come")
        wait_for(lambda: "gopher" in two.peers(), LIMIT, "two sees it, too")
        assert two.peers()["gopher"]["Online"]
        assert two.peers()["gopher"]["PublicKey"] == gopher.own()["key"]

        # A route that is advertised leads nowhere until it is approved.
        assert gopher.peers()["two"]["routes"] == []
        server.tailnet.set_routes("two", ["10.9.0.0/16"])
        peer_is(gopher, server, "two", lambda peer: peer["routes"] == ["10.9.0.0/16"], "has its route")
        server.tailnet.set_routes("two", [])
        peer_is(gopher, server, "two", lambda peer: peer["routes"] == [], "has lost its route")

        server.tailnet.set_tags("two", ["tag:web"])
        peer_is(gopher, server, "two", lambda peer: peer["tags"] == ["tag:web"], "has the tag")
        server.tailnet.set_tags("gopher", ["tag:animal"])
        wait_for(lambda: gopher.own()["tags"] == ["tag:animal"], LIMIT, "it hears of its own tag")

        server.tailnet.rename("two", "deux")
        peer_is(gopher, server, "deux", lambda peer: peer["tags"] == ["tag:web"], "has its new name")
        assert "two" not in gopher.peers()
        server.tailnet.rename("gopher", "marmot")
        wait_for(lambda: gopher.own()["name"].startswith("marmot."), LIMIT, "it hears its own name")

        two.run("down")
        peer_is(gopher, server, "deux", lambda peer: not peer["online"], "is seen offline")
        two.run("up")
        peer_is(gopher, server, "deux", lambda peer: peer["online"], "is seen online again")

        server.tailnet.remove_node("deux")
        wait_for(lambda: not gopher.peers(), LIMIT, "the removed peer is gone")


def test_a_person_refuses_and_then_allows_it(
    server: RunningServer, tsnet_client: Path, tmp_path: Path
) -> None:
    with running_client(tsnet_client, tmp_path / "gopher", server.url, "gopher") as gopher:
        first = gopher.wait_login_url()
        assert "gopher" in browse(first), "the page says who asks"
        assert server.nodes() == []
        assert "refused" in press(first, "Refuse")
        second = gopher.wait_login_url(other_than=first)
        assert "is in" in press(second, "Allow", user="bob")
        wait_running(gopher)
        wait_for(lambda: said(gopher.own()) == truth(server, "gopher"), LIMIT, "it knows itself")
        wait_for(lambda: gopher.own()["user"] == "bob", LIMIT, "it has the user whom the page names")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            browse(second)


def test_it_is_seen_to_go_and_comes_back_as_itself_though_its_key_is_spent(
    server: RunningServer, tsnet_client: Path, go_tools: Path, tmp_path: Path
) -> None:
    with running_tailscaled(go_tools) as witness:
        witness.up(server.url, server.auth_key, "witness")
        once = server.call(lambda it: it.add_auth_key(reusable=False, tags=["tag:job"]))
        with running_client(tsnet_client, tmp_path / "gopher", server.url, "gopher", once) as gopher:
            wait_running(gopher)
            wait_for(lambda: witness.peers().get("gopher", {}).get("Online"), LIMIT, "the witness sees it")
            before = said(gopher.own())
            assert before["tags"] == ["tag:job"]
        wait_for(lambda: witness.peers()["gopher"]["Online"] is False, LIMIT, "the witness sees it go")
        asked = len(server.seen("register"))
        # It offers the spent key again, with its old node key: that is in already.
        with running_client(tsnet_client, tmp_path / "gopher", server.url, "gopher", once) as gopher:
            wait_running(gopher)
            wait_for(lambda: said(gopher.own()) == before, LIMIT, "it is the node it was")
            wait_for(lambda: witness.peers()["gopher"]["Online"], LIMIT, "the witness sees it again")
            keys = {event.detail.partition(" ")[0] for event in server.seen("register")[asked:]}
            assert keys <= {before["key"]}, "it asks as nobody else"


@pytest.mark.parametrize("way", ["auth key", "login"])
def test_it_comes_back_to_a_server_that_was_restarted(tsnet_client: Path, tmp_path: Path, way: str) -> None:
    state = str(tmp_path / "state")
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        with running_server(state_dir=state, derp_map=derp_map) as server:
            port = server.port
            server.tailnet.add_node("printer")
            key = server.auth_key if way == "auth key" else None
            gopher = running.enter_context(
                running_client(tsnet_client, tmp_path / "gopher", server.url, "gopher", key)
            )
            if key is None:
                press(gopher.wait_login_url(), "Allow")
            wait_running(gopher)
            two = running.enter_context(
                running_client(tsnet_client, tmp_path / "two", server.url, "two", server.auth_key)
            )
            wait_running(two)
            peer_is(gopher, server, "two", lambda peer: peer["online"], "has come")
            before = truth(server, "gopher")
        with running_server(state_dir=state, derp_map=derp_map, port=port) as server:
            wait_for(
                lambda: len({event.detail for event in server.seen("map")}) == 2, BACK_LIMIT, "both are back"
            )
            server.tailnet.rename("two", "deux")
            peer_is(gopher, server, "deux", lambda peer: peer["online"], "has its new name")
            peer_is(two, server, "gopher", lambda peer: peer["online"], "is online")
            wait_for(lambda: said(gopher.own()) == before, LIMIT, "it is the node it was")
            assert truth(server, "gopher") == before
            assert not server.seen("register"), "they have not even asked to be let in"
