"""tailscale's own daemon against our control server, each side asked what it knows of the other."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from netmap_actors.dev_control.standalone import RunningServer, running_server
from tests.support.peers.stun_server import running_stun
from tests.support.peers.tailscaled import Tailscaled, running_tailscaled
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from netmap_actors.dev_control.http.map_stream import MapStream
    from netmap_actors.dev_control.operator.listings import NodeView

pytestmark = pytest.mark.interop

LIMIT = 15.0
HARMLESS = {"wantrunning-false", "warming-up", "no-derp-connection"}
"""Warnings of tailscaled about itself: it was told to stop, has just begun, or its relay here answers STUN alone."""
COMPLAINT = re.compile(r"(?i)unexpected|panic|unmarshal|invalid|decod|nil ")


def node_called(server: RunningServer, label: str) -> NodeView:
    return next(node for node in server.nodes() if node.name.partition(".")[0] == label)


def peer_is(daemon: Tailscaled, label: str, fact: Callable[[dict[str, Any]], object], what: str) -> None:
    """Wait until this daemon says so of that peer."""
    wait_for(lambda: label in daemon.peers() and fact(daemon.peers()[label]), LIMIT, f"{label} {what}")


def test_two_join_by_key_and_each_hears_what_becomes_of_the_other(go_tools: Path) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(offline_grace=0.5, derp_map=derp_map))
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        one.up(server.url, server.auth_key, "one")
        two.up(server.url, server.auth_key, "two", "--advertise-routes=10.9.0.0/16")
        assert (one.state(), two.state()) == ("Running", "Running")

        # Both sides agree on who is who.
        for daemon, label, other in ((one, "one", "two"), (two, "two", "one")):
            ours = node_called(server, label)
            own = daemon.status()["Self"]
            assert own["ID"] == ours.stable_id
            assert own["PublicKey"] == ours.key
            assert own["DNSName"] == ours.name
            assert daemon.run("ip").split() == [address.partition("/")[0] for address in ours.addresses]
            peer_is(daemon, other, lambda peer: peer["Online"], "is seen online")
            theirs = node_called(server, other)
            assert daemon.peers()[other]["PublicKey"] == theirs.key
            assert theirs.name.rstrip(".") in daemon.run("whois", theirs.addresses[0].partition("/")[0])

        # A route that is advertised leads nowhere until it is approved.
        assert "10.9.0.0/16" not in one.peers()["two"]["AllowedIPs"]
        server.tailnet.set_routes("two", ["10.9.0.0/16"])
        peer_is(one, "two", lambda peer: "10.9.0.0/16" in peer["AllowedIPs"], "has its approved route")
        server.tailnet.set_routes("two", [])
        peer_is(one, "two", lambda peer: "10.9.0.0/16" not in peer["AllowedIPs"], "has lost its route")

        server.tailnet.set_tags("two", ["tag:web"])
        peer_is(one, "two", lambda peer: peer.get("Tags") == ["tag:web"], "has the tag")

        server.tailnet.rename("two", "deux")
        peer_is(one, "deux", lambda peer: peer["Tags"] == ["tag:web"], "has its new name")
        wait_for(lambda: two.status()["Self"]["DNSName"].startswith("deux."), LIMIT, "two hears its own name")

        two.run("down")
        peer_is(one, "deux", lambda peer: not peer["Online"], "is seen offline")
        two.run("up")
        peer_is(one, "deux", lambda peer: peer["Online"], "is seen online again")

        server.tailnet.remove_node("deux")
        wait_for(lambda: not one.peers(), LIMIT, "the removed peer is gone")


def test_an_ephemeral_node_waits_for_approval_and_is_gone_with_its_logout(go_tools: Path) -> None:
    with (
        running_stun() as derp_map,
        running_server(require_approval=True, derp_map=derp_map) as server,
        running_tailscaled(go_tools) as daemon,
    ):
        key = server.call(lambda it: it.add_auth_key(ephemeral=True))
        with daemon.going_up(server.url, "guest", f"--auth-key={key}") as up:
            wait_for(lambda: daemon.state() == "NeedsMachineAuth", LIMIT, "it waits for an administrator")
            assert not node_called(server, "guest").authorized
            server.tailnet.authorize("guest")
            assert up.wait_end() == 0, up.words()
        assert daemon.state() == "Running"
        assert node_called(server, "guest").ephemeral
        daemon.run("logout")
        wait_for(lambda: not server.nodes(), LIMIT, "the ephemeral node is gone")
        assert daemon.state() == "NeedsLogin"


def netmap_peer(daemon: Tailscaled, label: str) -> dict[str, Any]:
    """A peer as the netmap of this daemon has it."""
    peers = json.loads(daemon.run("debug", "netmap"))["Peers"] or []
    return next((peer for peer in peers if peer["Name"].startswith(f"{label}.")), {})


def whois(daemon: Tailscaled, label: str) -> dict[str, Any]:
    """What it knows of the one behind an address; its status is behind with users."""
    answer: dict[str, Any] = json.loads(daemon.run("whois", "--json", daemon.run("ip", "-4", label).strip()))
    return answer


def test_what_one_reports_reaches_the_other_and_they_talk(go_tools: Path) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(derp_map=derp_map))
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        one.up(server.url, server.auth_key, "one")
        two.up(server.url, server.auth_key, "two")
        wait_for(
            lambda: (
                set(netmap_peer(one, "two").get("Endpoints") or [])
                == set(two.status()["Self"]["Addrs"] or "?")
            ),
            LIMIT,
            "one has the endpoints of two",
        )
        assert "pong from two" in one.run("ping", "--c=1", "--timeout=5s", "two"), "and its disco key"
        home = two.status()["Self"]["Relay"]
        peer_is(one, "two", lambda peer: peer["Relay"] == home, "is at home where it says")

        told: list[dict[str, Any]] = []
        own_id, other_id = node_called(server, "one").id, node_called(server, "two").id

        def on_message(stream: MapStream, message: bytes) -> None:
            if stream.node_id == own_id:
                told.append(json.loads(message))

        server.call(lambda it: setattr(it._control, "on_message", on_message))
        (moved,) = {"here901", "here902"} - {home}
        region = int(moved.removeprefix("here"))
        two.run("debug", "force-prefer-derp", str(region))
        two.run("debug", "restun")
        peer_is(one, "two", lambda peer: peer["Relay"] == moved, "has moved")
        assert not any("PeersChanged" in message for message in told), "not the whole node again"
        patches = [patch for message in told for patch in message.get("PeersChangedPatch", [])]
        assert [patch["DERPRegion"] for patch in patches if "DERPRegion" in patch] == [region]
        assert {patch["NodeID"] for patch in patches} == {other_id}


def test_it_answers_pings_and_knows_names_and_users(go_tools: Path) -> None:
    with ExitStack() as running:
        derp_map = running.enter_context(running_stun())
        server = running.enter_context(running_server(derp_map=derp_map))
        one, two = (running.enter_context(running_tailscaled(go_tools)) for _ in range(2))
        one.up(server.url, server.auth_key, "one")
        two.up(server.url, server.call(lambda it: it.add_auth_key(user="bob")), "two")

        plain = server.call(lambda it: it.ping("one"))
        wait_for(lambda: server.call(lambda it: it.pong(plain)) == "head", LIMIT, "it answers a PingRequest")
        request = "POST /echo HTTP/1.1\r\nHost: it\r\nContent-Length: 5\r\n\r\nhello"
        echo = server.call(lambda it: it.ping("one", payload=request))
        answer = wait_for(lambda: server.call(lambda it: it.pong(echo)), LIMIT, "it answers /echo")
        assert answer.startswith("HTTP/1.1 200 OK")
        assert answer.endswith("\r\n\r\nhello")

        peer_is(one, "two", bool, "is a peer")
        status = one.status()
        domain = node_called(server, "one").name.partition(".")[2].rstrip(".")
        assert status["MagicDNSSuffix"] == domain
        assert status["CurrentTailnet"]["MagicDNSEnabled"]
        assert one.run("ip", "two").split() == [
            address.partition("/")[0] for address in node_called(server, "two").addresses
        ]
        server.call(lambda it: it.rename_user("bob", "Bob the Second"))
        wait_for(
            lambda: whois(one, "two")["UserProfile"]["DisplayName"] == "Bob the Second",
            LIMIT,
            "one has the new name of a user",
        )
        assert whois(one, "two")["UserProfile"]["LoginName"] == "bob"
        assert whois(one, "two")["Node"]["StableID"] == node_called(server, "two").stable_id

        # A tailnet with relays, users, routes and peers gives it nothing to complain of.
        server.tailnet.add_node("printer", tags=["tag:office"])
        peer_is(one, "printer", lambda peer: peer["Online"], "is seen")
        log = one.log.read_text()
        assert [words for words in one.status()["Health"] if "relay server" not in words] == []
        assert set(re.findall(r"health\(warnable=([\w-]+)\): error", log)) <= HARMLESS
        assert [line for line in log.splitlines() if COMPLAINT.search(line)] == []
