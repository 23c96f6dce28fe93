"""Keys that expire without a message: by our clock, corrected by the server's last ControlTime."""

from __future__ import annotations

import pytest

from tests.support.netmaps.netmap_replica import NOW, Replica, netmap_of

SOON, LATER = "2026-01-02T03:14:05Z", "2026-01-02T05:00:00Z"
"""NOW plus ten minutes, and almost two hours."""


def n(node_id: int, **fields: object) -> dict[str, object]:
    return {"ID": node_id, "StableID": f"n{node_id}", "Name": f"p{node_id}.x.", **fields}


def test_a_key_expires_when_its_moment_has_come_and_only_once() -> None:
    replica = netmap_of(
        peers=[n(1, KeyExpiry=SOON, Endpoints=["192.0.2.1:1"], HomeDERP=3), n(2), n(3, KeyExpiry=LATER)]
    )
    assert replica.netmap.next_expiry() is not None
    assert replica.pass_time(NOW) == []
    assert replica.pass_time(SOON) == ["n1"]
    peer = replica.by_id(1)
    assert (peer.expired, peer.endpoints, peer.home_derp, peer.key_expiry) == (True, (), 0, SOON)
    assert replica.pass_time(SOON) == []
    assert not replica.by_id(3).expired
    assert replica.pass_time("2026-01-02T06:00:00Z") == ["n3"]
    assert replica.netmap.next_expiry() is None
    replica.check()


def test_a_later_change_of_an_expired_peer_leaves_it_expired() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON)])
    replica.pass_time(SOON)
    replica.apply({"OnlineChange": {"1": True}}, now_text=SOON)
    assert (replica.by_id(1).expired, replica.by_id(1).online) == (True, True)
    replica.check()


def test_a_message_finds_out_what_has_expired_meanwhile() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON), n(2)])
    replica.apply({"OnlineChange": {"2": True}}, now_text=LATER)
    assert replica.by_id(1).expired
    replica.check()


def test_a_new_session_with_a_clock_that_was_wrong_before_sees_peers_as_of_its_own() -> None:
    replica = netmap_of(
        peers=[n(1, KeyExpiry=SOON), n(2, KeyExpiry=LATER)], ControlTime="2027-01-02T03:04:05Z"
    )
    assert (replica.by_id(1).expired, replica.by_id(2).expired) == (True, True)
    peers = [
        n(1, KeyExpiry=SOON, Online=True),
        n(2, KeyExpiry=NOW),
        n(3, KeyExpiry=SOON),
        n(4, KeyExpiry=NOW),
    ]
    replica.first(Peers=peers, ControlTime=NOW)
    assert {peer.id: peer.expired for peer in replica.peers.values()} == {
        1: False,
        2: True,
        3: False,
        4: True,
    }
    replica.check()


def test_a_new_key_expiry_makes_the_peer_valid_again() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON)])
    replica.pass_time(SOON)
    replica.apply({"PeersChangedPatch": [{"NodeID": 1, "KeyExpiry": LATER}]}, now_text=SOON)
    assert not replica.by_id(1).expired
    assert replica.pass_time(LATER) == ["n1"]
    replica.check()


def test_a_peer_that_is_gone_does_not_expire() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON), n(2)])
    replica.then(PeersRemoved=[1])
    assert replica.netmap.next_expiry() is None
    assert replica.pass_time(LATER) == []


def test_the_servers_clock_decides_and_ours_only_tells_how_time_goes_on() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON)], ControlTime=LATER)
    assert replica.netmap.clock_skew_s > 6000
    assert replica.by_id(1).expired, "by the server's clock it was over when it came"
    behind = netmap_of(peers=[n(1, KeyExpiry=NOW)], ControlTime="2026-01-02T02:04:05Z")
    assert not behind.by_id(1).expired, "our clock is an hour fast"
    due = behind.netmap.next_expiry()
    assert due is not None
    assert behind.pass_time("2026-01-02T04:04:04Z") == []
    assert behind.pass_time("2026-01-02T04:04:05Z") == ["n1"]


def test_a_clock_set_back_takes_the_mark_back() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=LATER)])
    assert replica.pass_time("2027-01-01T00:00:00Z") == ["n1"]
    assert replica.pass_time(NOW) == ["n1"]
    assert not replica.by_id(1).expired
    replica.check()


def test_our_own_key_expires_too() -> None:
    replica = Replica()
    replica.first(Node={"ID": 9, "StableID": "own", "Name": "own.x.", "KeyExpiry": SOON})
    assert replica.pass_time(NOW) == []
    assert replica.pass_time(SOON) == ["self"]
    assert replica.self_node is not None
    assert replica.self_node.expired
    assert replica.pass_time(SOON) == []
    assert replica.netmap.next_expiry() is None


def test_the_full_map_of_the_next_session_says_nothing_new_about_an_expired_peer() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON)])
    replica.pass_time(SOON)
    changes = replica.apply(
        {"Node": {"ID": 1000, "StableID": "self", "Name": "self.example."}, "Peers": [n(1, KeyExpiry=SOON)]},
        first=True,
        now_text=SOON,
    )
    assert changes.updates == []


CORRECTIONS = {
    "a keep-alive": {"KeepAlive": True},
    "a message about a peer": {"OnlineChange": {"2": True}},
    "a message about nothing": {},
}


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_a_wrong_clock_of_the_server_does_no_harm_once_it_is_right(correction: str) -> None:
    replica = Replica()
    own = {"ID": 9, "StableID": "own", "Name": "own.x.", "KeyExpiry": LATER}
    replica.first(
        Node=own, Peers=[n(1, KeyExpiry=SOON, HomeDERP=3), n(2)], ControlTime="2027-01-02T03:04:05Z"
    )
    assert replica.self_node is not None
    assert (replica.by_id(1).expired, replica.self_node.expired) == (True, True)
    replica.then(ControlTime=NOW, **CORRECTIONS[correction])
    assert (replica.by_id(1).expired, replica.by_id(1).home_derp, replica.self_node.expired) == (
        False,
        3,
        False,
    )
    assert replica.netmap.next_expiry() is not None
    replica.check()


def test_a_keep_alive_that_corrects_the_clock_finds_what_has_expired() -> None:
    replica = netmap_of(peers=[n(1, KeyExpiry=SOON)])
    assert [type(update).__name__ for update in replica.then(KeepAlive=True, ControlTime=LATER).updates] == [
        "PeerUpsert"
    ]
    assert replica.by_id(1).expired
