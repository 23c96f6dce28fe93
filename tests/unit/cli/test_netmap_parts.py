"""`netmap dns`, `users` and `filter`: from what servers send, and from what none should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.subscriber import Netmap, UserProfile
from netmap_actors.subscriber.netmap_view import Contents
from netmap_supervisor.cli import main
from netmap_supervisor.cli.netmap.dns import dns_lines
from netmap_supervisor.cli.netmap.packet_filter import filter_lines
from netmap_supervisor.cli.netmap.users import user_lines, users_json
from netmap_supervisor.cli.parameters.followed_daemon import LocalDaemon, RemoteDaemon
from tests.support.netmaps.recorded_netmap import recorded_netmap
from tests.support.netmaps.shown_netmap import EVIL, peer, snapshot
from tests.support.schemas.strict import held
from tests.support.servers.captures import captures

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.subscriber import Snapshot

RECORDED = Path(__file__).parents[2] / "fixtures" / "headscale-session.jsonl"


def netmap(*peers: Any, profiles: dict[int, UserProfile] | None = None, **documents: Any) -> Netmap:
    contents = Contents()
    for one in peers:
        contents.upsert(one.stable_id, one._piece)
    contents.self_node = peer(stable_id="n-own", name="vm.example.ts.net", addresses=["100.64.0.7/32"])._piece
    contents.profiles = profiles or {}
    contents.documents = {name: json.dumps(value).encode() for name, value in documents.items()}
    return Netmap(contents)


def recorded(key: str) -> Any:
    lines = (json.loads(line) for line in RECORDED.read_text().splitlines())
    return next(line["map_response"][key] for line in lines if key in line.get("map_response", {}))


def test_dns_as_headscale_sends_it_fits_a_screen() -> None:
    lines = list(dns_lines(netmap(dns=recorded("DNSConfig")), 80))
    assert lines[0].startswith("MagicDNS          on, names end with ")
    assert any("reverse zones → Tailscale's own resolver" in line for line in lines)
    assert len(lines) < 12
    assert not any(line.startswith("routes") and "arpa" in line for line in lines)


def test_every_part_of_a_dns_config_is_shown() -> None:
    """As in tailscale's dns_test.go and its command `dns status`: each part has a line that says what it is."""
    dns = {
        "Proxied": True,
        "Resolvers": [
            {"Addr": "https://dns.google/dns-query", "BootstrapResolution": ["8.8.8.8"]},
            {"Addr": "9.9.9.9", "UseWithExitNode": True},
        ],
        "Routes": {
            "corp.example.com": [{"Addr": "10.0.0.53"}, {"Addr": "10.0.0.54"}],
            "ts.net.": [],
            "x.": None,
        },
        "Domains": ["example.ts.net"],
        "FallbackResolvers": [{"Addr": "1.1.1.1"}],
        "Nameservers": ["8.8.4.4"],
        "CertDomains": ["vm.example.ts.net"],
        "ExtraRecords": [
            {"Name": "db.example.ts.net", "Value": "100.64.0.9"},
            {"Name": "db.example.ts.net", "Value": "fd7a::9"},
            {"Name": "t.example.ts.net", "Type": "TXT", "Value": "x"},
        ],
        "ExitNodeFilteredSet": [".internal"],
    }
    assert list(dns_lines(netmap(dns=dns), None)) == [
        "MagicDNS          on, names end with example.ts.net",
        "resolvers         https://dns.google/dns-query (at 8.8.8.8)",
        "                  9.9.9.9, with an exit node, too",
        "routes            corp.example.com → 10.0.0.53, 10.0.0.54",
        "                  ts.net. → Tailscale's own resolver (100.100.100.100)",
        "                  x. → Tailscale's own resolver (100.100.100.100)",
        "search domains    example.ts.net",
        "fallback          1.1.1.1",
        "nameservers       8.8.4.4",
        "certificates for  vm.example.ts.net",
        "extra records     db.example.ts.net A 100.64.0.9",
        "                  db.example.ts.net AAAA fd7a::9",
        "                  t.example.ts.net TXT x",
        "exit node refuses .internal",
    ]
    assert list(dns_lines(netmap(), None)) == [
        "The control server sets no DNS: names are looked up as this machine does anyway."
    ]
    assert list(dns_lines(netmap(dns={"Routes": {}}), None)) == list(
        dns_lines(netmap(dns={"Domains": []}), None)
    )


PEERS = (
    peer(
        stable_id="n1",
        name="web-1.example.ts.net",
        addresses=["100.64.0.1/32", "fd7a::1/128"],
        user_id=5,
        online=True,
    ),
    peer(stable_id="n2", name="db-1.example.ts.net", addresses=["100.64.0.2/32"], user_id=5, online=False),
    peer(stable_id="n3", name="twin-1.example.ts.net", addresses=["100.64.0.3/32"], user_id=9),
    peer(stable_id="n4", name="twin-2.example.ts.net", addresses=["100.64.0.3/32"], user_id=9),
)


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (
            {"SrcIPs": ["*"], "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}]},
            ["* → *:* (tcp, udp, icmp)"],
        ),
        # A node's addresses are one name, an address of two nodes is none, and ports of one place stand together.
        (
            {
                "SrcIPs": ["100.64.0.1", "fd7a::1/128", "100.64.0.3", "10.0.0.0/8"],
                "DstPorts": [
                    {"IP": "100.64.0.7", "Ports": {"First": 22, "Last": 22}},
                    {"IP": "100.64.0.7/32", "Ports": {"First": 8000, "Last": 8080}},
                    {"IP": "fd7a::/64", "Ports": {"First": 53, "Last": 53}},
                ],
                "IPProto": [6, 17, 99],
            },
            ["web-1, 100.64.0.3, 10.0.0.0/8 → vm:22,8000-8080, [fd7a::/64]:53 (tcp, udp, protocol 99)"],
        ),
        (
            {
                "SrcIPs": ["100.64.0.1"],
                "CapGrant": [
                    {
                        "Dsts": ["100.64.0.7/32"],
                        "Caps": ["cap/a"],
                        "CapMap": {"example.com/cap/b": [{"x": 1}], "c": None},
                    }
                ],
            },
            ["web-1 may use cap/a, example.com/cap/b (1 argument), c on vm"],
        ),
        (
            {
                "SrcIPs": ["1.2.3.4"],
                "DstPorts": [{"IP": "10.0.0.0", "Bits": 8, "Ports": {"First": 1, "Last": 2}}],
            },
            ["1.2.3.4 → 10.0.0.0/8:1-2 (tcp, udp, icmp)"],
        ),
        ({}, ["nobody → nothing (tcp, udp, icmp)"]),
    ],
)
def test_a_rule_of_the_packet_filter_is_a_sentence(rule: dict[str, Any], lines: list[str]) -> None:
    shown = list(filter_lines(netmap(*PEERS, packet_filter={"base": [rule]}), None))
    assert shown == [f"base 1  {line}" for line in lines]


def test_no_rules_let_nobody_in() -> None:
    for value in ({}, {"base": []}):
        assert list(filter_lines(netmap(packet_filter=value), 80)) == [
            "No rules: nobody may reach this node."
        ]


def test_a_filter_as_headscale_sends_it_is_told() -> None:
    assert list(filter_lines(netmap(packet_filter=recorded("PacketFilters")), 80)) == [
        "base 1  * → *:* (tcp, udp, icmp)"
    ]


def test_each_rule_that_tailscale_sent_is_a_sentence_without_gaps() -> None:
    """Every rule of the captures lets something through or grants something."""
    for capture in captures():
        for seen in capture["seen"].values():
            rules = seen["packet_filter_rules"] or []
            lines = list(filter_lines(netmap(packet_filter={"base": rules}), None))
            assert not any("nothing" in line for line in lines), capture["name"]
            assert {line.split()[1] for line in lines} == {
                str(n) for n in range(1, len(rules) + 1)
            } or not rules


def test_users_have_their_nodes_our_own_included_and_one_without_a_profile_is_not_lost() -> None:
    profiles = {5: UserProfile(5, "ann@example.com", "Ann"), 6: UserProfile(6, "bob@example.com", "")}
    shown = netmap(*PEERS, profiles=profiles)
    assert [" ".join(line.split()) for line in user_lines(shown, None)] == [
        "USER NAME NODES ONLINE THEIR NAMES",
        "ann@example.com Ann 2 1 db-1 web-1",
        "bob@example.com - 0 0 -",
        "(user 0) - 1 0 vm",
        "(user 9) - 2 0 twin-1 twin-2",
    ]
    assert [(one["login_name"], one["nodes"]) for one in users_json(shown)] == [
        ("ann@example.com", ["n2", "n1"]),
        ("bob@example.com", []),
        ("", ["n-own"]),
        ("", ["n3", "n4"]),
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(EVIL),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Proxied", "Resolvers", "Routes", "Domains", "ExtraRecords", "Addr", "SrcIPs", "DstPorts", "IP", "Bits",
             "Ports", "First", "Last", "IPProto", "CapGrant", "Dsts", "Caps", "CapMap", EVIL]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_whatever_a_server_sends_is_shown_and_obeyed_by_no_terminal(value: Any) -> None:
    shown = netmap(
        peer(name=EVIL, addresses=["100.64.0.1/32"]), dns=value, packet_filter={"base": [value], EVIL: value}
    )
    for line in (
        *dns_lines(shown, 40),
        *filter_lines(shown, 40),
        *filter_lines(netmap(packet_filter=value), 40),
    ):
        assert line.isprintable()


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """`asked(*words)`: what `netmap` says of a tailnet with a node that is called dns."""
    return _asking(snapshot(peer(stable_id="n9", name="dns.example.ts.net")), monkeypatch, capsys)


def _asking(
    known: Snapshot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    class Holding:
        def __init__(self, *_: object) -> None:
            self.store = self

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def snapshot(self) -> object:
            return known

        def wait_for_answer(self, _limit: float) -> bool:
            return True

    for kind in (LocalDaemon, RemoteDaemon):
        monkeypatch.setattr(kind, "subscriber", Holding)
        monkeypatch.setattr(kind, "require_running", lambda _: None)

    def ask(*words: str) -> tuple[str, str]:
        assert main(["netmap", *words]) == 0
        shown = capsys.readouterr()
        return shown.out, shown.err

    return ask


def test_a_node_that_is_called_like_a_part_is_shown_by_peer(asked: Callable[..., tuple[str, str]]) -> None:
    out, said = asked("dns")
    assert out.startswith("The control server sets no DNS")
    assert said == "a node is called dns, too: `netmap --peer dns` shows it\n"
    for words in (("--peer", "dns"), ("dns.example.ts.net",)):
        out, said = asked(*words)
        assert "stable_id      n9" in out
        assert said == ""
    out, said = asked("dns", "--json")
    assert json.loads(out) == {"state": "fresh", "age_s": 2.0, "epoch": 1, "seq": 1, "dns": None}
    assert said == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "`netmap-supervisor status` says what is missing"),
        (("--connect=tcp://127.0.0.1:1",), "`netmap-supervisor status` over there says what is missing"),
    ],
)
def test_a_netmap_that_never_came_is_asked_for_where_its_daemon_is(
    options: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = _asking(msgspec.structs.replace(snapshot(), state="none", age_s=None), monkeypatch, capsys)
    assert asked(*options)[1].endswith(f"; {said}\n")


@pytest.mark.parametrize("part", ["dns", "users", "filter"])
def test_each_part_is_what_its_schema_says(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for known in (snapshot(peer()), msgspec.structs.replace(snapshot(), netmap=recorded_netmap())):
        held(part, json.loads(_asking(known, monkeypatch, capsys)(part, "--json")[0]))


def test_the_table_is_chosen_and_sorted_and_says_when_nothing_is_left(
    asked: Callable[..., tuple[str, str]],
) -> None:
    assert "n9" in asked("--match", "dns")[0]
    assert "None of the 1 peers is chosen" in asked("--offline")[0]
    assert json.loads(asked("--json", "--tag", "web")[0])["peers"] == []
    assert len(json.loads(asked("--json", "--match", "n9")[0])["peers"]) == 1
