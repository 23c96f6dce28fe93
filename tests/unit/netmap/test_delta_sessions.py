"""The messages of a session in sequence, and the identity of peers."""

from __future__ import annotations

import pytest

from netmap_actors.errors import BadMapResponse
from netmap_actors.netmap.changes import PeerRemoval, PeerUpsert
from tests.support.netmaps.netmap_replica import BAR, FOO, Replica, n, netmap_of


def test_f24_a_first_message_without_peers_means_that_there_are_none() -> None:
    for message in ({}, {"Peers": []}, {"Peers": None}):
        replica = netmap_of(peers=[FOO, BAR, n(3), n(4), n(5)])
        changes = replica.first(**message)
        assert [update for update in changes.updates if isinstance(update, PeerRemoval)] == changes.updates
        assert len(changes.updates) == 5
        assert replica.named() == {}
        replica.check()


def test_deltas_in_a_first_message_begin_with_no_peers() -> None:
    replica = netmap_of(peers=[FOO, BAR])
    replica.first(PeersChanged=[n(3, "three"), BAR], OnlineChange={1: True, 3: True}, PeersRemoved=[1, 2])
    assert replica.named() == {2: "bar", 3: "three"}
    assert replica.by_id(3).online is True
    assert replica.netmap.statistics.ignored_unknown_ids == 3
    replica.check()


def test_f23_a_first_message_must_hold_our_own_node() -> None:
    replica = netmap_of(peers=[FOO])
    with pytest.raises(BadMapResponse, match="lacks Node"):
        replica.apply({"Peers": [BAR]}, first=True)
    assert replica.named() == {1: "foo"}
    replica.check()


def test_keep_alives_may_come_before_the_first_message_and_change_no_peer() -> None:
    replica = netmap_of(peers=[FOO])
    changes = replica.apply({"KeepAlive": True, "Peers": [BAR], "Node": n(9)}, first=True)
    assert changes.keep_alive
    assert changes.updates == []
    replica.first(Peers=[BAR])
    assert replica.named() == {2: "bar"}
    replica.check()


def test_the_same_map_again_is_no_difference() -> None:
    peers = [n(i, f"n{i}", Online=bool(i % 2), User=i) for i in range(-3, 9)]
    message = {
        "Peers": peers,
        "UserProfiles": [{"ID": i} for i in range(9)],
        "Domain": "d",
        "PacketFilter": [],
    }
    replica = Replica()
    # peers, ourselves, the profiles of users somebody has, the domain, the packet filter
    assert len(replica.first(**message).updates) == 12 + 4
    assert replica.first(**message).updates == []
    assert replica.first(**{**message, "Peers": peers[::-1]}).updates == []
    assert replica.netmap.statistics.suppressed == 24
    replica.check()


def test_order_of_members_and_white_space_are_no_difference() -> None:
    replica = Replica()
    replica.apply(
        b'{"Node":{"ID":9},"Peers":[{"ID":1,"StableID":"a","CapMap":{"x":[1,{"b":2}],"y":null}}]}', first=True
    )
    same = b'{"Node":{"ID":9},"Peers":[{ "StableID":"a", "CapMap":{"y":null,"x":[1, {"b":2} ]},"ID":1}]}'
    assert replica.apply(same, first=True).updates == []
    for other in (b'{"b":2.0}', b'{"b":true}', b'{"b":null}', b'{"c":2}', b'{"b":2,"c":1}'):
        assert len(replica.apply(same.replace(b'{"b":2}', other), first=True).updates) == 1
        assert len(replica.apply(same, first=True).updates) == 1
    replica.check()


def test_what_is_the_same_in_the_end_is_no_difference() -> None:
    replica = netmap_of(peers=[n(1, "foo", Online=True)])
    assert replica.then(PeersChanged=[n(1, "foo")], OnlineChange={1: True}).updates == []
    assert replica.then(PeersRemoved=[1], PeersChanged=[n(1, "foo", Online=True)]).updates == []
    assert replica.then(PeersChangedPatch=[{"NodeID": 1, "Online": True}]).updates == []
    assert replica.then(PeersChangedPatch=[{"NodeID": 1, "Key": None, "Endpoints": None}]).updates == []
    assert replica.netmap.statistics.suppressed == 4
    replica.check()


def test_removals_come_before_what_takes_their_place() -> None:
    replica = netmap_of(peers=[n(1, "web", Addresses=["100.64.0.1/32"])])
    changes = replica.then(PeersChanged=[n(2, "web", Addresses=["100.64.0.1/32"])], PeersRemoved=[1])
    assert [type(update) for update in changes.updates] == [PeerRemoval, PeerUpsert]


# --- identity -------------------------------------------------------------------------------------------------------


def test_a_peer_without_stable_id_is_named_by_its_number() -> None:
    replica = netmap_of(peers=[{"ID": -7}, {"Name": "no id at all"}])
    assert set(replica.peers) == {"id:-7", "id:0"}
    replica.then(PeersRemoved=[-7])
    assert set(replica.peers) == {"id:0"}
    replica.check()


def test_a_peer_that_changes_its_stable_id_is_another_one() -> None:
    replica = netmap_of(peers=[FOO])
    changes = replica.then(PeersChanged=[{"ID": 1, "StableID": "other"}])
    assert changes.updates[0] == PeerRemoval("s1", 1)
    assert set(replica.peers) == {"other"}
    replica.check()


def test_a_stable_id_names_one_node_and_its_old_number_removes_nobody() -> None:
    replica = netmap_of(peers=[{"ID": 7, "StableID": "a", "Name": "old"}])
    replica.then(PeersChanged=[{"ID": 9, "StableID": "a", "Name": "new"}])
    assert replica.named() == {9: "new"}
    assert replica.then(PeersRemoved=[7]).updates == []
    assert replica.named() == {9: "new"}
    replica.check()


def test_two_peers_that_exchange_their_stable_ids_are_both_there() -> None:
    replica = netmap_of(peers=[{"ID": 1, "StableID": "a"}, {"ID": 2, "StableID": "b"}])
    replica.then(PeersChanged=[{"ID": 1, "StableID": "b"}, {"ID": 2, "StableID": "a"}])
    assert {stable: peer.id for stable, peer in replica.peers.items()} == {"a": 2, "b": 1}
    replica.check()


def test_f26_deltas_for_unknown_peers_are_counted_and_nothing_else() -> None:
    replica = netmap_of(peers=[FOO])
    changes = replica.then(
        PeersRemoved=[404],
        OnlineChange={404: True},
        PeerSeenChange={404: True},
        PeersChangedPatch=[{"NodeID": 404, "Online": True}],
    )
    assert changes.updates == []
    assert replica.netmap.statistics.ignored_unknown_ids == 4
    replica.check()


def test_a_patch_for_a_peer_removed_in_the_same_message_does_not_bring_it_back() -> None:
    replica = netmap_of(peers=[FOO])
    replica.then(PeersRemoved=[1], OnlineChange={1: True}, PeersChangedPatch=[{"NodeID": 1, "Cap": 1}])
    assert replica.named() == {}
    replica.check()
