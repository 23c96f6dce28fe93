"""Tests for the documents of the netmap, the user profiles and the clock.

Cases by name: tailscale: control/controlclient/map_test.go.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from netmap_actors.netmap.changes import Document, DomainUpdate, ProfilesUpdate
from netmap_actors.rfc3339 import unix_seconds
from netmap_actors.web_url import UrlPolicy
from tests.support.netmaps.netmap_replica import NOW, Replica

A = [{"SrcIPs": ["1.1.1.1"], "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}]}]
B = [{"SrcIPs": ["2.2.2.2"], "IPProto": [6]}]
ONE, TWO = {"RegionID": 1, "RegionCode": "a"}, {"RegionID": 2, "RegionCode": "b"}
LOW, HIGH = {"Title": "t", "Text": "x", "Severity": "low"}, {"Title": "u", "Text": "y", "Severity": "high"}
STARS = {"PrimaryAction": {"URL": "https://example.com/a", "Label": "Look"}}

# messages of one session, the first one first -> the document after each, None for no document
FOLDS: dict[str, tuple[Document, list[dict[str, Any]], list[Any]]] = {
    "implicit_packetfilter": (Document.PACKET_FILTER, [{"PacketFilter": A}, {}], [{"base": A}, {"base": A}]),
    "no_packetfilter": (Document.PACKET_FILTER, [{}, {"PacketFilter": None}], [{}, {}]),
    "empty_packetfilter": (
        Document.PACKET_FILTER,
        [{"PacketFilter": A}, {"PacketFilter": []}],
        [{"base": A}, {"base": []}],
    ),
    "named_packetfilter": (
        Document.PACKET_FILTER,
        [
            {"PacketFilter": A, "PacketFilters": {"pf-b": B}},
            {},
            {"PacketFilters": {"*": None, "pf-b": B}},
            {"PacketFilters": {"pf-a": A}},
            {"PacketFilters": {"pf-b": None, "nobody": None}},
            {"PacketFilters": {}},
            {"PacketFilters": {"*": B}},
            {"PacketFilter": A, "PacketFilters": {"*": None}},
        ],
        [
            {"base": A, "pf-b": B},
            {"base": A, "pf-b": B},
            {"pf-b": B},
            {"pf-a": A, "pf-b": B},
            {"pf-a": A},
            {"pf-a": A},
            {"pf-a": A},
            {},
        ],
    ),
    "star_comes_first_wherever_it_stands": (
        Document.PACKET_FILTER,
        [{"PacketFilters": {"a": A}}, {"PacketFilters": {"b": B, "*": None}}],
        [{"a": A}, {"b": B}],
    ),
    "implicit_dnsconfig": (
        Document.DNS,
        [{"DNSConfig": {"Domains": ["a"]}}, {}, {"DNSConfig": None}],
        [{"Domains": ["a"]}] * 3,
    ),
    "dnsconfig_is_replaced_whole": (
        Document.DNS,
        [
            {},
            {"DNSConfig": {"Domains": ["a"], "Proxied": True}},
            {"DNSConfig": {"Later": 1}},
            {"DNSConfig": {}},
        ],
        [None, {"Domains": ["a"], "Proxied": True}, {"Later": 1}, {}],
    ),
    "ssh_policy": (
        Document.SSH_POLICY,
        [{}, {"SSHPolicy": {"rules": [{}]}}, {}, {"SSHPolicy": {"rules": []}}],
        [None, {"rules": [{}]}, {"rules": [{}]}, {"rules": []}],
    ),
    "collect_services": (
        Document.SETTINGS,
        [{}, {"CollectServices": False}, {"CollectServices": True}, {}],
        [None, {"CollectServices": False}, {"CollectServices": True}, {"CollectServices": True}],
    ),
    "tka_info_is_shown_as_it_is": (
        Document.SETTINGS,
        [{"TKAInfo": {"Head": "?", "Disabled": False, "Later": 1}}, {}, {"TKAInfo": {"Disabled": True}}],
        [{"TKAInfo": {"Head": "?", "Disabled": False, "Later": 1}}] * 2 + [{"TKAInfo": {"Disabled": True}}],
    ),
    "audit_log_id": (
        Document.SETTINGS,
        [{"DomainDataPlaneAuditLogID": "x"}, {"DomainDataPlaneAuditLogID": ""}],
        [{"DomainDataPlaneAuditLogID": "x"}] * 2,
    ),
    "the_first_default_auto_update_counts": (
        Document.SETTINGS,
        [{"DefaultAutoUpdate": True}, {"DefaultAutoUpdate": False}],
        [{"DefaultAutoUpdate": True}] * 2,
    ),
    "dial_plan_and_version_on_a_keep_alive": (
        Document.SETTINGS,
        [
            {},
            {
                "KeepAlive": True,
                "ClientVersion": {"Notify": True},
                "ControlDialPlan": {"Candidates": []},
                "CollectServices": True,
            },
        ],
        [None, {"ClientVersion": {"Notify": True}, "ControlDialPlan": {"Candidates": []}}],
    ),
    # TestDeltaDERPMap
    "derp_nothing": (Document.DERP_MAP, [{}, {}], [None, None]),
    "derp_regions_kept": (
        Document.DERP_MAP,
        [
            {"DERPMap": {"Regions": {"1": ONE, "2": None}, "omitDefaultRegions": True}},
            {"DERPMap": {}},
            {"DERPMap": {"omitDefaultRegions": False}},
        ],
        [{"Regions": {"1": ONE}, "omitDefaultRegions": True}] * 3,
    ),
    "derp_regions_kept_without_omit": (
        Document.DERP_MAP,
        [{"DERPMap": {"Regions": {"1": ONE}}}, {"DERPMap": {"omitDefaultRegions": True}}],
        [{"Regions": {"1": ONE}}] * 2,
    ),
    "derp_no_regions_are_regions": (
        Document.DERP_MAP,
        [
            {"DERPMap": {"omitDefaultRegions": True}},
            {"DERPMap": {"HomeParams": {}}},
            {"DERPMap": {"Regions": {}}},
            {"DERPMap": {"omitDefaultRegions": True}},
        ],
        [
            {"omitDefaultRegions": True},
            {"omitDefaultRegions": True, "HomeParams": {}},
            {"HomeParams": {}, "Regions": {}},
            {"HomeParams": {}, "Regions": {}},
        ],
    ),
    "derp_regions_replaced": (
        Document.DERP_MAP,
        [
            {"DERPMap": {"Regions": {"1": ONE, "2": TWO}, "omitDefaultRegions": True}},
            {"DERPMap": {"Regions": {"2": TWO}}},
            {"DERPMap": {"Regions": {}}},
        ],
        [
            {"Regions": {"1": ONE, "2": TWO}, "omitDefaultRegions": True},
            {"Regions": {"2": TWO}},
            {"Regions": {}},
        ],
    ),
    "derp_home_params": (
        Document.DERP_MAP,
        [
            {"DERPMap": {"Regions": {"1": ONE}}},
            {"DERPMap": {"HomeParams": {"RegionScore": {"1": 0.5}}}},
            {"DERPMap": {"HomeParams": {}}},
            {"DERPMap": {"Regions": {"2": TWO}}},
            {"DERPMap": {"HomeParams": {"RegionScore": {}}}},
        ],
        [
            {"Regions": {"1": ONE}},
            {"Regions": {"1": ONE}, "HomeParams": {"RegionScore": {"1": 0.5}}},
            {"Regions": {"1": ONE}, "HomeParams": {"RegionScore": {"1": 0.5}}},
            {"Regions": {"2": TWO}, "HomeParams": {"RegionScore": {"1": 0.5}}},
            {"Regions": {"2": TWO}, "HomeParams": {"RegionScore": {}}},
        ],
    ),
    # TestNetmapDisplayMessage
    "basic-set": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW}}, {}, {"DisplayMessages": {}}],
        [{"a": LOW}] * 3,
    ),
    "delete-one": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW, "b": HIGH}}, {"DisplayMessages": {"a": None}}],
        [{"a": LOW, "b": HIGH}, {"b": HIGH}],
    ),
    "update-one": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW, "b": LOW}}, {"DisplayMessages": {"a": HIGH}}],
        [{"a": LOW, "b": LOW}, {"a": HIGH, "b": LOW}],
    ),
    "add-one": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW}}, {"DisplayMessages": {"b": HIGH}}],
        [{"a": LOW}, {"a": LOW, "b": HIGH}],
    ),
    "delete-all": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW, "b": HIGH}}, {"DisplayMessages": {"*": None}}],
        [{"a": LOW, "b": HIGH}, None],
    ),
    "delete-all-and-add": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": LOW, "b": HIGH}}, {"DisplayMessages": {"c": LOW, "*": None}}],
        [{"a": LOW, "b": HIGH}, {"c": LOW}],
    ),
    "message_with_action": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": {**LOW, **STARS}}}],
        [{"a": {**LOW, **STARS}}],
    ),
    "unknown_fields_of_messages": (
        Document.HEALTH,
        [{"DisplayMessages": {"a": {"Later": [1]}}}],
        [{"a": {"Later": [1]}}],
    ),
}


@pytest.mark.parametrize("case", FOLDS)
def test_what_a_document_is_after_each_message(case: str) -> None:
    document, messages, after = FOLDS[case]
    replica = Replica()
    for number, (message, expected) in enumerate(zip(messages, after, strict=True)):
        replica.first(**message) if number == 0 else replica.then(**message)
        shown = replica.documents[document]
        assert (json.loads(shown) if shown else None) == expected
        replica.check()


@pytest.mark.parametrize("case", FOLDS)
def test_a_new_session_forgets_what_it_does_not_name(case: str) -> None:
    document, messages, _ = FOLDS[case]
    replica = Replica()
    for number, message in enumerate(messages):
        replica.first(**message) if number == 0 else replica.then(**message)
    replica.first()
    if document is Document.PACKET_FILTER:
        assert replica.documents[document] == b"{}"
    elif case != "dial_plan_and_version_on_a_keep_alive":
        assert replica.documents[document] == b""
    else:
        assert json.loads(replica.documents[document]).keys() == {"ClientVersion", "ControlDialPlan"}
    replica.check()


@pytest.mark.parametrize("case", FOLDS)
def test_a_full_message_on_a_living_netmap_gives_what_it_gives_on_a_fresh_one(case: str) -> None:
    """TestNetmapForMapResponseForDebug."""
    _, messages, _ = FOLDS[case]
    living = Replica()
    living.first(
        PacketFilters={"old": A}, DNSConfig={"Domains": ["old"]}, DERPMap={"HomeParams": {"RegionScore": {"9": 9}}},
        DisplayMessages={"old": HIGH}, Health=["old"], SSHPolicy={"rules": [{}]}, Domain="old", CollectServices=True,
        UserProfiles=[{"ID": 1}], Peers=[{"ID": 1, "User": 1}],
    )  # fmt: skip
    fresh = Replica()
    living.first(**messages[0])
    fresh.first(**messages[0])
    assert living.documents == fresh.documents
    assert (living.domain, living.peers, living.profiles) == (fresh.domain, fresh.peers, fresh.profiles)


def test_before_any_message_there_is_no_packet_filter_and_after_it_one_that_denies_everything() -> None:
    replica = Replica()
    assert replica.netmap.documents[Document.PACKET_FILTER] == b""
    replica.first()
    assert replica.netmap.documents[Document.PACKET_FILTER] == b"{}"


def test_an_empty_relay_map_is_a_map() -> None:
    replica = Replica()
    replica.first(DERPMap={})
    assert replica.then(DERPMap={"omitDefaultRegions": True}).updates == []
    assert replica.documents[Document.DERP_MAP] == b"{}"
    replica.then(DERPMap={"Regions": {"1": ONE}})
    assert json.loads(replica.documents[Document.DERP_MAP]) == {"Regions": {"1": ONE}}


def test_implicit_domain() -> None:
    replica = Replica()
    assert DomainUpdate("foo.com") in replica.first(Domain="foo.com").updates
    assert replica.then(Domain="").updates == []
    assert replica.then().updates == []
    assert replica.domain == "foo.com"
    assert replica.first().updates == [DomainUpdate("")]


def test_documents_that_come_again_are_no_difference() -> None:
    replica = Replica()
    message: dict[str, Any] = {
        "PacketFilters": {"b": B, "a": A}, "DNSConfig": {"Domains": ["a"], "Proxied": True}, "SSHPolicy": {"rules": []},
        "DERPMap": {"Regions": {"1": ONE}}, "DisplayMessages": {"a": LOW}, "CollectServices": True, "Domain": "d",
    }  # fmt: skip
    assert len(replica.first(**message).updates) == 8
    assert replica.then(**message).updates == []
    message["DNSConfig"] = {"Proxied": True, "Domains": ["a"]}
    assert replica.first(**message).updates == []


# --- health ---------------------------------------------------------------------------------------------------------


def test_health_lines_become_messages_named_by_their_hash() -> None:
    """TestNetmapHealthIntegration."""
    replica = Replica()
    replica.first(Health=["good", "bad é"])
    shown = json.loads(replica.documents[Document.HEALTH])
    assert shown == {
        "health-" + hashlib.sha256(text.encode()).hexdigest(): {
            "Title": "Coordination server reports an issue",
            "Text": "The coordination server is reporting a health issue: " + text,
            "Severity": "medium",
        }
        for text in ("good", "bad é")
    }
    replica.then()
    assert len(json.loads(replica.documents[Document.HEALTH])) == 2
    replica.then(Health=["bad é"])
    assert len(json.loads(replica.documents[Document.HEALTH])) == 1
    replica.then(Health=[])
    assert replica.documents[Document.HEALTH] == b""
    replica.check()


def test_display_messages_hide_health_lines() -> None:
    replica = Replica()
    replica.first(Health=["old"], DisplayMessages={"a": LOW})
    assert json.loads(replica.documents[Document.HEALTH]) == {"a": LOW}
    replica.then(DisplayMessages={"a": None})
    assert "old" in replica.documents[Document.HEALTH].decode()


@pytest.mark.parametrize(
    ("url", "https_only", "http_too"),
    [
        ("https://example.com/a?b#c", True, True),
        ("http://example.com/", False, True),
        ("javascript:alert(1)", False, False),
        ("https://exa mple.com", False, False),
        ("https://example.com/\u001b[31m", False, False),
        ("https://", False, False),
        ("", False, False),
    ],
)
def test_a_link_that_may_not_be_shown_is_taken_out_of_its_message(
    url: str, https_only: bool, http_too: bool
) -> None:
    for urls, kept in ((UrlPolicy(), https_only), (UrlPolicy(http=True), http_too)):
        replica = Replica(urls=urls)
        replica.first(DisplayMessages={"a": {**LOW, "PrimaryAction": {"URL": url, "Label": "Look"}}})
        assert ("PrimaryAction" in json.loads(replica.documents[Document.HEALTH])["a"]) is kept


# --- user profiles --------------------------------------------------------------------------------------------------


def test_profiles_are_shown_while_somebody_refers_to_them() -> None:
    replica = Replica()
    users = [
        {"ID": i, "LoginName": f"u{i}@example", "DisplayName": f"U {i}", "Later": i} for i in range(1, 6)
    ]
    replica.apply(
        {
            "Node": {"ID": 9, "User": 1},
            "Peers": [{"ID": 2, "User": 2, "Sharer": 3}, {"ID": 3, "User": 2}],
            "UserProfiles": users,
        },
        first=True,
    )
    assert set(replica.profiles) == {1, 2, 3}
    assert (replica.profiles[2].login_name, replica.profiles[2].display_name) == ("u2@example", "U 2")
    assert json.loads(replica.profiles[2].json)["Later"] == 2
    replica.then(PeersRemoved=[2])
    assert set(replica.profiles) == {1, 2}
    replica.then(PeersChanged=[{"ID": 3, "User": 4}])
    assert set(replica.profiles) == {1, 4}, "4 was told before anybody referred to it"
    replica.then(Node={"ID": 9, "User": 5})
    assert set(replica.profiles) == {4, 5}
    replica.then(UserProfiles=[{"ID": 4, "LoginName": "renamed"}, {"ID": 1, "LoginName": "nobody's"}])
    assert replica.profiles[4].login_name == "renamed"
    assert set(replica.profiles) == {4, 5}
    replica.check()


def test_profiles_of_an_old_session_are_forgotten() -> None:
    replica = Replica()
    replica.first(Peers=[{"ID": 2, "User": 2}], UserProfiles=[{"ID": 2}])
    changes = replica.first(Peers=[{"ID": 2, "User": 2}])
    assert changes.updates == [ProfilesUpdate((), (2,))]
    replica.check()


def test_a_profile_that_is_none_does_not_hurt_the_others() -> None:
    replica = Replica()
    replica.first(
        Peers=[{"ID": 2, "User": 2}],
        UserProfiles=[None, {"ID": "x"}, 7, {"ID": 2, "LoginName": 1}, {"ID": 2}],
    )
    assert set(replica.profiles) == {2}
    assert replica.netmap.statistics.bad_profiles == 3


# --- clock ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control_time", "skew"),
    [
        (NOW, 0.0),
        ("2026-01-02T03:05:05Z", 0.0),
        ("2026-01-02T03:05:06Z", 61.0),
        ("2026-01-02T03:03:04.000000001Z", -61.0),
        ("2026-01-02T05:04:05+01:00", 3600.0),
        ("0001-01-01T00:00:00Z", 0.0),
        ("half past nine", 0.0),
        ("2026-01-02T05:04:05", 0.0),
    ],
)
def test_the_clock_skew_counts_when_it_is_more_than_a_minute(control_time: str, skew: float) -> None:
    replica = Replica()
    replica.apply({"KeepAlive": True, "ControlTime": control_time})
    assert replica.netmap.clock_skew_s == pytest.approx(skew)
    assert replica.netmap.control_time == (
        control_time if unix_seconds(control_time) and control_time[:4] != "0001" else ""
    )


def test_a_skew_that_is_gone_is_forgotten_and_a_message_without_time_says_nothing() -> None:
    replica = Replica()
    replica.first(ControlTime="2026-01-02T04:04:05Z")
    replica.then()
    assert replica.netmap.clock_skew_s == 3600
    replica.then(ControlTime=NOW)
    assert replica.netmap.clock_skew_s == 0
