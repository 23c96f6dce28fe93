"""Several nodes with one stable id: one is shown, always the same, and the others are kept."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.netmaps.netmap_replica import Replica, netmap_of, peer_in


def n(node_id: Any, stable_id: str = "twin", **fields: Any) -> dict[str, Any]:
    return {"ID": node_id, "StableID": stable_id, "Name": f"p{node_id}.x.", **fields}


def shown(replica: Replica) -> dict[str, int]:
    return {stable_id: peer.id for stable_id, peer in replica.peers.items()}


@pytest.mark.parametrize("order", list(itertools.permutations([n(1), n(2), n(3, "other"), n("x")])))
def test_a_reconnect_with_the_same_nodes_in_any_order_changes_nothing(order) -> None:
    replica = netmap_of(peers=[n(1), n(2), n(3, "other"), n("x")])
    assert shown(replica) == {"twin": 2, "other": 3}
    for nodes in (order, order[::-1], order):
        assert replica.first(Peers=list(nodes)).updates == []
    assert shown(replica) == {"twin": 2, "other": 3}
    assert replica.netmap.statistics.peers == 2
    assert replica.netmap.statistics.hidden == 2


def test_a_node_whose_namesake_goes_is_shown_as_it_is_by_then() -> None:
    replica = netmap_of(peers=[n(1, User=7, Online=False), n(2, User=8, Online=True)])
    replica.then(OnlineChange={"1": True}, PeersChangedPatch=[{"NodeID": 1, "Cap": 9}])
    assert replica.peers["twin"].cap == 0
    assert (replica.netmap.statistics.online, replica.netmap.statistics.hidden) == (1, 1)
    replica.then(PeersRemoved=[2])
    (peer,) = replica.peers.values()
    assert (peer.id, peer.online, peer.cap, peer.user_id) == (1, True, 9, 7)
    assert replica.netmap.hidden == {}
    replica.then(PeersRemoved=[1])
    assert replica.peers == {}


def test_a_change_of_a_node_that_is_not_shown_is_no_change() -> None:
    replica = netmap_of(peers=[n(1), n(2)])
    assert replica.then(PeersChanged=[n(1, Cap=5)]).updates == []
    assert shown(replica) == {"twin": 2}


def test_nodes_that_share_a_key_or_an_address_are_both_shown_and_stay() -> None:
    peers = [n(i, f"n{i}", Key="nodekey:" + "a" * 64, Addresses=["100.64.0.1/32"]) for i in (1, 2)]
    replica = netmap_of(peers=peers)
    for nodes in (peers, peers[::-1], peers):
        assert replica.first(Peers=nodes).updates == []
    assert shown(replica) == {"n1": 1, "n2": 2}


def test_of_two_nodes_with_one_id_the_last_one_counts() -> None:
    """As in tailscale: control/controlclient/map.go."""
    replica = netmap_of(peers=[n(1, "a"), n(1, "b")])
    assert shown(replica) == {"b": 1}
    for _ in range(3):
        assert replica.first(Peers=[n(1, "a"), n(1, "b")]).updates == []
        assert replica.netmap.statistics.hidden == 1
    replica.first(Peers=[n(1, "b"), n(1, "b")])
    assert replica.netmap.statistics.hidden == 0


NODES = st.builds(n, st.integers(1, 4), st.sampled_from(["a", "b"]), Cap=st.integers(0, 2))


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(lambda node: {"PeersChanged": [node]}, NODES),
            st.builds(lambda number: {"PeersRemoved": [number]}, st.integers(1, 4)),
        ),
        max_size=12,
    ),
    st.randoms(),
)
def test_what_is_shown_depends_on_the_nodes_there_are_and_on_nothing_else(history, rng) -> None:
    replica, nodes = netmap_of(peers=[n(9, "n9")]), {9: n(9, "n9")}
    for message in history:
        replica.then(**message)
        for node in message.get("PeersChanged", []):
            nodes[node["ID"]] = node
        for number in message.get("PeersRemoved", []):
            nodes.pop(number, None)
    everybody = rng.sample(list(nodes.values()), len(nodes))
    at_once = netmap_of(peers=everybody)
    assert replica.peers == at_once.peers
    assert {peer_in(piece).id for piece in replica.netmap.pieces()} == {p.id for p in at_once.peers.values()}
    assert replica.netmap.hidden == at_once.netmap.hidden
    if everybody:
        assert replica.first(Peers=everybody).updates == []


def test_very_many_nodes_with_one_id_come_and_go_at_a_cost_that_does_not_grow_with_them() -> None:
    """Quadratic, it would take half an hour."""
    numbers = range(2000, 42_000)  # our own node has a smaller one
    replica = netmap_of(peers=[n(number) for number in numbers])
    assert shown(replica) == {"twin": numbers[-1]}
    replica.then(PeersRemoved=list(numbers[:0:-1]))
    assert shown(replica) == {"twin": numbers[0]}
    assert replica.netmap.hidden == {}
    replica.check()
