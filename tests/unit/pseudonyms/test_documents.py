"""`Pseudonyms.map_response`: nothing of an original stays, and the netmap is the same but for the names."""

from __future__ import annotations

import base64
import copy
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netmap_actors.pseudonyms import Pseudonyms
from netmap_actors.pseudonyms.shapes import SAME_WORDS
from tests.support.netmaps.netmap_fold import Fold
from tests.support.netmaps.netmap_replica import Replica
from tests.support.netmaps.recorded_netmap import FIXTURE
from tests.support.servers.captures import captures

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = [
    line["map_response"]
    for line in map(json.loads, FIXTURE.read_text().splitlines())
    if "map_response" in line
]
SENSITIVE = frozenset(
    {
        "Name", "Hostname", "ComputedName", "Key", "DiscoKey", "Addresses", "AllowedIPs", "PrimaryRoutes", "Endpoints",
        "StableID", "Tags", "LoginName", "DisplayName", "ProfilePicURL", "Domain", "Domains", "SrcIPs", "IP",
        "BackendLogID", "HostName", "RoutableIPs", "UserLogin", "Groups",
    }
)  # fmt: skip
HARMLESS = {"", "*", "0.0.0.0/0", "::/0", "127.0.0.1", "fd7a:115c:a1e0::/48", "0" * 64}


def originals(value: Any, member: str = "") -> Iterator[str]:
    """Texts of members that name somebody."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from originals(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from originals(one, member)
    elif (
        isinstance(value, str)
        and (member in SENSITIVE or value.startswith("mkey:"))
        and value not in HARMLESS
    ):
        yield value
        if member == "Name":
            yield from (label for label in value.split(".") if label not in {"", "example", "com"})


def texts(value: Any) -> Iterator[str]:
    """All texts of a document."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def test_nothing_of_a_session_of_a_stranger_stays() -> None:
    pseudonyms = Pseudonyms(b"a salt")
    shown = [pseudonyms.map_response(message) for message in RECORDED]
    before = {text for text in originals(RECORDED) if not text.isdecimal()}
    assert len(before) > 60
    assert before & set(texts(shown)) == set()
    everything = json.dumps(shown)
    assert {text for text in before if len(text) > 9 and text in everything} == set()


def test_a_session_of_a_stranger_is_a_netmap_as_before() -> None:
    pseudonyms = Pseudonyms(b"a salt")
    before, after, replica = Fold(), Fold(), Replica()
    for number, message in enumerate(RECORDED):
        shown = pseudonyms.map_response(copy.deepcopy(message))
        assert pseudonyms.map_response(message) == shown
        before.apply(copy.deepcopy(message))
        after.apply(copy.deepcopy(shown))
        replica.apply(shown, first=number == 0)
        assert_same(before, after, pseudonyms)
    assert all(node.decoded for node in replica.peers.values())
    assert len(replica.peers) == len(after.peers)


def assert_same(before: Fold, after: Fold, pseudonyms: Pseudonyms) -> None:
    """Pseudonyms of what was folded are what pseudonyms fold to."""
    shown = pseudonyms.map_response({"Peers": list(before.peers.values()), **before.aspects})
    assert shown == {"Peers": list(after.peers.values()), **after.aspects}


def node(number: int, name: str, user: int, tags: list[str], subnet: str) -> dict[str, Any]:
    address = f"100.64.{number}.{user}/32"
    return {
        "ID": number,
        "StableID": f"n{number}CNTRL",
        "Name": f"{name}.corp.ts.net.",
        "User": user,
        "Key": f"nodekey:{number:064x}",
        "Machine": f"mkey:{user:064x}",
        "Addresses": [address],
        "AllowedIPs": [address, subnet],
        "Tags": tags,
        "Hostinfo": {"OS": "linux", "Hostname": name, "Future": {"Owner": name, name: [name]}},
        "CapMap": {"https://corp.example/cap/x": [{"who": name}], "ssh": None},
        name: name,
    }


NAMES = st.one_of(
    st.sampled_from(["web-1", "WEB-1", "Odin's Mac", "tag:x", "100.64.0.9"]), st.text(max_size=20)
)
NUMBERS = st.integers(1, 4)
NODES = st.builds(
    node,
    NUMBERS,
    NAMES,
    NUMBERS,
    st.lists(st.sampled_from(["tag:db", "tag:web"]), unique=True),
    st.sampled_from(["10.1.0.0/16", "10.1.2.0/24", "192.168.7.0/24", "203.0.113.0/24"]),
)
MESSAGES = st.one_of(
    st.builds(
        lambda nodes: {"Peers": nodes},
        st.lists(NODES, min_size=1, max_size=4, unique_by=lambda one: one["ID"]),
    ),
    st.builds(lambda one: {"PeersChanged": [one]}, NODES),
    st.builds(lambda number: {"PeersRemoved": [number]}, NUMBERS),
    st.builds(lambda number, online: {"OnlineChange": {str(number): online}}, NUMBERS, st.booleans()),
    st.builds(
        lambda number: {"PeersChangedPatch": [{"NodeID": number, "Endpoints": ["1.2.3.4:5"]}]}, NUMBERS
    ),
    st.builds(
        lambda name: {"Domain": name, "DNSConfig": {"Routes": {f"{name}.lan": []}, "Domains": [name]}}, NAMES
    ),
)


@settings(max_examples=60)
@given(st.lists(MESSAGES, max_size=8))
def test_to_fold_and_to_replace_can_change_places(messages: list[dict[str, Any]]) -> None:
    pseudonyms = Pseudonyms(b"a salt")
    before, after = Fold(), Fold()
    for message in messages:
        shown = pseudonyms.map_response(message)
        before.apply(copy.deepcopy(message))
        after.apply(copy.deepcopy(shown))
    assert_same(before, after, pseudonyms)


# Of these nothing is left but signs, or an address that every machine has.
@example("@")
@example("*.")
@example("@::1")
@given(NAMES)
def test_no_form_of_a_name_stays_in_a_member_that_is_not_known(name: str) -> None:
    bare = re.sub(r"::1?|[.*@]", "", name)
    if not bare or name in SAME_WORDS or name.isidentifier() or name.isdecimal():
        return
    shown = Pseudonyms(b"a salt").map_response({"Node": node(1, name, 1, [], "10.0.0.0/24")})
    assert name not in set(texts(shown))


def matrix(rules: list[dict[str, Any]], addresses: list[str]) -> list[bool]:
    """Who reaches whom, by a filter."""

    def holds(places: list[str], address: str) -> bool:
        found = ipaddress.ip_address(address)
        for place in places:
            first, dash, last = place.partition("-")
            if place == "*":
                return True
            if dash:
                one, other = ipaddress.ip_address(first), ipaddress.ip_address(last)
                if one.version == found.version and int(one) <= int(found) <= int(other):
                    return True
            elif found in ipaddress.ip_network(place, strict=False):
                return True
        return False

    destinations = [[place["IP"] for place in rule.get("DstPorts") or []] for rule in rules]
    return [
        any(
            holds(rule["SrcIPs"], src) and holds(dst, to)
            for rule, dst in zip(rules, destinations, strict=True)
        )
        for src in addresses
        for to in addresses
    ]


def test_filters_of_strangers_let_the_same_nodes_reach_each_other() -> None:
    compared = 0
    for capture in captures()[::10]:
        if capture["status"] != 200:
            continue
        pseudonyms = Pseudonyms(capture["name"].encode())
        addresses = [one for each in capture["nodes"].values() for one in each["addresses"][:2]][:12]
        shown = [str(pseudonyms.text(address)) for address in addresses]
        for seen in list(capture["seen"].values())[:2]:
            rules = [rule for rule in seen["packet_filter_rules"] or [] if rule.get("SrcIPs")]
            replaced = pseudonyms.map_response({"PacketFilter": rules})["PacketFilter"]
            compared += len(rules)
            assert matrix(rules, addresses) == matrix(replaced, shown), capture["name"]
            before = {text for text in originals(rules) if "/" not in text}
            assert before & set(texts(replaced)) == set()
    assert compared > 20


def test_nothing_of_a_policy_of_a_stranger_stays() -> None:
    for capture in captures()[::7]:
        pseudonyms = Pseudonyms(b"a salt")
        for name, one in capture["nodes"].items():
            pseudonyms.document({"Name": name, "Tags": one["tags"], "UserLogin": one["login"]}, "tailcfg")
        shown = pseudonyms.text(capture["policy"])
        for one in capture["nodes"].values():
            for original in (one["login"], *one["tags"], *one["addresses"]):
                assert not original or f'"{original}"' not in shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"KeepAlive": True, "ControlTime": "2026-01-01T00:00:00Z"}, None),
        ({"Node": {"ID": 0, "User": 0, "Key": "nodekey:" + "0" * 64}}, None),
        ({"Node": {"DERP": "127.3.3.40:7", "HomeDERP": 7, "Cap": 130}}, None),
        ({"Node": {"CapMap": {"https://tailscale.com/cap/is-admin": [], "funnel": None}}}, None),
        ({"Node": {"Hostinfo": {"OS": "linux", "OSVersion": "6.1.0", "GoArch": "amd64", "Machine": "x86_64"}}}, None),
        ({"PacketFilters": {"base": [{"SrcIPs": ["*"], "DstPorts": [{"IP": "*"}]}], "*": None}}, None),
        ({"SSHPolicy": {"rules": [{"sshUsers": {"*": "=", "root": ""}}]}}, None),
        ({"SSHPolicy": {"rules": [{"action": {"sessionDuration": 43200000000000}}]}}, None),
        ({"PacketFilter": [{"SrcIPs": ["cap:ssh"]}]}, None),
        ({"Node": {"Hostinfo": {"Location": {"Latitude": 52.5, "City": "Berlin"}}}},
         {"Node": {"Hostinfo": {"Location": {"Latitude": 0, "City": "name-1"}}}}),
        ({"Node": {"Tags": ["tag:db", "db"]}}, {"Node": {"Tags": ["tag:t-1", "t-2"]}}),
        ({"NewThing": {"alice": "alice@corp.lan", "Name": "x"}},
         {"NewThing": {"text-1": "text-1@name-1.name-2", "Name": "name-3"}}),
        ({"NewNumber": 4503599627370496, "NewFlag": True}, {"NewNumber": 1001, "NewFlag": True}),
        ({"Node": {"ID": 7.0, "User": 7, "Rate": 0.5}, "NewNumber": 1e10},
         {"Node": {"ID": 1001, "User": 1001, "Rate": 0.5}, "NewNumber": 1002}),
        ({"UserProfiles": [{"ID": 7, "LoginName": "odin@corp.com", "DisplayName": "Odin X"}]},
         {"UserProfiles": [{"ID": 1001, "LoginName": "user-1@name-1.com", "DisplayName": "person-1"}]}),
        ({"DERPMap": {"Regions": {"900": {"RegionCode": "hq", "Nodes": [{"HostName": "derp1.tailscale.com"}]}}}},
         {"DERPMap": {"Regions": {"900": {"RegionCode": "region-1", "Nodes": [{"HostName": "derp1.tailscale.com"}]}}}}),
        ({"DisplayMessages": {"x": {"Title": "Bob", "Severity": "high"}}},
         {"DisplayMessages": {"text-1": {"Title": "text-2", "Severity": "high"}}}),
    ],
)  # fmt: skip
def test_members(message: dict[str, Any], shown: dict[str, Any] | None) -> None:
    assert Pseudonyms(b"a salt").map_response(message) == (message if shown is None else shown)


def test_bytes_stay_bytes_for_a_go_client() -> None:
    signature = base64.b64encode(bytes(range(70))).decode()
    shown = Pseudonyms(b"").map_response({"Node": {"KeySignature": signature, "Future": signature}})["Node"]
    for text in shown.values():
        assert text != signature
        assert len(base64.b64decode(text, validate=True)) >= 70


def test_the_same_salt_gives_the_same_and_another_salt_other_keys() -> None:
    message = {"Node": {"Key": "nodekey:" + "ab" * 32}}
    one, same, other = (Pseudonyms(salt).map_response(message) for salt in (b"1", b"1", b"2"))
    assert one == same != other
