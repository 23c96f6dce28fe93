"""The fault catalogue: what a MapResponse says (docs/explanation/fault-catalogue.md).

The same decisions as pure functions: `tests/unit/test_netmap_delta*.py` and `test_control_session*.py`.
"""

from __future__ import annotations

import json
import stat
import urllib.request
from typing import TYPE_CHECKING, Any

from netmap_supervisor import AmbiguousName, Subscriber
from tests.support.histories.history import boottime
from tests.support.host.free_ports import free_address
from tests.support.processes.catalogue_facts import KINDS_OF_PEERS, changes_seen, ended_after, ended_counts
from tests.support.waiting import Stopwatch, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_actors.dev_control.operator.commands import Commands
    from tests.support.histories.history import Scene, Scenes

NOBODY = 424242
ANSWERED = 5.0
"""Seconds for the answer to a ping."""


def same_session(scene: Scene, before: dict[str, Any]) -> None:
    """The connection is the one it was, and nobody was started again."""
    after = scene.daemon.wait_fresh()
    assert after["connection"]["pid"] == before["connection"]["pid"]
    assert after["connection"]["sessions"] == before["connection"]["sessions"]
    assert not any(row["restarts"] for row in after["actors"])


def wait_taken_in(scene: Scene) -> None:
    """What was sent before has been applied: a change behind it is there."""
    domain = f"d{boottime():.6f}.example"
    scene.control.server.raw(json.dumps({"Domain": domain}))
    scene.daemon.wait_status(lambda status: status["netmap"]["domain"] == domain, what="a later change")


def test_f23_a_session_that_begins_without_our_own_node_is_refused(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    scene.control.fault("map/first-without-node")
    scene.control.server.drop_all()
    ends = wait_for(
        lambda: (lines := scene.daemon.events("session_ended", reason="error"))[2:] and lines,
        30.0,
        "three sessions without Node",
    )
    assert all("cannot" in line["detail"] and "Node" in line["detail"] for line in ends)
    for step, line in enumerate(ends[:3]):
        assert 0.25 * 2**step <= line["next_attempt_s"] <= 0.75 * 2**step, "the pace of failed attempts"
    stale = scene.daemon.status()
    assert stale is not None
    assert stale["netmap"]["state"] == "stale"
    assert stale["netmap"]["peers"] == before["netmap"]["peers"]
    scene.control.heal()
    scene.wait_back(before)
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}


def test_f24_a_new_session_without_peers_means_that_there_are_none(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    assert before["netmap"]["peers"] == 5

    def empty(it: Commands) -> None:
        # In one turn of the server: no delta tells of it.
        it.drop_all()
        for node in it.nodes():
            if not node.registered:
                it.remove_node(node.id)

    ended_after(scene.daemon, lambda: scene.control.server.call(empty))
    after = scene.wait_back(before)
    assert after["netmap"]["peers"] == 0
    scene.history.wait_shown(lambda step: step["state"] == "fresh", 10.0, "a fresh view")
    assert changes_seen(scene).count("peer_removed") == 5
    assert "peer_upserted" not in changes_seen(scene)


def test_f25_an_address_belongs_to_who_was_given_it_last(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    server = scene.control.server
    old, new = [node for node in server.nodes() if not node.registered][:2]
    node = json.loads(server.call(lambda it: it._tailnet.encoded(new.id)))
    node |= {"Addresses": list(old.addresses), "AllowedIPs": list(old.addresses)}
    with Subscriber(scene.daemon.runtime_dir) as subscriber:

        def owners() -> set[str]:
            found: set[str] = set()
            for address in old.addresses:
                try:
                    peer = subscriber.store.netmap.peers.by_address(address.partition("/")[0])
                    found.add(peer.stable_id if peer is not None else "nobody")
                except AmbiguousName as both:
                    found |= {one.stable_id for one in both.candidates}
            return found

        subscriber.wait_for(lambda now: len(now.netmap.peers) == 5, timeout=10.0)
        assert owners() == {old.stable_id}
        server.raw(json.dumps({"PeersChanged": [node]}))
        assert subscriber.wait_for(lambda now: owners() == {old.stable_id, new.stable_id}, timeout=10.0)
        server.raw(json.dumps({"PeersRemoved": [old.id]}))
        subscriber.wait_for(lambda now: len(now.netmap.peers) == 4, timeout=10.0)
        assert owners() == {new.stable_id}
    same_session(scene, before)


def test_f26_what_is_said_of_unknown_nodes_is_counted_and_nothing_else(recorded: Scenes) -> None:
    http = free_address()
    scene = recorded(f"--http-listen={http}")
    before = scene.daemon.wait_fresh()
    messages: tuple[dict[str, Any], ...] = (
        {"PeersChangedPatch": [{"NodeID": NOBODY, "Endpoints": ["192.0.2.1:1"], "DERPRegion": 3}]},
        {"OnlineChange": {str(NOBODY): True}},
        {"PeerSeenChange": {str(NOBODY): False}},
        {"PeersRemoved": [NOBODY]},
    )
    for message in messages:
        scene.control.server.raw(json.dumps(message))
    wait_taken_in(scene)
    same_session(scene, before)
    assert not KINDS_OF_PEERS & {*changes_seen(scene)}

    def counted() -> bool:
        with urllib.request.urlopen(f"http://{http}/metrics", timeout=10.0) as answer:
            lines = answer.read().decode().splitlines()
        (line,) = (line for line in lines if "unknown_ids" in line and not line.startswith("#"))
        return float(line.rpartition(" ")[2]) == len(messages)

    wait_for(counted, 15.0, "four more in the publisher's next heartbeat", every=0.5)


def test_f27_what_rides_on_a_keep_alive_is_food_and_is_answered_and_opens_nothing(
    recorded: Scenes, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" >> {opened}\n')
    browser.chmod(stat.S_IRWXU)
    silence = 4.0
    scene = recorded(silence=silence, env={"BROWSER": str(browser)})
    before = scene.daemon.wait_fresh()
    # From now on nothing feeds the watchdog but what this test sends.
    scene.control.fault("liveness/no-keep-alives")
    server = scene.control.server
    until = boottime() + 2 * silence
    answered = 0
    while boottime() < until:
        ping = f"ping-{boottime():.6f}"
        server.call(lambda it, ping=ping: it._control.pings.update({ping: ""}))
        since, watch = boottime(), Stopwatch()
        server.raw(
            json.dumps(
                {
                    "KeepAlive": True,
                    "ControlTime": "2026-01-02T03:04:05Z",
                    "PopBrowserURL": "https://example.com/do-not-open",
                    "PingRequest": {"URL": f"{server.url}/machine/ping-response?id={ping}"},
                }
            )
        )
        wait_for(lambda ping=ping: server.call(lambda it: it.pong(ping)) == "head", ANSWERED, "the answer")
        assert watch.seconds() <= ANSWERED
        answered += 1
        wait_for(lambda since=since: boottime() - since > silence / 4, silence, "the next moment")
    assert answered >= 4
    same_session(scene, before)
    wishes = scene.daemon.events("server_wish", wish="pop_browser_url")
    assert [wish["detail"] for wish in wishes] == ["https://example.com/do-not-open"] * len(wishes)
    assert wishes
    assert not opened.exists()


def test_f28_a_server_that_wants_us_to_sleep_or_end_is_noted_and_not_obeyed(recorded: Scenes) -> None:
    scene = recorded()
    before = scene.daemon.wait_fresh()
    scene.control.server.raw(json.dumps({"Debug": {"SleepSeconds": 1e9}}))
    scene.control.server.raw(json.dumps({"Debug": {"Exit": 3}}))
    slept = scene.daemon.wait_event("server_wish", wish="debug_sleep")
    ended = scene.daemon.wait_event("server_wish", wish="debug_exit")
    assert float(slept["detail"]) == 1e9
    assert ended["detail"] == "3"
    wait_taken_in(scene)
    same_session(scene, before)
    assert ended_counts(scene.daemon.wait_fresh()) == {}
