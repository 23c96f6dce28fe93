"""Nodes that cannot be read are in quarantine, and do not affect the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netmap_actors.errors import BadMapResponse
from netmap_actors.netmap.changes import NetmapUpdate, PeerUpsert
from netmap_actors.netmap.delta import NetmapEngine
from netmap_actors.slices import complete
from netmap_actors.tailcfg import decode_map_response
from netmap_actors.tailcfg.nesting import MAX_NESTING
from tests.support.netmaps.netmap_replica import Replica, netmap_of, peer_in

GOOD = {"ID": 1, "StableID": "good", "Name": "good"}

# what is wrong inside one node, and (NodeID, stable id) it goes by
WRONG: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "a name that is a number": ({"ID": 2, "StableID": "b", "Name": 5}, (2, "b")),
    "addresses that are no list": ({"ID": 2, "StableID": "b", "Addresses": "10.0.0.1/32"}, (2, "b")),
    "an address without prefix length": ({"ID": 2, "StableID": "b", "Addresses": ["10.0.0.1"]}, (2, "b")),
    "an impossible IPv4 prefix": ({"ID": 2, "StableID": "b", "Addresses": ["10.0.0.1/33"]}, (2, "b")),
    "an impossible IPv6 prefix": ({"ID": 2, "StableID": "b", "AllowedIPs": ["fd7a::1/129"]}, (2, "b")),
    "an octet beyond 255": ({"ID": 2, "StableID": "b", "PrimaryRoutes": ["10.0.0.256/32"]}, (2, "b")),
    "an empty address": ({"ID": 2, "StableID": "b", "Addresses": [""]}, (2, "b")),
    "two addresses in one": ({"ID": 2, "StableID": "b", "Addresses": ["10.0.0.1/32,10.0.0.2"]}, (2, "b")),
    "digits of another script": ({"ID": 2, "StableID": "b", "Addresses": ["10.0.0.١/32"]}, (2, "b")),
    "a key of a wrong kind": ({"ID": 2, "StableID": "b", "Key": "mkey:" + "0" * 64}, (2, "b")),
    "a key too short": ({"ID": 2, "StableID": "b", "Key": "nodekey:" + "0" * 63}, (2, "b")),
    "a key with a blank": ({"ID": 2, "StableID": "b", "DiscoKey": "discokey:" + "0" * 64 + " "}, (2, "b")),
    "a machine key that is no hex": ({"ID": 2, "StableID": "b", "Machine": "mkey:" + "g" * 64}, (2, "b")),
    "online as text": ({"ID": 2, "StableID": "b", "Online": "yes"}, (2, "b")),
    "a DERP region beyond int32": ({"ID": 2, "StableID": "b", "HomeDERP": 2**31}, (2, "b")),
    "a user beyond int64": ({"ID": 2, "StableID": "b", "User": 2**63}, (2, "b")),
    "a hostname that is a list": ({"ID": 2, "StableID": "b", "Hostinfo": {"Hostname": []}}, (2, "b")),
    "a stable id that is a number": ({"ID": 2, "StableID": 7}, (2, "id:2")),
    "an id that is text": ({"ID": "2", "StableID": "b"}, (0, "b")),
    "an id beyond int64": ({"ID": 2**64, "StableID": "b"}, (0, "b")),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_bad_peer_does_not_blind_us(case: str) -> None:
    node, (node_id, stable_id) = WRONG[case]
    replica = netmap_of(peers=[GOOD, node])
    assert replica.peers["good"].decoded
    bad = replica.peers[stable_id]
    assert (bad.decoded, bad.id, bad.online, bad.name) == (False, node_id, None, "")
    assert json.loads(bad.json) == node
    assert replica.netmap.quarantined[stable_id].startswith("cannot read")
    replica.check()
    assert replica.first(Peers=[GOOD, node]).updates == []
    replica.check()
    assert len(replica.then(PeersChanged=[{"ID": 2, "StableID": "b", "Name": "healed"}]).updates) in (1, 2)
    assert replica.by_id(2).decoded
    assert not replica.netmap.quarantined
    replica.check()


@pytest.mark.parametrize("node", [7, "x", [], True, 1.5, {"ID": {}}, {"ID": None, "StableID": []}])
def test_something_that_is_no_node_at_all_is_shown_by_a_hash_of_it(node: Any) -> None:
    replica = netmap_of(peers=[GOOD, node])
    (bad,) = [peer for peer in replica.peers.values() if not peer.decoded]
    assert bad.stable_id.startswith(("unreadable:", "id:0"))
    replica.then(PeersChanged=[node], OnlineChange={0: True})
    assert len(replica.peers) == 2
    replica.check()
    replica.first(Peers=[GOOD])
    assert set(replica.peers) == {"good"}
    replica.check()


def test_a_peer_is_nested_as_deep_as_the_gate_allows_or_the_message_is_refused() -> None:
    def message(depth: int) -> bytes:
        nested = b"[" * depth + b"]" * depth
        return b'{"Node":{"ID":9},"Peers":[{"ID":1,"StableID":"a","X":%s},{"ID":2}]}' % nested

    replica = Replica()
    replica.apply(message(MAX_NESTING - 3), first=True)
    assert replica.peers["a"].decoded
    assert len(replica.peers) == 2
    replica.check()
    for depth in (MAX_NESTING - 2, 100_000):
        with pytest.raises(BadMapResponse, match="nested"):
            replica.apply(message(depth), first=True)
    replica.check()


def test_a_known_peer_that_turns_bad_keeps_its_identity() -> None:
    replica = netmap_of(peers=[{"ID": 2, "StableID": "b", "Name": "ok", "Online": True, "User": 4}])
    replica.then(PeersChanged=[{"ID": 2, "StableID": 5}])
    assert set(replica.peers) == {"b"}
    assert not replica.peers["b"].decoded
    assert replica.netmap.statistics.unknown == 1
    replica.check()
    replica.then(PeersRemoved=[2])
    assert not replica.peers
    replica.check()


def test_a_known_peer_whose_number_turns_bad_is_still_found_by_its_stable_id() -> None:
    replica = netmap_of(peers=[{"ID": 2, "StableID": "b", "Name": "ok"}])
    replica.then(PeersChanged=[{"ID": "2", "StableID": "b", "Name": "ok"}])
    assert (replica.peers["b"].decoded, replica.peers["b"].id) == (False, 2)
    replica.then(PeersRemoved=[2])
    assert not replica.peers
    replica.check()


@pytest.mark.parametrize(
    "patch",
    [
        {"NodeID": 2, "Online": "yes"},
        {"NodeID": 2, "Endpoints": [1]},
        {"NodeID": 2, "CapMap": []},
        {"NodeID": 2, "KeySignature": "%"},
        {"NodeID": 2, "DERPRegion": 2**40},
    ],
)
def test_a_patch_that_cannot_be_read_puts_its_peer_in_quarantine_until_it_is_sent_whole(
    patch: dict[str, Any],
) -> None:
    whole = {"ID": 2, "StableID": "b", "Name": "ok", "Online": False}
    replica = netmap_of(peers=[GOOD, whole])
    replica.then(PeersChangedPatch=[patch])
    assert not replica.peers["b"].decoded
    assert json.loads(replica.peers["b"].json) == whole
    assert replica.netmap.statistics.bad_patches == 1
    replica.check()
    replica.first(Peers=[GOOD, whole])
    assert replica.peers["b"].decoded, "the same bytes as before, now in full"
    replica.then(PeersChangedPatch=[patch])
    replica.then(PeersChangedPatch=[{"NodeID": 2, "Online": True}], OnlineChange={2: True})
    assert not replica.peers["b"].decoded, "the patch that was lost is still lost"
    replica.check()
    replica.first(Peers=[GOOD, whole])
    assert replica.peers["b"].decoded
    replica.check()


def test_a_patch_with_a_wrong_key_puts_its_peer_in_quarantine_and_a_right_one_heals_it() -> None:
    replica = netmap_of(peers=[{"ID": 2, "StableID": "b"}])
    replica.then(PeersChangedPatch=[{"NodeID": 2, "Key": "nodekey:zz"}])
    assert not replica.peers["b"].decoded
    replica.then(PeersChangedPatch=[{"NodeID": 2, "Key": "nodekey:" + "a" * 64}])
    assert replica.peers["b"].decoded
    replica.check()


def test_a_bad_patch_for_nobody_is_counted() -> None:
    replica = netmap_of(peers=[GOOD])
    assert replica.then(PeersChangedPatch=[{"NodeID": 404, "Online": 5}]).updates == []
    assert replica.netmap.statistics.bad_patches == 1
    replica.check()


def test_our_own_node_can_be_in_quarantine() -> None:
    replica = Replica()
    replica.apply({"Node": {"ID": 5, "StableID": "me", "Name": "ok"}, "Peers": [GOOD]}, first=True)
    replica.then(Node={"ID": 5, "Name": 1})
    assert replica.self_node is not None
    assert (replica.self_node.decoded, replica.self_node.stable_id) == (False, "me")
    assert set(replica.netmap.quarantined) == {"me"}
    replica.check()
    replica.then(Node={"ID": 5, "StableID": "me", "Name": "ok"})
    assert not replica.netmap.quarantined
    replica.check()


def test_an_error_text_about_a_peer_is_fit_for_a_terminal() -> None:
    replica = Replica()
    replica.apply(
        {"Node": {"ID": 5}, "Peers": [{"ID": 1, "Hostinfo": {"OS": {"\u001b[31m": 1}}}]}, first=True
    )
    (reason,) = replica.netmap.quarantined.values()
    assert reason.isprintable()


NODES = st.fixed_dictionaries(
    {},
    optional={
        "ID": st.integers(-3, 3) | st.just("x") | st.none(),
        "StableID": st.sampled_from(["a", "b", "id:1"]) | st.integers(0, 1) | st.none(),
        "Name": st.sampled_from(["n", 5, None]),
        "Addresses": st.sampled_from([["10.0.0.1/32"], [], None, ["x"], 7]),
        "User": st.integers(0, 2),
        "Sharer": st.integers(0, 2),
        "Online": st.sampled_from([True, False, None, "x"]),
    },
) | st.sampled_from([None, 1, [], "a"])
PATCHES = st.fixed_dictionaries(
    {"NodeID": st.integers(-3, 3)},
    optional={
        "Online": st.sampled_from([True, False, None, "x"]),
        "Key": st.sampled_from(["nodekey:" + "a" * 64, "nodekey:", None]),
        "Endpoints": st.sampled_from([[], ["1.2.3.4:5"], None, [None]]),
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "Node": NODES.filter(lambda value: value is None or isinstance(value, dict)),
        "Peers": st.lists(NODES, max_size=4),
        "PeersChanged": st.lists(NODES, max_size=3),
        "PeersRemoved": st.lists(st.integers(-3, 3), max_size=3),
        "PeersChangedPatch": st.lists(PATCHES | st.none(), max_size=3),
        "OnlineChange": st.dictionaries(st.integers(-3, 3).map(str), st.booleans() | st.none(), max_size=3),
        "PeerSeenChange": st.dictionaries(st.integers(-3, 3).map(str), st.booleans() | st.none(), max_size=3),
        "UserProfiles": st.lists(
            st.sampled_from([{"ID": 1}, {"ID": 2, "LoginName": "x"}, {"ID": "x"}, None]), max_size=3
        ),
        "KeepAlive": st.booleans(),
    },
)


@settings(deadline=None)
@example([({"Peers": [{"ID": "x", "Online": True, "StableID": "a"}, {"StableID": "a"}]}, False)])
@given(st.lists(st.tuples(MESSAGES, st.booleans()), max_size=8))
def test_whatever_a_server_sends_the_differences_lead_to_what_the_netmap_holds(
    history: list[tuple[dict[str, Any], bool]],
) -> None:
    replica = Replica()
    replica.first()
    for message, first in history:
        try:
            replica.apply(message, first=first)
        except BadMapResponse:
            assert first
            assert not message.get("Node")
        replica.check()
        again = [peer_in(piece) for piece in replica.netmap.pieces()]
        assert {peer.stable_id for peer in again} == set(replica.peers)


def test_a_piece_that_does_not_hold_the_json_is_encoded_all_the_same() -> None:
    netmap = NetmapEngine(lambda peer: peer.name.encode())

    def apply(document: bytes, *, first: bool = False) -> list[NetmapUpdate]:
        return complete(netmap.applying(decode_map_response(document), first=first, wall=0.0)).updates

    apply(b'{"Node":{"ID":9},"Peers":[{"ID":1,"Name":"a","CapMap":{}}]}', first=True)
    apply(b'{"OnlineChange":{"1":true}}')
    peer = netmap.peer("id:1")
    assert peer is not None
    assert json.loads(peer.json) == {"ID": 1, "Name": "a", "CapMap": {}, "Online": True}
    assert netmap.pieces() == [b"a"]
    assert apply(b'{"PeersChanged":[{"ID":1,"Name":"b"}]}') == [PeerUpsert("id:1", 1, b"b")]
    whole = b'{"Node":{"ID":9},"Peers":[{"ID":1,"Name":"b"}]}'
    apply(b'{"PeersChangedPatch":[{"NodeID":1,"Cap":"x"}]}')
    assert set(netmap.quarantined) == {"id:1"}
    apply(whole, first=True)
    assert not netmap.quarantined
    assert apply(whole, first=True) == []
