"""A map session recorded from headscale, folded, must agree with the server's own list of nodes.

The recording: one node on a lab headscale (commit f20f1f12, capability version 130) while others join, change,
lose their connection, expire and are deleted. Throw-away nodes and keys.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netmap_actors.netmap.changes import Document, PeerRemoval, PeerUpsert
from netmap_actors.tailcfg import MapResponse, PeerChange, check_map_response_shape, decode, encode
from tests.support.netmaps.netmap_replica import Replica

FIXTURES = Path(__file__).parent.parent / "fixtures"
RECORDER = "7"


def recorded() -> list[tuple[float, str, dict[str, Any] | None]]:
    """(seconds, what was done to the server just before or "", the message or None)."""
    lines = [json.loads(line) for line in (FIXTURES / "headscale-session.jsonl").read_text().splitlines()]
    return [(line["t"], line.get("note", ""), line.get("map_response")) for line in lines]


def fold(replica: Replica, *, until: str = "") -> Replica:
    """Fold the session, up to just before this was done."""
    first = True
    for _, note, message in recorded():
        if until and note.startswith(until):
            break
        if message is not None:
            replica.apply(message, first=first)
            replica.check()
            first = False
    return replica


def test_the_folded_session_agrees_with_the_servers_own_list() -> None:
    replica = fold(Replica())
    theirs = {node["id"]: node for node in json.loads((FIXTURES / "headscale-session-end.json").read_text())}
    own = theirs.pop(RECORDER)
    assert replica.self_node is not None
    assert (replica.self_node.stable_id, replica.self_node.key) == (RECORDER, own["nodeKey"])
    assert set(replica.peers) == set(theirs)
    for stable_id, node in theirs.items():
        peer = replica.peers[stable_id]
        assert peer.decoded
        assert peer.id == int(stable_id)
        assert peer.name.partition(".")[0] == node["givenName"]
        assert [address.partition("/")[0] for address in peer.addresses] == node["ipAddresses"]
        assert (peer.key, peer.disco_key) == (node["nodeKey"], node["discoKey"])
        assert peer.key_expiry == (node["expiry"] or "")
        assert list(peer.tags) == node["tags"]
        assert peer.hostinfo is not None
        assert peer.hostinfo.hostname == node["name"]


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("nodes rename", {"8": ("web1.tail.example", True), "9": ("db1.tail.example", True)}),
        ("nodes approve", {"8": ("web1-renamed.tail.example", True), "9": ("db1.tail.example", True)}),
        ("nodes expire", {"8": ("web1-renamed.tail.example", True), "9": ("db1.tail.example", True)}),
        ("waiting", {"8": ("web1-renamed.tail.example", True)}),
    ],
)
def test_what_was_known_of_the_nodes_that_joined_at_each_step(
    until: str, expected: dict[str, tuple[str, bool]]
) -> None:
    replica = fold(Replica(), until=until)
    joined = {stable_id: (p.name, p.online) for stable_id, p in replica.peers.items() if p.id >= 8}
    assert joined == expected


def test_the_route_the_tag_and_the_policy_are_seen() -> None:
    replica = fold(Replica(), until="nodes tag")
    assert replica.peers["8"].routes == ("10.20.0.0/24",)
    assert "10.20.0.0/24" in replica.peers["8"].allowed_ips
    open_filter = replica.documents[Document.PACKET_FILTER]
    replica = fold(Replica(), until="db1 connection closed")
    assert replica.peers["9"].tags == ("tag:db",)
    assert replica.profiles.keys() == {1, 2147455555}, "tagged nodes belong to tagged-devices"
    assert replica.documents[Document.PACKET_FILTER] != open_filter
    replica = fold(Replica())
    assert replica.profiles.keys() == {1}, "nobody is tagged any more"
    assert replica.documents[Document.SSH_POLICY] == b""
    assert replica.domain == "192.0.2.1"
    assert set(json.loads(replica.documents[Document.DERP_MAP])["Regions"]) == {"999"}


def test_only_true_differences_came_of_it() -> None:
    """headscale sends every peer again with each change of the policy; most of them are as they were."""
    replica = Replica()
    plain: dict[int, dict[str, Any]] = {}
    sent = 0
    for _, _, message in recorded():
        if message is None:
            continue
        before = dict(plain)
        for node_id in message.get("PeersRemoved", []):
            del plain[node_id]
        for node in [*message.get("Peers", []), *message.get("PeersChanged", [])]:
            sent += 1
            plain[node["ID"]] = node
        for patch in message.get("PeersChangedPatch", []):
            changed = {name: value for name, value in patch.items() if name != "NodeID"}
            plain[patch["NodeID"]] = {**plain[patch["NodeID"]], **changed}
        different = {node_id for node_id, node in plain.items() if before.get(node_id) != node}
        updates = replica.apply(message, first=not before).updates
        assert {update.id for update in updates if isinstance(update, PeerUpsert)} == different
        assert {
            update.id for update in updates if isinstance(update, PeerRemoval)
        } == before.keys() - plain.keys()
    assert sent == 52
    assert replica.netmap.statistics.suppressed > 20


def test_the_session_folded_on_the_netmap_it_left_behind_gives_the_same() -> None:
    replica = fold(Replica())
    peers, documents = dict(replica.peers), dict(replica.documents)
    fold(replica)
    assert (replica.peers, replica.documents) == (peers, documents)


def test_only_the_keep_alive_is_one() -> None:
    shapes = [
        check_map_response_shape(encode(message)) for _, _, message in recorded() if message is not None
    ]
    assert [shape.keep_alive for shape in shapes] == [False] * (len(shapes) - 1) + [True]
    assert shapes[0].has_node


def test_our_types_write_what_headscale_wrote() -> None:
    """Whatever our types know comes out as it came in, and nothing that was sent is unknown to them."""
    for _, _, message in recorded():
        if message is None:
            continue
        assert json.loads(encode(decode(MapResponse, encode(message)))) == message
        for patch in message.get("PeersChangedPatch", []):
            assert json.loads(encode(decode(PeerChange, encode(patch)))) == patch
