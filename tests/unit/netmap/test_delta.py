"""Tests for what MapResponses do to the peers and to our own node.

Cases by name: tailscale: control/controlclient/map_test.go, for a client that replaces nodes whole.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from netmap_actors.netmap.changes import SelfUpdate
from netmap_actors.netmap.delta import NetmapEngine
from netmap_actors.slices import complete
from netmap_actors.tailcfg import decode_map_response, encode
from tests.support.netmaps.netmap_replica import BAR, FOO, NOW, Replica, moment, n, netmap_of
from tests.support.work import calls_of

KEY = "nodekey:" + "1" * 64
OTHER_KEY = "nodekey:" + "2" * 64
DISCO = "discokey:" + "3" * 64
ZERO = "0001-01-01T00:00:00Z"


# before, message -> name by NodeID (TestUpdatePeersStateFromResponse)
PEER_SETS: dict[str, tuple[list[Any], dict[str, Any], dict[int, str]]] = {
    "full_peers": ([], {"Peers": [FOO, BAR]}, {1: "foo", 2: "bar"}),
    "full_peers_ignores_deltas": ([], {"Peers": [FOO, BAR], "PeersRemoved": [2]}, {1: "foo", 2: "bar"}),
    "full_peers_ignores_every_delta": (
        [FOO],
        {
            "Peers": [FOO],
            "PeersChanged": [BAR],
            "OnlineChange": {"1": True},
            "PeerSeenChange": {"1": True},
            "PeersChangedPatch": [{"NodeID": 1, "DERPRegion": 4}],
        },
        {1: "foo"},
    ),
    "full_peers_in_mid_stream_replaces": ([FOO, BAR], {"Peers": [n(3, "three")]}, {3: "three"}),
    "add_and_update": (
        [FOO, BAR],
        {"PeersChanged": [n(0, "zero"), n(2, "bar2"), n(3, "three")]},
        {0: "zero", 1: "foo", 2: "bar2", 3: "three"},
    ),
    "remove": ([FOO, BAR], {"PeersRemoved": [1, 3, 4]}, {2: "bar"}),
    "add_and_remove": ([FOO, BAR], {"PeersChanged": [n(1, "foo2")], "PeersRemoved": [2]}, {1: "foo2"}),
    "removed_and_changed_stays": (
        [FOO, BAR],
        {"PeersChanged": [n(1, "foo2")], "PeersRemoved": [1]},
        {1: "foo2", 2: "bar"},
    ),
    "unchanged": ([FOO, BAR], {}, {1: "foo", 2: "bar"}),
    "only the time": ([FOO, BAR], {"ControlTime": NOW}, {1: "foo", 2: "bar"}),
    "an empty list of peers changes nothing": ([FOO, BAR], {"Peers": []}, {1: "foo", 2: "bar"}),
    "an empty list of peers is a delta": ([FOO, BAR], {"Peers": [], "PeersRemoved": [1]}, {2: "bar"}),
    "the last peer goes by PeersRemoved": ([FOO], {"PeersRemoved": [1]}, {}),
    "of equal ids the last one counts": ([], {"Peers": [FOO, n(1, "again")]}, {1: "again"}),
    "of equal ids the last one counts, known": ([FOO], {"Peers": [n(1, "again"), FOO]}, {1: "foo"}),
    "null peers are skipped": ([FOO], {"Peers": [None, BAR, None]}, {2: "bar"}),
    "null changes are skipped": (
        [FOO],
        {"PeersChanged": [None, BAR], "PeersChangedPatch": [None]},
        {1: "foo", 2: "bar"},
    ),
    "negative and huge ids": (
        [],
        {"Peers": [n(-5, "a"), n(2**63 - 1, "b"), n(-(2**63), "c")]},
        {-5: "a", 2**63 - 1: "b", -(2**63): "c"},
    ),
    "ourselves among the peers are nobody we know": ([], {"Peers": [n(1000, "self")]}, {1000: ""}),
}


@pytest.mark.parametrize("case", PEER_SETS)
def test_which_peers_are_there_after_a_message(case: str) -> None:
    before, message, after = PEER_SETS[case]
    replica = netmap_of(peers=before)
    replica.then(**message)
    assert replica.named() == after
    replica.check()


# fields of peer 1 before, message -> fields of the NetmapNode after
FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "online_change": ({}, {"OnlineChange": {"1": True, "404": True}}, {"online": True}),
    "online_change_offline": ({"Online": True}, {"OnlineChange": {"1": False}}, {"online": False}),
    "online_change_null_is_false": ({"Online": True}, {"OnlineChange": {"1": None}}, {"online": False}),
    "peer_seen_at": ({}, {"PeerSeenChange": {"1": True}}, {"last_seen": NOW}),
    "peer_not_seen": ({"LastSeen": NOW}, {"PeerSeenChange": {"1": False}}, {"last_seen": ""}),
    "ep_change_derp": (
        {"HomeDERP": 3},
        {"PeersChangedPatch": [{"NodeID": 1, "DERPRegion": 4}]},
        {"home_derp": 4},
    ),
    "ep_change_derp_zero_is_no_change": (
        {"HomeDERP": 3},
        {"PeersChangedPatch": [{"NodeID": 1, "DERPRegion": 0}]},
        {"home_derp": 3},
    ),
    "ep_change_over_legacy_derp": (
        {"DERP": "127.3.3.40:3"},
        {"PeersChangedPatch": [{"NodeID": 1, "DERPRegion": 4}]},
        {"home_derp": 4},
    ),
    "ep_change_udp": (
        {"Endpoints": ["1.2.3.4:5"]},
        {"PeersChangedPatch": [{"NodeID": 1, "Endpoints": ["1.2.3.4:56"]}]},
        {"endpoints": ("1.2.3.4:56",)},
    ),
    "ep_change_udp_cleared": (
        {"Endpoints": ["1.2.3.4:5"]},
        {"PeersChangedPatch": [{"NodeID": 1, "Endpoints": []}]},
        {"endpoints": ()},
    ),
    "ep_change_udp_null_is_no_change": (
        {"Endpoints": ["1.2.3.4:5"]},
        {"PeersChangedPatch": [{"NodeID": 1, "Endpoints": None}]},
        {"endpoints": ("1.2.3.4:5",)},
    ),
    "ep_change_both": (
        {"HomeDERP": 3, "Endpoints": ["1.2.3.4:5"]},
        {"PeersChangedPatch": [{"NodeID": 1, "DERPRegion": 2, "Endpoints": ["1.2.3.4:56"]}]},
        {"home_derp": 2, "endpoints": ("1.2.3.4:56",)},
    ),
    "change_key": (
        {"Key": KEY},
        {"PeersChangedPatch": [{"NodeID": 1, "Key": OTHER_KEY}]},
        {"key": OTHER_KEY},
    ),
    "change_disco_key": ({}, {"PeersChangedPatch": [{"NodeID": 1, "DiscoKey": DISCO}]}, {"disco_key": DISCO}),
    "change_online": ({}, {"PeersChangedPatch": [{"NodeID": 1, "Online": True}]}, {"online": True}),
    "change_last_seen": ({}, {"PeersChangedPatch": [{"NodeID": 1, "LastSeen": NOW}]}, {"last_seen": NOW}),
    "change_key_expiry": ({}, {"PeersChangedPatch": [{"NodeID": 1, "KeyExpiry": NOW}]}, {"key_expiry": NOW}),
    "key_expiry_cleared": (
        {"KeyExpiry": NOW},
        {"PeersChangedPatch": [{"NodeID": 1, "KeyExpiry": ZERO}]},
        {"key_expiry": ""},
    ),
    "change_cap": ({"Cap": 1}, {"PeersChangedPatch": [{"NodeID": 1, "Cap": 130}]}, {"cap": 130}),
    "two patches": (
        {},
        {"PeersChangedPatch": [{"NodeID": 1, "Cap": 130}, {"NodeID": 1, "Online": False, "Cap": 131}]},
        {"cap": 131, "online": False},
    ),
    "a patch wins over OnlineChange": (
        {},
        {"OnlineChange": {"1": True}, "PeersChangedPatch": [{"NodeID": 1, "Online": False}]},
        {"online": False},
    ),
    "a patch of a peer changed in the same message": (
        {},
        {"PeersChanged": [n(1, "new")], "PeersChangedPatch": [{"NodeID": 1, "Cap": 9}]},
        {"name": "new", "cap": 9},
    ),
    "the disco filter of the reference is not ours": (
        {"DiscoKey": "discokey:" + "4" * 64, "LastSeen": NOW},
        {"PeersChangedPatch": [{"NodeID": 1, "DiscoKey": DISCO, "Online": False, "LastSeen": NOW}]},
        {"disco_key": DISCO, "online": False},
    ),
    # TestUpgradeNode
    "legacy_derp": ({}, {"PeersChanged": [n(1, DERP="127.3.3.40:5")]}, {"home_derp": 5}),
    "legacy_derp_and_number": (
        {},
        {"PeersChanged": [n(1, DERP="127.3.3.40:5", HomeDERP=6)]},
        {"home_derp": 6},
    ),
    "implicit_allowed_ips": (
        {},
        {"PeersChanged": [n(1, Addresses=["100.64.0.1/32"])]},
        {"allowed_ips": ("100.64.0.1/32",)},
    ),
    "null_allowed_ips": (
        {},
        {"PeersChanged": [n(1, Addresses=["100.64.0.1/32"], AllowedIPs=None)]},
        {"allowed_ips": ("100.64.0.1/32",)},
    ),
    "empty_allowed_ips": (
        {},
        {"PeersChanged": [n(1, Addresses=["100.64.0.1/32"], AllowedIPs=[])]},
        {"allowed_ips": ()},
    ),
    "unsigned_peer_routes_nothing": (
        {},
        {
            "PeersChanged": [
                n(
                    1,
                    Addresses=["100.64.0.1/32"],
                    AllowedIPs=["100.64.0.1/32", "0.0.0.0/0"],
                    UnsignedPeerAPIOnly=True,
                )
            ]
        },
        {"allowed_ips": ("100.64.0.1/32",)},
    ),
    "signed_peer_routes": (
        {},
        {"PeersChanged": [n(1, Addresses=["100.64.0.1/32"], AllowedIPs=["100.64.0.1/32", "10.0.0.0/8"])]},
        {"allowed_ips": ("100.64.0.1/32", "10.0.0.0/8")},
    ),
    # plain replacement, where the reference would patch
    "a changed peer loses what is not said again": (
        {
            "HomeDERP": 3,
            "Cap": 7,
            "Endpoints": ["1.2.3.4:5"],
            "Online": True,
            "LastSeen": NOW,
            "Tags": ["tag:a"],
        },
        {"PeersChanged": [n(1)]},
        {"home_derp": 0, "cap": 0, "endpoints": (), "online": None, "last_seen": "", "tags": ()},
    ),
    "unknown becomes known by a changed peer": (
        {},
        {"PeersChanged": [n(1, Online=False)]},
        {"online": False},
    ),
    "everything else": (
        {},
        {
            "PeersChanged": [
                n(
                    1,
                    "a.example.",
                    User=7,
                    Machine="mkey:" + "5" * 64,
                    Created=NOW,
                    Expired=True,
                    KeyExpiry=ZERO,
                    LastSeen=ZERO,
                    PrimaryRoutes=["10.0.0.0/8"],
                    Hostinfo={"OS": "linux", "Hostname": "a", "Services": [{"Port": 1}]},
                    Key="nodekey:" + "0" * 64,
                )
            ]
        },
        {
            "name": "a.example",
            "user_id": 7,
            "machine_key": "mkey:" + "5" * 64,
            "created": NOW,
            "expired": True,
            "key_expiry": "",
            "last_seen": "",
            "routes": ("10.0.0.0/8",),
            "key": "",
        },
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_what_becomes_of_a_peer_by_a_message(case: str) -> None:
    before, message, after = FIELDS[case]
    replica = netmap_of(peers=[n(1, "peer", **before), BAR])
    untouched = replica.by_id(2)
    replica.then(**message)
    peer = replica.by_id(1)
    assert {name: getattr(peer, name) for name in after} == after
    assert replica.by_id(2) == untouched
    replica.check()


def test_the_system_and_name_of_a_host_are_read_of_its_hostinfo() -> None:
    replica = netmap_of(peers=[n(1, Hostinfo={"OS": "linux", "Hostname": "a", "Services": [{"Port": 1}]})])
    host = replica.by_id(1).hostinfo
    assert host is not None
    assert (host.os, host.hostname) == ("linux", "a")


# the same, for fields that stand only in the JSON
JSON_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any], str, Any]] = {
    "change_key_signature": (
        {},
        {"PeersChangedPatch": [{"NodeID": 1, "KeySignature": "AwQ="}]},
        "KeySignature",
        "AwQ=",
    ),
    "key_signature_cleared": (
        {"KeySignature": "AwQ="},
        {"PeersChangedPatch": [{"NodeID": 1, "KeySignature": ""}]},
        "KeySignature",
        "",
    ),
    "change_cap_map": (
        {},
        {"PeersChangedPatch": [{"NodeID": 1, "CapMap": {"a": [1], "b": None}}]},
        "CapMap",
        {"a": [1], "b": None},
    ),
    "cap_map_cleared": (
        {"CapMap": {"a": None}},
        {"PeersChangedPatch": [{"NodeID": 1, "CapMap": {}}]},
        "CapMap",
        {},
    ),
    "cap_map_removed": ({"CapMap": {"a": None}}, {"PeersChanged": [n(1)]}, "CapMap", None),
    "exit_node_dns_resolvers": (
        {},
        {"PeersChanged": [n(1, ExitNodeDNSResolvers=[{"Addr": "1.1.1.1"}])]},
        "ExitNodeDNSResolvers",
        [{"Addr": "1.1.1.1"}],
    ),
    "key_expiry_cleared": (
        {"KeyExpiry": NOW},
        {"PeersChangedPatch": [{"NodeID": 1, "KeyExpiry": ZERO}]},
        "KeyExpiry",
        None,
    ),
    "unknown fields survive a patch": (
        {"Later": {"deep": [1.50, None, "é"]}},
        {"PeersChangedPatch": [{"NodeID": 1, "Cap": 3}]},
        "Later",
        {"deep": [1.50, None, "é"]},
    ),
    "a null field survives a patch": (
        {"CapMap": {"a": None}},
        {"OnlineChange": {"1": True}},
        "CapMap",
        {"a": None},
    ),
}


@pytest.mark.parametrize("case", JSON_FIELDS)
def test_what_becomes_of_a_peers_json(case: str) -> None:
    before, message, name, value = JSON_FIELDS[case]
    replica = netmap_of(peers=[n(1, "peer", **before)])
    replica.then(**message)
    assert json.loads(replica.by_id(1).json).get(name) == value
    replica.check()


def test_a_patch_leaves_every_other_value_byte_for_byte() -> None:
    node = b'{"ID":1,"StableID":"s1","Big":123456789012345678901234567890,"F":1.10,"E":"\\u00e9","N":null}'
    replica = Replica()
    replica.apply(b'{"Node":{"ID":1000},"Peers":[' + node + b"]}", first=True)
    replica.then(OnlineChange={1: True})
    assert replica.by_id(1).json == node[:-1] + b',"Online":true}'


# --- our own node ---------------------------------------------------------------------------------------------------


def test_our_own_node_is_replaced_whole_and_stays_when_not_mentioned() -> None:
    replica = Replica()
    changes = replica.apply({"Node": n(5, "foo.", Tags=["tag:a"], MachineAuthorized=True)}, first=True)
    assert [type(u) for u in changes.updates if isinstance(u, SelfUpdate)] == [SelfUpdate]
    replica.then(Domain="x")
    assert replica.self_node is not None
    assert (replica.self_node.name, replica.self_node.tags) == ("foo", ("tag:a",))
    assert replica.netmap.self_machine_authorized
    replica.then(Node=n(5, "bar."))
    assert (replica.self_node.name, replica.self_node.tags) == ("bar", ())
    assert not replica.netmap.self_machine_authorized
    assert replica.then(Node=n(5, "bar.")).updates == []
    replica.check()


@pytest.mark.parametrize(
    ("node", "cap_map"),
    [
        ({"Capabilities": ["a", "b"]}, {"a": None, "b": None}),
        ({"Capabilities": ["a", "b"], "CapMap": {"b": [1], "c": None}}, {"a": None, "b": [1], "c": None}),
        ({"CapMap": {"c": []}}, {"c": []}),
        ({"Capabilities": None}, None),
        ({}, None),
    ],
)
def test_legacy_capabilities_of_our_own_node_are_capabilities(node: dict[str, Any], cap_map: Any) -> None:
    replica = Replica()
    replica.apply({"Node": {"ID": 5, **node}}, first=True)
    assert replica.self_node is not None
    assert json.loads(replica.self_node.json).get("CapMap") == cap_map


# --- cost -----------------------------------------------------------------------------------------------------------


def tailnet(count: int) -> bytes:
    """A full map like testcontrol's with fake nodes."""

    def node(i: int) -> dict[str, Any]:
        key = f"{i:064x}"
        address = f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}/32"
        return {
            "ID": i, "StableID": f"TESTCTRL{i:08x}", "User": i, "Key": "nodekey:" + key, "Machine": "mkey:" + key,
            "DiscoKey": "discokey:" + key, "Addresses": [address], "AllowedIPs": [address], "MachineAuthorized": True,
        }  # fmt: skip

    return encode({"Node": node(count + 1), "Peers": [node(i) for i in range(1, count + 1)]})


def piece_of(peer: Any) -> bytes:
    """As large as the published piece of a peer, and cheap."""
    return b"." * 300 + peer.json


def apply(netmap: NetmapEngine, document: bytes, *, first: bool) -> None:
    complete(netmap.applying(decode_map_response(document), first=first, wall=moment(NOW)))


def test_a_map_twice_as_large_takes_twice_the_work_and_little_when_it_is_known() -> None:
    def calls(peers: int) -> tuple[int, int]:
        document, netmap = tailnet(peers), NetmapEngine(piece_of)
        taken_in = calls_of(lambda: apply(netmap, document, first=True))
        assert netmap.statistics.peers == peers
        recognised = calls_of(lambda: apply(netmap, document, first=True))
        assert netmap.statistics.suppressed == peers
        return taken_in, recognised

    half, whole = calls(2000), calls(4000)
    assert whole[0] <= 2.2 * half[0]
    assert whole[1] <= 2.2 * half[1]
    assert whole[1] <= 0.25 * whole[0]


def test_a_delta_takes_the_same_work_among_many_peers_as_among_a_hundred() -> None:
    def calls(count: int) -> int:
        netmap = NetmapEngine(piece_of)
        apply(netmap, tailnet(count), first=True)
        delta = encode({"PeersChangedPatch": [{"NodeID": 50, "Online": True}]})
        return calls_of(lambda: apply(netmap, delta, first=False))

    assert calls(5_000) == calls(100)


def test_what_is_kept_keeps_no_message_alive() -> None:
    import gc
    import tracemalloc

    document = tailnet(2_000)
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        netmap = NetmapEngine(piece_of)
        complete(
            netmap.applying(decode_map_response(bytes(bytearray(document))), first=True, wall=moment(NOW))
        )
        gc.collect()
        kept = tracemalloc.get_traced_memory()[0] - base
    finally:
        tracemalloc.stop()
    assert kept / 2_000 < 1_500
