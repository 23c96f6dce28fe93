"""Which names a hosts file gives to whom, when members, strangers and the control server choose them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exports import hosts, prometheus_sd
from netmap_actors.exports.nodes import node_addresses
from netmap_actors.subscriber import Netmap
from netmap_actors.subscriber.netmap_view import Contents
from tests.support.netmaps.shown_netmap import EVIL, peer

DOMAIN = "tail.example"


def netmap_of(
    *peers: str | dict[str, Any],
    own: str | dict[str, Any] = f"obs.{DOMAIN}",
    domain: str = DOMAIN,
    records: Any = None,
) -> Netmap:
    """A netmap of these nodes, by name or by fields; they have 100.64.0.1 and on, our own has 100.64.9.9."""
    contents = Contents()
    contents.domain = domain
    for number, node in enumerate(peers, 1):
        fields = {"stable_id": f"n{number}", "addresses": [f"100.64.0.{number}/32"]}
        fields |= {"name": node} if isinstance(node, str) else node
        contents.upsert(fields["stable_id"], peer(**fields)._piece)
    fields = {"stable_id": "self", "addresses": ["100.64.9.9/32"]}
    fields |= {"name": own} if isinstance(own, str) else own
    contents.self_node = peer(**fields)._piece
    if records is not None:
        contents.documents["dns"] = json.dumps({"Proxied": True, "ExtraRecords": records}).encode()
    return Netmap(contents)


def shown(netmap: Netmap, **choice: Any) -> tuple[list[str], str]:
    """(entries, comments) of the hosts file."""
    lines = hosts.text(netmap, state="fresh", **choice).splitlines()
    entries = [line.replace("\t", " ") for line in lines if not line.startswith("#")]
    return entries, "\n".join(line for line in lines if line.startswith("#"))


def entries(netmap: Netmap, **choice: Any) -> list[str]:
    return shown(netmap, **choice)[0]


# Whose a name is


def test_a_node_that_is_shared_in_has_no_name_of_ours() -> None:
    netmap = netmap_of(
        {"name": "nas.stranger.example", "sharer_id": 77},
        f"nas.{DOMAIN}",
        {"name": "gitlab.stranger.example", "sharer_id": 77},
        {"name": "wpad.stranger.example", "sharer_id": 77},
        f"git.{DOMAIN}",
    )
    lines, comment = shown(netmap)
    assert lines == [f"100.64.0.5 git.{DOMAIN} git", f"100.64.0.2 nas.{DOMAIN} nas"]
    assert "Left out: 3 outside the tailnet's domain" in comment


OUTSIDE = [
    "github.com", "metadata.google.internal", "obs", "www.bank.example", "example", "tail.example",
    "x.tail.example.com", "xtail.example", "nas.stranger.example",
]  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_full_name_lies_below_the_tailnets_domain(name: str) -> None:
    lines, comment = shown(netmap_of(name, f"web.{DOMAIN}"))
    assert lines == [f"100.64.0.2 web.{DOMAIN} web"]
    assert "Left out: 1 outside the tailnet's domain" in comment
    assert "Nodes: 1." in comment


def test_names_below_another_domain_are_written_when_it_is_named() -> None:
    netmap = netmap_of(
        {"name": "nas.stranger.example", "sharer_id": 7},
        "a.b.corp.example",
        f"web.{DOMAIN}",
        "x.other.example",
    )
    lines, comment = shown(netmap, suffixes=["Stranger.example.", "corp.example"])
    assert lines == [
        "100.64.0.2 a.b.corp.example",
        "100.64.0.1 nas.stranger.example",
        f"100.64.0.3 web.{DOMAIN} web",
    ]
    assert "Left out: 1 outside the tailnet's domain" in comment


RESERVED = [
    "localhost", "LOCALHOST", "localhost4", "localhost6", "localdomain", "localdomain6", "loopback", "broadcasthost",
    "ip6-localhost", "ip6-loopback", "ip6-allnodes", "ip6-anything", "ipv6-localhost", "wpad", "WPAD", "isatap",
    "teredo", "local", "test", "invalid", "example", "onion", "alt", "internal", "arpa", "gateway", "metadata",
    "instance-data", "kubernetes", "puppet", "salt", "loghost", "mailhost", "autodiscover", "7", "0x7f000001",
]  # fmt: skip


@pytest.mark.parametrize("label", RESERVED)
def test_what_systems_and_programs_look_for_by_themselves_is_nobodys_short_name(label: str) -> None:
    assert entries(netmap_of(f"{label}.{DOMAIN}")) == [f"100.64.0.1 {label.lower()}.{DOMAIN}"]


@pytest.mark.parametrize("machine", ["mine", "MINE", "mine.lan", f"mine.{DOMAIN}"])
def test_this_machines_own_name_is_nobody_elses(machine: str) -> None:
    netmap = netmap_of(f"mine.{DOMAIN}", f"web.{DOMAIN}")
    lines, comment = shown(netmap, machine=machine)
    if machine.endswith(DOMAIN):
        assert lines == [f"100.64.0.2 web.{DOMAIN} web"]
        assert "1 with a name of this machine" in comment
    else:
        assert lines == [f"100.64.0.1 mine.{DOMAIN}", f"100.64.0.2 web.{DOMAIN} web"]


def test_our_own_node_is_written_when_asked_for_and_keeps_its_name_in_any_case() -> None:
    netmap = netmap_of(f"web.{DOMAIN}", {"name": f"obs.{DOMAIN}"}, f"db.{DOMAIN}", own=f"obs.{DOMAIN}")
    assert entries(netmap) == [f"100.64.0.3 db.{DOMAIN} db", f"100.64.0.1 web.{DOMAIN} web"]
    lone = netmap_of(f"web.{DOMAIN}", own=f"obs.{DOMAIN}")
    assert entries(lone, include_self=True) == [
        f"100.64.9.9 obs.{DOMAIN} obs",
        f"100.64.0.1 web.{DOMAIN} web",
    ]


def test_where_names_have_one_label_our_own_have_it() -> None:
    netmap = netmap_of("web", "wpad", "github.com", own="obs", domain="")
    assert entries(netmap) == ["100.64.0.1 web"]
    assert "1 outside the tailnet's domain" in shown(netmap)[1]


@pytest.mark.parametrize("name", ["\u212aube", "\u212aUBE", "kub\u0435", "kube\u00ad"])
def test_a_name_that_only_looks_like_a_nodes_does_not_take_it_away(name: str) -> None:
    netmap = netmap_of(f"kube.{DOMAIN}", f"{name}.{DOMAIN}")
    assert entries(netmap) == [f"100.64.0.1 kube.{DOMAIN} kube"]
    labels = [group["labels"] for group in prometheus_sd.target_groups(netmap, state="fresh", port=None)]
    for label in labels:
        called = netmap.resolve(label["__meta_netmap_short_name"])
        assert called.stable_id == label["__meta_netmap_stable_id"]
    assert len(labels) == 2


# Which address is a host's


@pytest.mark.parametrize(
    "prefix",
    ["10.0.0.0/8", "100.64.0.1/31", "100.64.0.1/0", "fd7a::/64", "fd7a::1/127", "fd7a::1/32", "100.64.0.1/128",
     "100.64.0.1/", "169.254.169.254/32"],
)  # fmt: skip
def test_a_network_is_no_host(prefix: str) -> None:
    node = {"name": f"web.{DOMAIN}", "addresses": [prefix]}
    assert node_addresses(peer(**node)) == []
    lines, comment = shown(netmap_of(node))
    assert lines == []
    assert "1 without a valid address" in comment
    targets = prometheus_sd.target_groups(netmap_of(node), state="fresh", port=80)
    assert [one["labels"]["__meta_netmap_name"] for one in targets] == []


# The admin's records


def record(name: str, value: str, kind: str | None = None) -> dict[str, str]:
    return {"Name": name, "Value": value} | ({} if kind is None else {"Type": kind})


def test_dns_records_below_the_domain_are_written_and_all_others_counted() -> None:
    records = [
        record(f"grafana.{DOMAIN}.", "100.64.0.1"),
        record(f"grafana.{DOMAIN}", "fd7a:0::5", "AAAA"),
        record(f"A.B.{DOMAIN}", "10.0.0.7", "A"),
        record(f"A.B.{DOMAIN}", "10.0.0.7", ""),
        record(f"txt.{DOMAIN}", "v=1", "TXT"),
        record(f"c.{DOMAIN}", f"web.{DOMAIN}.", "CNAME"),
        record("github.com", "10.0.0.8"),
        record("wpad", "10.0.0.8"),
        record(f"bad name.{DOMAIN}", "10.0.0.8"),
        record(f"here.{DOMAIN}", "127.0.0.1"),
        record(f"junk.{DOMAIN}", "10.0.0.0/8"),
        {"Name": 7, "Value": None},
        "junk",
    ]
    lines, comment = shown(netmap_of(f"web.{DOMAIN}", records=records))
    assert lines == [
        f"100.64.0.1 web.{DOMAIN} web",
        f"10.0.0.7 a.b.{DOMAIN}",
        f"100.64.0.1 grafana.{DOMAIN}",
        f"fd7a::5 grafana.{DOMAIN}",
    ]
    assert "Nodes: 1. DNS records: 3." in comment
    told = comment.rpartition("Left out of the DNS records: ")[2]
    assert told == (
        "2 unreadable, 1 without a valid host name, 2 without a valid address, 2 outside the tailnet's domain, "
        "2 neither A nor AAAA."
    )
    assert "10.0.0.8 github.com" not in lines
    assert "10.0.0.8 wiki.corp.example" in entries(
        netmap_of(records=[record("wiki.corp.example", "10.0.0.8")]), suffixes=["corp.example"]
    )


@pytest.mark.parametrize(
    "records", [{}, 7, "x", [[]], [None], [{"Name": {}}], [{"Name": [], "Value": {}, "Type": 3}]]
)
def test_records_that_are_none_are_left_out(records: Any) -> None:
    lines, comment = shown(netmap_of(f"web.{DOMAIN}", records=records))
    assert lines == [f"100.64.0.1 web.{DOMAIN} web"]
    assert ("Left out of the DNS records: 1 unreadable." in comment) == isinstance(records, list)


def test_an_admins_record_wins_over_a_node_that_took_its_name() -> None:
    records = [record(f"grafana.{DOMAIN}", "10.0.0.7"), record(f"web.{DOMAIN}", "100.64.0.2")]
    lines, comment = shown(netmap_of(f"grafana.{DOMAIN}", f"web.{DOMAIN}", records=records))
    assert lines == [f"100.64.0.2 web.{DOMAIN} web", f"10.0.0.7 grafana.{DOMAIN}"]
    assert "1 with a name that a DNS record has, too" in comment


def test_a_choice_of_nodes_leaves_the_records_out_and_says_so() -> None:
    netmap = netmap_of(
        {"name": f"web.{DOMAIN}", "tags": ["tag:web"]}, records=[record(f"a.{DOMAIN}", "10.0.0.7")]
    )
    lines, comment = shown(netmap, tags=["web"])
    assert lines == [f"100.64.0.1 web.{DOMAIN} web"]
    assert "Left out of the DNS records: 1 since nodes were asked for" in comment


# Targets


def test_targets_are_other_nodes_and_only_ours_have_a_short_name() -> None:
    netmap = netmap_of(
        {"name": "nas.stranger.example", "sharer_id": 77},
        f"nas.{DOMAIN}",
        f"twice.{DOMAIN}",
        f"twice.{DOMAIN}",
    )

    def names(**choice: Any) -> list[tuple[str, str]]:
        groups = prometheus_sd.target_groups(netmap, state="fresh", port=None, **choice)
        return [
            tuple(one["labels"][f"__meta_netmap_{name}"] for name in ("name", "short_name")) for one in groups
        ]

    others = [
        ("nas.stranger.example", ""),
        (f"nas.{DOMAIN}", "nas"),
        (f"twice.{DOMAIN}", ""),
        (f"twice.{DOMAIN}", ""),
    ]
    assert names() == others
    assert names(include_self=True) == [*others[:2], (f"obs.{DOMAIN}", "obs"), *others[2:]]


@pytest.mark.parametrize("evil", ["x,tag:web", ",tag:web", "tag:web,", ",", ",,tag:web,,", "x,\ntag:web,y"])
@pytest.mark.parametrize("label", ["tags", "routes"])
def test_no_item_of_a_list_reads_as_another(label: str, evil: str) -> None:
    (group,) = prometheus_sd.target_groups(
        netmap_of({"name": "a.x", label: [evil, "tag:db", ""]}), state="fresh", port=None
    )
    assert group["labels"][f"__meta_netmap_{label}"] == ",tag:db,"
    (group,) = prometheus_sd.target_groups(
        netmap_of({"name": "a.x", label: [evil]}), state="fresh", port=None
    )
    assert group["labels"][f"__meta_netmap_{label}"] == ""


# Whatever they choose

labels = st.sampled_from(
    ["web", "nas", "obs", "wpad", "localhost", "github", "a-b", "7", "x" * 64, "é", "", EVIL]
)
suffixes = st.sampled_from(
    [DOMAIN, DOMAIN.upper(), "com", "stranger.example", "", f"sub.{DOMAIN}", f"x{DOMAIN}"]
)
names = st.builds(lambda label, suffix: f"{label}.{suffix}".strip("."), labels, suffixes)
chosen = st.fixed_dictionaries(
    {"name": names, "sharer_id": st.sampled_from([0, 0, 77]), "expired": st.booleans()}
)
dns_records = st.lists(
    st.builds(
        record,
        names,
        st.sampled_from(["10.0.0.1", "127.0.0.1", "fd7a::1", "x"]),
        st.sampled_from(["", "A", "TXT"]),
    )
)


@given(st.lists(chosen, max_size=6), names, dns_records, st.booleans(), names)
def test_nobody_gets_a_name_that_is_not_below_the_domain_or_a_free_short_one(
    nodes: list[dict[str, Any]], own: str, records: list[dict[str, str]], include_self: bool, machine: str
) -> None:
    netmap = netmap_of(*nodes, own=own, records=records)
    suffix = netmap.own_suffix
    meant: dict[str, set[str]] = {}
    addresses: dict[str, str] = {f"100.64.0.{number}": one["name"] for number, one in enumerate(nodes, 1)}
    for line in entries(netmap, include_self=include_self, machine=machine):
        address, *written = line.split(" ")
        assert include_self or address != "100.64.9.9"
        for name in written:
            meant.setdefault(name, set()).add(address)
            assert name != machine.lower()
            if suffix and name.endswith(f".{suffix}"):
                continue
            assert "." not in name
            assert name not in {"wpad", "localhost", "7", machine.lower().partition(".")[0]}
            if address in addresses:
                assert addresses[address].lower().rstrip(".") == (f"{name}.{suffix}" if suffix else name)
    recorded = {one["Name"].lower() for one in records}
    for name, found in meant.items():
        if name not in recorded:
            assert len(found) == 1, f"{name} means {found}"
