"""Every list a control server sends has an end: what is for people is cut, what decides is refused as a whole."""

from __future__ import annotations

import json

import pytest

from netmap_actors.errors import BadMapResponse
from netmap_actors.netmap.changes import Document
from netmap_actors.tailcfg import check_map_response_shape, decode_map_response, encode
from netmap_actors.tailcfg.bounds import MAX_PROFILES_AT_ONCE, MAX_UNREFERENCED_PROFILES
from tests.support.netmaps.netmap_replica import Replica

MANY = 10_000
RESOLVER, RECORD = {"Addr": "100.100.100.100"}, {"Name": "a.example.", "Value": "100.64.0.1"}
PRINCIPALS = [{"any": True, "node": "n"}]
ADDRESS = "100.64.0.1/32"


def health(netmap: Replica) -> dict:
    return json.loads(netmap.documents[Document.HEALTH])


def test_of_health_without_end_some_is_shown_and_the_netmap_goes_on() -> None:
    netmap = Replica()
    netmap.first(Peers=[{"ID": 1, "StableID": "a"}], Health=[f"trouble {number}" for number in range(MANY)])
    assert list(netmap.peers) == ["a"]
    assert len(health(netmap)) == 100
    assert any("trouble 0" in message["Text"] for message in health(netmap).values())
    assert netmap.netmap.statistics.left_out == MANY - 100
    netmap.then(Health=["one"])
    assert len(health(netmap)) == 1
    assert netmap.netmap.statistics.left_out == 0


def test_of_display_messages_without_end_some_are_shown() -> None:
    netmap = Replica()
    netmap.first()
    for turn in range(20):
        names = {f"m{turn}-{number}": {"Title": "t", "Text": "x"} for number in range(500)}
        netmap.then(DisplayMessages=names)
    assert len(health(netmap)) == 100
    assert "m0-0" in health(netmap)
    assert netmap.netmap.statistics.left_out > 0
    netmap.then(DisplayMessages={"m0-0": {"Title": "new", "Text": "y"}})
    assert health(netmap)["m0-0"]["Title"] == "new", "who is shown goes on being shown"
    netmap.then(DisplayMessages={"*": None, "later": {"Title": "t", "Text": "x"}})
    assert list(health(netmap)) == ["later"]


def test_a_message_of_a_megabyte_is_cut() -> None:
    netmap = Replica()
    netmap.first(Health=["é" * 1_000_000], DisplayMessages={})
    assert len(netmap.documents[Document.HEALTH]) < 50_000
    netmap.then(DisplayMessages={"long": {"Title": "t", "Text": "x" * 1_000_000}, "short": {"Title": "s"}})
    assert list(health(netmap)) == ["short"]
    assert netmap.netmap.statistics.left_out == 1


def test_profiles_nobody_refers_to_are_bounded_and_the_others_stay() -> None:
    netmap = Replica()
    netmap.first(Peers=[{"ID": 1, "StableID": "a", "User": 5}], UserProfiles=[{"ID": 5, "LoginName": "ann"}])
    for turn in range(1, 8):
        netmap.then(UserProfiles=[{"ID": turn * MANY + number, "LoginName": "x"} for number in range(MANY)])
    assert netmap.profiles[5].login_name == "ann"
    assert netmap.netmap.profiles_kept <= MANY + 1
    assert netmap.netmap.statistics.left_out > 0
    # The newest are among those that are kept: their nodes may come with the next message.
    netmap.then(PeersChanged=[{"ID": 2, "StableID": "b", "User": 7 * MANY + MANY - 1}])
    assert 7 * MANY + MANY - 1 in netmap.profiles


def test_a_profile_without_end_is_left_out_and_the_netmap_goes_on() -> None:
    netmap = Replica()
    profiles = [{"ID": 5, "LoginName": "ann", "Groups": ["g"] * 100_000}, {"ID": 6, "LoginName": "bob"}]
    netmap.first(Peers=[{"ID": n, "StableID": f"n{n}", "User": n} for n in (5, 6)], UserProfiles=profiles)
    assert list(netmap.profiles) == [6]
    assert netmap.netmap.statistics.left_out == 1
    assert len(netmap.peers) == 2


def test_more_profiles_than_are_read_of_one_message_are_counted() -> None:
    netmap = Replica()
    number = MAX_PROFILES_AT_ONCE + 50
    netmap.first(UserProfiles=[{"ID": one} for one in range(1, number + 1)])
    assert netmap.netmap.statistics.left_out + netmap.netmap.profiles_kept == number
    assert netmap.netmap.profiles_kept <= MAX_UNREFERENCED_PROFILES


OVER = {
    "DNSConfig": {"ExtraRecords": [RECORD] * 300_000},
    "DNSConfig.Routes": {"Routes": {f"d{number}.example.": [RESOLVER] for number in range(300_000)}},
    "DERPMap": {"Regions": {str(number): {"RegionID": number, "Nodes": []} for number in range(1, 200_000)}},
    "SSHPolicy": {"rules": [{"principals": PRINCIPALS * 300_000}]},
    "PacketFilter": [{"SrcIPs": ["100.64.0.1"] * 5_000_000}],
    "PacketFilters": {f"f{number}": [] for number in range(20_000)},
    "Node": {"ID": 1, "StableID": "self", "AllowedIPs": [ADDRESS] * 100_000},
    "ControlDialPlan": {"Candidates": [{"IP": "1.1.1.1"}] * 100_000},
    "ClientVersion": {"NotifyText": "x" * 2_000_000},
    "TKAInfo": {"Head": "x" * 2_000_000},
    "Peers": [{"ID": 1, "StableID": "a", "Tags": ["tag:a"] * 100_000}],
    "PeersChanged": [{"ID": 1, "StableID": "a", "Endpoints": ["1.1.1.1:1"] * 100_000}],
    "PeersChanged.CapMap": [
        {"ID": 1, "StableID": "a", "CapMap": {f"c{number}": None for number in range(100_000)}}
    ],
    "PeersChangedPatch": [{"NodeID": 1, "Endpoints": ["1.1.1.1:1"] * 100_000}],
    "Domain": "x" * 100_000,
    "DomainDataPlaneAuditLogID": "x" * 100_000,
}


@pytest.mark.parametrize("name", OVER)
def test_what_decides_and_has_no_end_is_refused_by_both_who_read_it(name) -> None:
    field = name.partition(".")[0]
    document = encode({"Node": {"ID": 1, "StableID": "self"}, field: OVER[name]})
    for gate in (decode_map_response, check_map_response_shape):
        with pytest.raises(
            BadMapResponse, match=f"^cannot use MapResponse: (its|a node in) {field}"
        ) as caught:
            gate(document)
        assert len(str(caught.value)) < 300


def test_what_deltas_add_up_to_is_refused_and_the_netmap_stays() -> None:
    netmap = Replica()
    netmap.first()
    with pytest.raises(BadMapResponse, match="PacketFilters"):
        for turn in range(20):
            netmap.then(PacketFilters={f"f{turn}-{number}": [] for number in range(900)})
    kept = json.loads(netmap.documents[Document.PACKET_FILTER])
    assert 5_000 < len(kept) <= 10_000


def test_more_values_than_any_tailnet_has_are_refused_before_they_are_made() -> None:
    document = b'{"Node":{"ID":1},"PeersRemoved":[' + b"1," * 4_000_000 + b"1]}"
    for gate in (decode_map_response, check_map_response_shape):
        with pytest.raises(BadMapResponse, match="values"):
            gate(document)


UNDER = {
    "DNSConfig": {"ExtraRecords": [RECORD] * 10_000, "Routes": {f"d{n}.": [RESOLVER] for n in range(5_000)}},
    "DERPMap": {"Regions": {str(n): {"RegionID": n, "Nodes": [{"Name": "a"}] * 5} for n in range(1, 900)}},
    "SSHPolicy": {"rules": [{"principals": PRINCIPALS * 10}] * 1_000},
    "PacketFilter": [{"SrcIPs": ["100.64.0.1"] * 1_000}] * 500,
    "PacketFilters": {f"f{n}": [] for n in range(1_000)},
    "Peers": [{"ID": 1, "StableID": "a", "AllowedIPs": [ADDRESS] * 10_000}],
    "Health": ["a"] * 100,
}


@pytest.mark.parametrize("field", UNDER)
def test_what_a_large_tailnet_has_is_taken(field) -> None:
    netmap = Replica()
    netmap.first(**{field: UNDER[field]})
    assert netmap.netmap.statistics.quarantined == 0
