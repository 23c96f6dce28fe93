"""The netmap as a zone: whose names it has, and a serial that only grows."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exports import zone
from netmap_actors.exports.remarks import CannotExport
from netmap_actors.exports.zone_serial import same, serial_at, succeeding
from netmap_actors.subscriber import Netmap
from tests.support.netmaps.built_netmap import DOMAIN, built_netmap
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL

NOW = 1_796_000_000


def text_of(netmap: Netmap, **choice: Any) -> str:
    return zone.text(netmap, **({"state": "fresh", "serial": NOW} | choice))


def entries(netmap: Netmap, **choice: Any) -> list[str]:
    """The records behind SOA, NS and TXT, with one space between their parts and without the class."""
    lines = text_of(netmap, **choice).splitlines()
    shown = [line.replace("\tIN\t", " ").replace("\t", " ") for line in lines if line[:1] not in ";$@"]
    return [line for line in shown if not line.startswith("_netmap")]


def comments(netmap: Netmap, **choice: Any) -> str:
    return "\n".join(line for line in text_of(netmap, **choice).splitlines() if line.startswith(";"))


def test_a_zone_has_a_head_and_each_address_of_each_node() -> None:
    netmap = built_netmap(f"web.{DOMAIN}", {"name": f"DB.{DOMAIN}", "addresses": ["100.64.0.7/32"]})
    assert text_of(netmap).splitlines() == [
        "; Tailnet tail.example, by netmap-supervisor; what is changed here is lost.",
        "; State: fresh.",
        "; Nodes: 2. DNS records: 0. Tags: 0.",
        "; Reverse zones (--reverse): 100.64.0.0/16, fd7a::/48.",
        "$ORIGIN tail.example.",
        "$TTL 60",
        f"@\tIN\tSOA\tlocalhost. hostmaster.tail.example. {NOW} 3600 600 604800 60",
        "@\tIN\tNS\tlocalhost.",
        '_netmap\tIN\tTXT\t"tailnet=default" "state=fresh"',
        "db\tIN\tA\t100.64.0.7",
        "web\tIN\tA\t100.64.0.1",
        "web\tIN\tAAAA\tfd7a::1",
    ]


@pytest.mark.parametrize(
    ("addresses", "zones"),
    [
        (["2001:db8:0:1::1", "2001:db8::1", "2001:db8:0:2::"], "2001:db8::/48"),
        (
            ["fd7a:115c:a1e0::1", "100.127.0.1", "100.64.255.1"],
            "100.64.0.0/16, 100.127.0.0/16, fd7a:115c:a1e0::/48",
        ),
        ([f"10.{n}.0.1" for n in range(10)], ", ".join(f"10.{n}.0.0/16" for n in range(8)) + " and 2 more"),
    ],
)
def test_a_comment_lists_the_reverse_zones(addresses: list[str], zones: str) -> None:
    node = {"name": f"a.{DOMAIN}", "addresses": [f"{one}/{128 if ':' in one else 32}" for one in addresses]}
    assert f"; Reverse zones (--reverse): {zones}.\n" in text_of(built_netmap(node))


def test_a_zone_that_is_not_fresh_says_so_to_readers_and_to_resolvers() -> None:
    netmap = built_netmap(f"web.{DOMAIN}")
    assert "; STALE" in comments(netmap, state="stale")
    assert '"state=stale"' in text_of(netmap, state="stale")
    assert entries(netmap, state="stale") == entries(netmap)


def test_our_own_node_is_there_when_it_is_asked_for() -> None:
    netmap = built_netmap()
    assert entries(netmap) == []
    assert entries(netmap, include_self=True) == ["obs A 100.64.9.9"]


# Names


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"{'x' * 64}.{DOMAIN}", "without a valid host name"),
        (f"a b.{DOMAIN}", "without a valid host name"),
        (f"é.{DOMAIN}", "without a valid host name"),
        (f"a\nb A 1.2.3.4.{DOMAIN}", "without a valid host name"),
        (f'"a".{DOMAIN}', "without a valid host name"),
        (f"a;b.{DOMAIN}", "without a valid host name"),
        (f"*.{DOMAIN}", "without a valid host name"),
        ("$INCLUDE", "without a valid host name"),
        (EVIL, "without a valid host name"),
        ("", "without a valid host name"),
        ("nas.stranger.example", "outside the tailnet's domain"),
        (DOMAIN, "outside the tailnet's domain"),
        (f"xx{DOMAIN}", "outside the tailnet's domain"),
        (f"web.tag.{DOMAIN}", "with a name that is not to be given"),
    ],
)
def test_what_is_no_name_of_the_tailnet_is_left_out_and_counted(name: str, why: str) -> None:
    netmap = built_netmap({"name": name, "addresses": ["100.64.0.1/32"]}, f"ok.{DOMAIN}")
    assert entries(netmap) == ["ok A 100.64.0.2", "ok AAAA fd7a::2"]
    assert f"Left out: 1 {why}." in comments(netmap)


def test_what_else_is_left_out_is_counted_by_reason() -> None:
    netmap = built_netmap(
        {"name": f"a.{DOMAIN}", "expired": True},
        {"name": f"b.{DOMAIN}", "decoded": False},
        {"name": f"c.{DOMAIN}", "addresses": ["junk", "10.0.0.0/8"]},
        f"d.{DOMAIN}",
        f"D.{DOMAIN}",
        {"name": f"e.{DOMAIN}", "sharer_id": 7},
    )
    assert entries(netmap) == []
    assert (
        "Left out: 1 unreadable, 1 expired, 1 without a valid address, 1 outside the tailnet's domain, "
        "2 with a name that another node has, too." in comments(netmap)
    )


def test_a_name_may_be_the_end_of_another() -> None:
    netmap = built_netmap(*({"name": f"{n}.{DOMAIN}"} for n in ("web", "db.web", "tag", "7", "a", "in")))
    assert {line.split()[0] for line in entries(netmap)} == {"web", "db.web", "tag", "7", "a", "in"}


def test_another_origin_has_the_tailnets_names_but_none_that_programs_look_up() -> None:
    netmap = built_netmap(f"web.{DOMAIN}", f"wpad.{DOMAIN}", "nas.corp.example")
    assert entries(netmap, origin="Corp.example.") == ["web A 100.64.0.1", "web AAAA fd7a::1"]
    assert "$ORIGIN corp.example." in text_of(netmap, origin="Corp.example.")
    left_out = "Left out: 1 outside the tailnet's domain, 1 with a name that is not to be given."
    assert left_out in comments(netmap, origin="corp.example")
    assert "wpad A 100.64.0.2" in entries(netmap), "in its own domain it is what the tailnet's resolver says"


def test_a_tailnet_of_bare_names_needs_an_origin() -> None:
    netmap = built_netmap("web", own="obs", domain="")
    with pytest.raises(CannotExport, match="cannot export the zone: the tailnet's domain is not known"):
        text_of(netmap)
    assert entries(netmap, origin="corp.example")[0] == "web A 100.64.0.1"


def test_a_name_too_long_below_another_origin_is_left_out() -> None:
    netmap = built_netmap(f"{'x' * 60}.{DOMAIN}")
    assert entries(netmap, origin=".".join(["y" * 60] * 3 + ["z" * 10])) == []


# Records and tags


def test_dns_records_of_both_domains_are_written_and_win_over_nodes() -> None:
    netmap = built_netmap(
        f"web.{DOMAIN}",
        f"nas.{DOMAIN}",
        records=[
            {"Name": f"grafana.{DOMAIN}.", "Value": "10.9.8.7"},
            {"Name": f"grafana.{DOMAIN}", "Value": "fd7a::9", "Type": "AAAA"},
            {"Name": f"web.{DOMAIN}", "Value": "10.1.1.1"},
            {"Name": DOMAIN, "Value": "10.1.1.2"},
            {"Name": "x.corp.example", "Value": "10.1.1.3"},
            {"Name": f"*.{DOMAIN}", "Value": "10.1.1.3"},
            {"Name": f"txt.{DOMAIN}", "Value": "x", "Type": "TXT"},
        ],
    )
    lines = [line.replace("\tIN\t", " ").replace("\t", " ") for line in text_of(netmap).splitlines()]
    assert "@ A 10.1.1.2" in lines
    assert {"grafana A 10.9.8.7", "grafana AAAA fd7a::9", "web A 10.1.1.1", "nas A 100.64.0.2"} <= set(lines)
    assert "web A 100.64.0.1" not in lines
    assert "Left out: 1 with a name that a DNS record has, too." in comments(netmap)
    records = "1 without a valid host name, 1 outside the tailnet's domain, 1 neither A nor AAAA."
    assert f"Left out of the DNS records: {records}" in comments(netmap)
    assert "x A 10.1.1.3" in entries(netmap, origin="corp.example")
    assert "DNS records: 0." in comments(netmap, online_only=True)


def test_a_tag_is_a_name_with_all_its_nodes() -> None:
    netmap = built_netmap(
        {"name": f"a.{DOMAIN}", "tags": ["tag:web", "tag:a-b"]},
        {
            "name": f"b.{DOMAIN}",
            "tags": ["tag:Web-2", "tag:web"],
            "addresses": ["100.64.0.1/32", "fd7a::7/128"],
        },
        {"name": f"c.{DOMAIN}", "tags": ["tag:web"], "expired": True},
        {"name": "d.stranger.example", "tags": ["tag:web"], "sharer_id": 7},
        {"name": "e.stranger.example", "tags": ["tag:web"]},
        {"name": f"f.{DOMAIN}", "tags": ["web", "tag:", "tag:a_b", "tag:a.b", f"tag:{'x' * 64}"]},
        {"name": f"tag.{DOMAIN}"},
    )
    assert [line for line in entries(netmap) if ".tag " in line] == [
        "a-b.tag A 100.64.0.1",
        "a-b.tag AAAA fd7a::1",
        "web-2.tag A 100.64.0.1",
        "web-2.tag AAAA fd7a::7",
        "web.tag A 100.64.0.1",
        "web.tag AAAA fd7a::1",
        "web.tag AAAA fd7a::7",
    ]
    assert "tag A 100.64.0.7" in entries(netmap), "a node may be called tag"
    assert "Left out of the tags: 4 without a valid host name." in comments(netmap)


def test_when_tags_are_asked_for_only_those_are_names() -> None:
    netmap = built_netmap(
        {"name": f"a.{DOMAIN}", "tags": ["tag:web", "tag:db"]}, {"name": f"b.{DOMAIN}", "tags": ["tag:db"]}
    )
    for word in ("web", "tag:web"):
        shown = [line for line in entries(netmap, tags=[word]) if " A " in line]
        assert shown == ["a A 100.64.0.1", "web.tag A 100.64.0.1"]


def test_two_nodes_of_one_name_have_no_name_but_their_tag() -> None:
    netmap = built_netmap(*({"name": f"web.{DOMAIN}", "tags": ["tag:t"]} for _ in range(2)))
    assert [line for line in entries(netmap) if " A " in line] == ["t.tag A 100.64.0.1", "t.tag A 100.64.0.2"]


def test_tags_that_a_resolver_cannot_tell_apart_have_no_name() -> None:
    netmap = built_netmap(
        {"name": f"a.{DOMAIN}", "tags": ["tag:web"]}, {"name": f"b.{DOMAIN}", "tags": ["tag:WEB"]}
    )
    assert not [line for line in entries(netmap) if "tag" in line]
    assert "Left out of the tags: 2 with a name that another tag has, too." in comments(netmap)


def test_an_admins_record_wins_over_a_tag() -> None:
    netmap = built_netmap(
        {"name": f"a.{DOMAIN}", "tags": ["tag:web"]},
        records=[{"Name": f"web.tag.{DOMAIN}", "Value": "10.0.0.1"}],
    )
    assert [line for line in entries(netmap) if "web.tag" in line] == ["web.tag A 10.0.0.1"]


def test_a_tag_of_more_addresses_than_a_server_takes_is_left_out() -> None:
    nodes = [{"name": f"n{n}.{DOMAIN}", "tags": ["tag:all"]} for n in range(101)]
    assert "all.tag A 100.64.0.100" in entries(built_netmap(*nodes[:100]))
    netmap = built_netmap(*nodes)
    assert not [line for line in entries(netmap) if "all.tag" in line]
    assert "Left out of the tags: 1 with more addresses than a name may have." in comments(netmap)


# Servers


def test_servers_are_those_that_are_named() -> None:
    netmap = built_netmap(f"web.{DOMAIN}")
    text = text_of(netmap, servers=["NS.example.com.", f"web.{DOMAIN}", "ns.example.com"])
    assert "SOA\tns.example.com. hostmaster.tail.example." in text
    assert re.findall(r"NS\t(\S+)", text) == ["ns.example.com.", "web.tail.example."]


def test_a_server_in_the_zone_needs_an_address_there() -> None:
    with pytest.raises(CannotExport, match=f"its server ns.{DOMAIN} lies in it and has no address there"):
        text_of(built_netmap(f"web.{DOMAIN}"), servers=[f"ns.{DOMAIN}"])


# Reverse zones


@pytest.mark.parametrize(
    ("network", "origin", "lines"),
    [
        ("100.64.0.0/16", "64.100.in-addr.arpa.", ["1.0 PTR web.tail.example.", "2.0 PTR db.tail.example."]),
        ("100.0.0.0/8", "100.in-addr.arpa.", ["1.0.64 PTR web.tail.example.", "2.0.64 PTR db.tail.example."]),
        ("100.64.0.0/24", "0.64.100.in-addr.arpa.", ["1 PTR web.tail.example.", "2 PTR db.tail.example."]),
        ("10.0.0.0/8", "10.in-addr.arpa.", ["1.0.0 PTR x.tail.example."]),
        (
            "fd7a::/124",
            f"{'0.' * 27}a.7.d.f.ip6.arpa.",
            ["1 PTR web.tail.example.", "2 PTR db.tail.example."],
        ),
    ],
)
def test_a_reverse_zone_leads_from_each_address_to_a_node(
    network: str, origin: str, lines: list[str]
) -> None:
    records = [
        {"Name": f"x.{DOMAIN}", "Value": "10.0.0.1"},
        {"Name": f"z.{DOMAIN}", "Value": "10.0.0.1"},
        {"Name": f"a.{DOMAIN}", "Value": "100.64.0.1"},
    ]
    netmap = built_netmap(f"web.{DOMAIN}", f"db.{DOMAIN}", records=records)
    text = text_of(netmap, reverse=zone.reverse_zone(network))
    assert f"$ORIGIN {origin}\n" in text
    assert entries(netmap, reverse=zone.reverse_zone(network)) == lines


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("100.64.0.0/10", "one ends at /8, /16 or /24"),
        ("0.0.0.0/0", "no reverse zone"),
        ("100.64.0.1/32", "no reverse zone"),
        ("fd7a::/47", "a multiple of 4"),
        ("100.64.0.1/16", "host bits"),
        ("x", "does not appear"),
    ],
)
def test_a_network_that_is_no_zone_is_refused(network: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        zone.reverse_zone(network)


# The serial


def zone_with(serial: int, rest: str = "") -> bytes:
    return f"$TTL 60\n@ IN SOA a. b. {serial} 1 2 3 4\n@ IN NS a.\n{rest}".encode()


HALF, ALL = 1 << 31, 1 << 32


@pytest.mark.parametrize(
    ("old", "wanted", "given"),
    [
        (NOW - 1, NOW, NOW),
        (NOW, NOW, NOW + 1),
        (NOW + 100, NOW, NOW + 101),
        (2026_11_29_01, NOW, 2026_11_29_02),
        (ALL - 1, NOW, NOW),
        (ALL - 1, ALL - 5, 0),
        (ALL - 1, 5, 5),
        (0, HALF - 1, HALF - 1),
        (0, HALF, 1),
    ],
)
def test_a_serial_follows_the_one_of_the_file(old: int, wanted: int, given: int) -> None:
    assert succeeding(zone_with(old), zone_with(wanted, "x A 1.2.3.4\n")) == zone_with(given, "x A 1.2.3.4\n")


@given(st.integers(0, ALL - 1), st.floats(0, 1e12))
def test_a_serial_always_grows_as_servers_compare_them(old: int, wall: float) -> None:
    new = succeeding(zone_with(old), zone_with(serial_at(wall)))
    (serial,) = re.findall(rb"SOA a\. b\. (\d+) ", new)
    assert 0 < (int(serial) - old) % ALL < HALF
    assert 0 <= int(serial) < ALL


def test_the_serial_of_a_zone_that_others_wrote_is_found() -> None:
    theirs = b"@ 3600 in soa ns.example. admin.example. (\n  77 ; serial\n 1 2 3 4 )\n"
    assert succeeding(theirs, zone_with(5)) == zone_with(78)
    theirs = b"@ SOA ns. admin. ( ; begins\n\t77 1 2 3 4)\n"
    assert succeeding(theirs, zone_with(5)) == zone_with(78)
    assert succeeding(b"no zone", zone_with(5)) == zone_with(5)
    assert succeeding(b"", zone_with(5)) == zone_with(5)


def test_a_zone_with_another_serial_alone_is_the_same() -> None:
    netmap, later = built_netmap(f"a.{DOMAIN}"), built_netmap(f"b.{DOMAIN}")
    old = text_of(netmap).encode()
    assert same(old, text_of(netmap, serial=NOW + 5).encode())
    assert not same(old, text_of(later, serial=NOW).encode())
    assert not same(old, text_of(netmap, state="stale").encode())
    assert not same(b"", old)


# Whatever the control server says

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=70) | st.sampled_from(
    [
        "web",
        "WEB",
        "tag",
        "x.tag",
        "web.tag",
        "a\nb",
        "$TTL 1",
        "@",
        "\\",
        '"',
        "a;b",
        "(",
        EVIL,
        "wpad",
        "x" * 64,
    ]
)
nodes = st.fixed_dictionaries(
    {
        "name": words | words.map(lambda word: f"{word}.{DOMAIN}"),
        "addresses": st.lists(st.ip_addresses().map(str) | words, max_size=3),
        "tags": st.lists(words | words.map(lambda word: f"tag:{word}"), max_size=3),
        "expired": st.booleans(),
        "sharer_id": st.sampled_from([0, 0, 9]),
    }
)
records = st.lists(
    st.fixed_dictionaries(
        {
            "Name": words | words.map(lambda word: f"{word}.{DOMAIN}"),
            "Value": words | st.ip_addresses().map(str),
        }
    ),
    max_size=3,
)
NAME = r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)"


@given(
    st.lists(nodes, max_size=5),
    records,
    words,
    st.none() | st.just("corp.example"),
    st.none() | st.just("100.0.0.0/8"),
)
def test_every_line_is_a_comment_or_one_record_of_valid_parts(
    peers: list[dict[str, Any]], given_records: Any, domain: str, origin: str | None, network: str | None
) -> None:
    netmap = built_netmap(*peers, domain=domain, records=given_records)
    reverse = None if network is None else zone.reverse_zone(network)
    text = text_of(netmap, origin=origin, reverse=reverse)
    lines = text.splitlines()
    assert "".join(f"{line}\n" for line in lines) == text
    seen = set()
    for line in lines:
        if line.startswith(("; ", "$ORIGIN ", "$TTL ", "@\tIN\tSOA\t", "@\tIN\tNS\t", "_netmap\tIN\tTXT\t")):
            assert line.replace("\t", " ").isprintable()
            continue
        name, in_class, kind, value = line.split("\t")
        assert in_class == "IN"
        assert re.fullmatch(NAME, name) or name == "@"
        assert (name, kind, value) not in seen
        seen.add((name, kind, value))
        if kind == "PTR":
            assert re.fullmatch(rf"{NAME}\.", value)
        else:
            assert kind == ("AAAA" if ipaddress.ip_address(value).version == 6 else "A")


def test_the_zone_of_a_recorded_tailnet_has_each_of_its_nodes() -> None:
    netmap = recorded_netmap(until="db1 connection closed")
    shown = entries(netmap)
    for node in netmap.peers.values():
        for address in node.ips:
            kind = "AAAA" if ":" in address else "A"
            assert f"{node.short_name} {kind} {address}" in shown
            where = "fd7a:115c:a1e0::/48" if ":" in address else "100.64.0.0/16"
            pointers = entries(netmap, reverse=zone.reverse_zone(where))
            assert len([line for line in pointers if line.endswith(f" {node.name}.")]) == 1
    assert [line for line in shown if ".tag " in line] == [
        "db.tag A 100.64.0.9",
        "db.tag AAAA fd7a:115c:a1e0::9",
    ]
