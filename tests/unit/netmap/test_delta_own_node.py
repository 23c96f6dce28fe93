"""Peers that claim the identity of our own node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.netmaps.netmap_replica import Replica, n

OWN = {
    "ID": 1,
    "StableID": "n1",
    "Name": "obs.own.example.",
    "Key": f"nodekey:{0xABCDEF:064x}",
    "Addresses": ["100.64.0.1/32", "fd7a::1/128"],
}
KEYLESS = {"Key": f"nodekey:{0:064x}"}
CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "stable id": (n(2, StableID="n1"), "stable id"),
    "node id": (n(1), "NodeID"),
    "key": (n(2, Key=OWN["Key"]), "node key"),
    "an address": (n(2, Addresses=["100.64.0.2/32", "fd7a::1/128"]), "address"),
    "key in large letters": (n(2, Key=f"nodekey:{0xABCDEF:064X}"), "node key"),
    "an address in full": (n(2, Addresses=["FD7A:0:0:0:0:0:0:0001/128"]), "address"),
    "an address with zeros": (n(2, Addresses=["fd7a::0:0001/128"]), "address"),
    "an address with a zero between": (n(2, Addresses=["fd7a:0::1/128"]), "address"),
    "an IPv4 address within IPv6": (n(2, Addresses=["::ffff:100.64.0.1/128"]), "address"),
    "everything": (OWN, "stable id"),
}


def joined(*peers: dict[str, Any], own: dict[str, Any] = OWN) -> Replica:
    replica = Replica()
    replica.first(Node=own, Peers=list(peers))
    return replica


@pytest.mark.parametrize("case", CLAIMS)
def test_a_peer_that_has_what_is_ours_alone_is_set_apart_and_counted(case: str) -> None:
    claim, what = CLAIMS[case]
    for replica in (joined(n(5), claim), joined(n(5))):
        replica.then(PeersChanged=[claim])
        (bad,) = (peer for peer in replica.peers.values() if not peer.decoded)
        assert bad.stable_id != "n1"
        assert (bad.id, bad.name, bad.addresses, bad.key) == (claim["ID"], "", (), "")
        assert json.loads(bad.json) == claim
        assert what in replica.netmap.quarantined[bad.stable_id]
        assert replica.peers["s5"].decoded
        assert replica.self_node is not None
        assert replica.self_node.decoded
        replica.check()
        replica.then(PeersRemoved=[claim["ID"]])
        assert set(replica.peers) == {"s5"}
        replica.check()


@pytest.mark.parametrize("case", CLAIMS)
def test_a_peer_is_looked_at_again_when_this_node_becomes_another(case: str) -> None:
    claim, _ = CLAIMS[case]
    other = {"ID": 9, "StableID": "n9", "Name": "obs.own.example.", "Key": f"nodekey:{9:064x}"}
    replica = joined(n(5), claim, own=other)
    assert all(peer.decoded for peer in replica.peers.values())
    replica.then(Node=OWN)
    assert sum(not peer.decoded for peer in replica.peers.values()) == 1
    replica.check()
    replica.then(Node=other)
    assert all(peer.decoded for peer in replica.peers.values())
    assert set(replica.peers) == {"s5", claim["StableID"]}
    replica.check()
    replica.first(Node=OWN, Peers=[n(5), claim])
    assert sum(not peer.decoded for peer in replica.peers.values()) == 1
    replica.check()


def test_peers_that_are_looked_at_again_together_do_not_displace_each_other() -> None:
    one, two = (f"nodekey:{number:064x}" for number in (1, 2))
    replica = joined(n(1, StableID="n2", Key=one), own={"ID": 1, "StableID": "n1", "Key": one})
    replica.then(PeersChanged=[n(2, StableID="n2", Key=two)])
    assert set(replica.peers) == {"double:1", "n2"}
    replica.then(Node={"ID": 2, "StableID": "n1", "Key": two})
    assert {peer.id: peer.stable_id for peer in replica.peers.values()} == {1: "n2", 2: "double:2"}
    replica.check()


def test_what_nobody_has_is_nobodys() -> None:
    own = {"ID": 1, "Name": "obs.own.example.", **KEYLESS}
    replica = joined(n(2, **KEYLESS), n(3, Addresses=[]), {"ID": 4}, own=own)
    assert all(peer.decoded for peer in replica.peers.values())
    assert len(replica.peers) == 3
    replica.check()


@pytest.mark.parametrize(
    "addresses",
    [
        ["100.64.0.0/10"], ["fd7a::/64"], ["fd7a::2/128"], ["fd7a::1:1/128"], ["fd7a:1::/128"], ["::1/128"],
        ["::ffff:100.64.0.1/96"], ["fd7a:1:1:1::1:1:1/128"],
    ],
)  # fmt: skip
def test_another_address_is_not_ours(addresses: list[str]) -> None:
    replica = joined(n(2, Addresses=addresses))
    assert replica.peers["s2"].decoded
    replica.then(Node=OWN | {"Name": "renamed.own.example."})
    assert replica.peers["s2"].decoded


nodes = st.builds(
    n,
    st.sampled_from([1, 2, 3]),
    StableID=st.sampled_from(["n1", "n2", "n3", ""]),
    Key=st.sampled_from([OWN["Key"], f"nodekey:{2:064x}", ""]),
    Addresses=st.lists(
        st.sampled_from(["100.64.0.1/32", "100.64.0.2/32", "fd7a::1/128", "FD7A:0::1/128"]), max_size=2
    ),
)


@given(st.lists(st.tuples(nodes, st.booleans()), max_size=8), nodes)
def test_the_netmap_is_what_the_last_word_on_each_node_makes_of_it(changes: Any, own: Any) -> None:
    replica = joined(own=own)
    for node, ourselves in changes:
        own = node if ourselves else own
        replica.then(**({"Node": node} if ourselves else {"PeersChanged": [node]}))
        replica.check()
    assert replica.self_node is not None
    for peer in replica.peers.values():
        assert peer.stable_id != replica.self_node.stable_id
        assert not peer.decoded or peer.id != replica.self_node.id
        assert not set(peer.addresses) & set(replica.self_node.addresses)
        assert not peer.key or peer.key != replica.self_node.key
