"""The netmap in the formats of other programs: what they may hold, and what no name can make them hold."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exports import hosts, netmap_json, prometheus_sd
from netmap_actors.exports.host_names import host_name
from netmap_actors.exports.nodes import node_addresses
from netmap_actors.subscriber import Netmap, Snapshot, UserProfile
from netmap_actors.subscriber.netmap_view import Contents
from tests.support.netmaps.shown_netmap import EVIL, peer


def netmap_of(*peers: dict[str, Any], own: dict[str, Any] | None = None, domain: str = "x") -> Netmap:
    """A netmap of these nodes; ids and addresses are given out where a node names none."""
    contents = Contents()
    contents.domain = domain
    contents.profiles = {7: UserProfile(id=7, login_name="ann@example.com")}
    for number, fields in enumerate(peers, 1):
        given = {"stable_id": f"n{number}", "addresses": [f"100.64.0.{number}/32"]} | fields
        contents.upsert(given["stable_id"], peer(**given)._piece)
    if own is not None:
        contents.self_node = peer(**({"stable_id": "self", "addresses": ["100.64.1.1/32"]} | own))._piece
    return Netmap(contents)


def entries(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


def written(*peers: dict[str, Any], **more: Any) -> list[str]:
    """The lines of a hosts file that are no comments."""
    return entries(hosts.text(netmap_of(*peers), state="fresh", **more))


# Hosts


def test_each_address_of_each_node_is_a_line_with_its_names() -> None:
    netmap = netmap_of(
        {"name": "web.tail.net", "addresses": ["fd7a:0::2/128", "100.64.0.20/32", "100.64.0.3/32"]},
        {"name": "DB.tail.net"},
        own={"name": "me.tail.net"},
        domain="tail.net",
    )
    text = hosts.text(netmap, state="fresh")
    assert entries(text) == [
        "100.64.0.2\tdb.tail.net db",
        "100.64.0.3\tweb.tail.net web",
        "100.64.0.20\tweb.tail.net web",
        "fd7a::2\tweb.tail.net web",
    ]
    for part in ("tail.net", "State: fresh", "Nodes: 2"):
        assert part in comments(text)
    assert "STALE" not in text
    assert "Left out" not in text


@pytest.mark.parametrize(("state", "said"), [("stale", "STALE"), ("none", "NO NETMAP"), ("later", "STALE")])
def test_a_list_that_is_not_current_says_so(state: str, said: str) -> None:
    text = hosts.text(netmap_of({"name": "a.x"}), state=state)
    assert said in comments(text)
    assert bool(entries(text)) == (state != "none")


def test_the_order_of_arrival_does_not_show() -> None:
    nodes = [
        {"stable_id": f"n{n}", "name": f"{n}-a.x", "addresses": [f"100.64.0.{n}/32"]} for n in range(1, 9)
    ]
    there, back = netmap_of(*nodes), netmap_of(*reversed(nodes))
    assert hosts.text(there, state="fresh") == hosts.text(back, state="fresh")
    groups = (prometheus_sd.target_groups(netmap, state="fresh", port=1) for netmap in (there, back))
    assert len({prometheus_sd.text(one) for one in groups}) == 1
    said: dict[str, Any] = {"state": "fresh", "age_s": 1.0, "epoch": 1, "seq": 1}
    assert netmap_json.json_object(Snapshot(netmap=there, **said)) == netmap_json.json_object(
        Snapshot(netmap=back, **said)
    )


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (["web.x", "db.x"], ["db.x db", "web.x web"]),
        (["web.x", "db.web.x"], ["db.web.x", "web.x web"]),
        (["web.x", "web.db.x"], ["web.db.x", "web.x web"]),
        (["web.x", "WEB.X"], []),
        (["web.x", "web.x", "db.x"], ["db.x db"]),
        (["localhost.x"], ["localhost.x"]),
        (["7.x"], ["7.x"]),
        (["0x7f000001.x"], ["0x7f000001.x"]),
    ],
)
def test_a_name_is_written_where_it_can_mean_one_node_only(names: list[str], lines: list[str]) -> None:
    assert [line.partition("\t")[2] for line in written(*({"name": name} for name in names))] == lines


@pytest.mark.parametrize("other", [{"expired": True}, {"tags": ["tag:db"]}, {"online": False}])
def test_a_node_that_is_not_written_keeps_its_name_from_the_others(other: dict[str, Any]) -> None:
    netmap = netmap_of(
        {"name": "web.x", "tags": ["tag:web"], "online": True},
        {"name": "db.x", "tags": ["tag:web"], "online": True},
        {"name": "web.x", "online": True} | other,
    )
    text = hosts.text(netmap, state="fresh", tags=["web"], online_only=True)
    assert entries(text) == ["100.64.0.2\tdb.x db"]


def test_a_node_that_cannot_be_read_keeps_nothing_from_anybody() -> None:
    assert written({"name": "web.x"}, {"name": "web.x", "decoded": False}) == ["100.64.0.1\tweb.x web"]


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "a.", ".a", "a..b", "-a.x", "a-.x", "a_b.x", "a b.x", "a\tb.x", "a\nb.x", "a.x\n", "a.x\r", "a#b.x",
        "a\x00b.x", "é.x", "\u212a.x", "a\u2028b.x", "a\u3002b", "x" * 64, ".".join(["a" * 49] * 6), "localhost",
        "LOCALHOST", "a.localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "a.1", "a.0x7f", EVIL,
    ],
)  # fmt: skip
def test_what_is_no_host_name_or_this_machines_own_is_left_out_and_counted(name: str) -> None:
    text = hosts.text(netmap_of({"name": name}, {"name": "ok.x"}), state="fresh")
    assert entries(text) == ["100.64.0.2\tok.x ok"]
    assert "Left out: 1 without a valid host name." in text


@pytest.mark.parametrize(
    "name", ["a", "a.x", "1a.x", "a-b.x", "x" * 63, ".".join(["a" * 50] * 4 + ["b" * 49])]
)
def test_what_is_a_host_name_is_taken(name: str) -> None:
    assert host_name(name) == name


def test_what_is_left_out_is_counted_by_reason() -> None:
    text = hosts.text(
        netmap_of(
            {"name": "a.x"},
            {"name": "b.x", "expired": True},
            {"name": "c.x", "decoded": False},
            {"name": "d.x", "addresses": ["junk/32"]},
            {"name": "e.x"},
            {"name": "e.x"},
            {"name": "no name"},
        ),
        state="fresh",
    )
    assert entries(text) == ["100.64.0.1\ta.x a"]
    for part in (
        "Nodes: 1.",
        "1 unreadable",
        "1 expired",
        "1 without a valid address",
        "2 with a name that another node has",
        "1 without a valid host name",
    ):
        assert part in comments(text)


def test_a_choice_is_by_tag_and_by_what_the_server_says_of_being_online() -> None:
    nodes: list[dict[str, Any]] = [
        {"name": "a.x", "tags": ["tag:web"], "online": True},
        {"name": "b.x", "tags": ["tag:web", "tag:db"], "online": False},
        {"name": "c.x", "tags": ["tag:db"]},
        {"name": "d.x", "online": True},
    ]

    def names(**choice: Any) -> str:
        return "".join(line.split()[-1] for line in written(*nodes, **choice))

    assert names() == "abcd"
    assert names(tags=["tag:web"]) == names(tags=["web"]) == "ab"
    assert names(tags=["web", "tag:db"]) == "abc"
    assert names(online_only=True) == "ad"
    assert names(tags=["db"], online_only=True) == ""
    assert "Nodes: 2 of those asked for." in hosts.text(netmap_of(*nodes), state="fresh", tags=["web"])


def test_the_name_of_the_tailnet_stays_within_its_comment() -> None:
    text = hosts.text(netmap_of(domain="x\n127.0.0.1 bank.example\n"), state="fresh")
    assert entries(text) == []


# Addresses


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["fd7a:0::1/128", "100.64.0.10/32", "100.64.0.9/32"], ["100.64.0.9", "100.64.0.10", "fd7a::1"]),
        (["100.64.0.1/32", "100.64.0.1/32", "100.64.0.1"], ["100.64.0.1"]),
        (["127.0.0.1/32", "::1/128", "0.0.0.0/32", "::/128", "224.0.0.1/32", "255.255.255.255/32"], []),
        (["0.0.0.1/32", "127.255.0.1/32", "240.0.0.1/32"], []),
        (["::ffff:127.0.0.1/128", "::127.0.0.1/128", "ff02::1/128", "fe80::1/128", "fe00::1/128"], []),
        (["1.0.0.1/32", "223.0.0.1/32", "10.0.0.1/32"], ["1.0.0.1", "10.0.0.1", "223.0.0.1"]),
        (["fc00::1/128", "2001:db8::1/128", "3fff::1/128"], ["2001:db8::1", "3fff::1", "fc00::1"]),
        (["fe80::1%a\n127.0.0.1 bank.example/128", "100.64.0.1 x/32", "", "0x7f000001/32", "1/32"], []),
    ],
)
def test_addresses_have_one_form_and_lead_to_a_node(given: list[str], kept: list[str]) -> None:
    assert node_addresses(peer(addresses=given)) == kept


# Prometheus


def test_a_target_has_an_address_a_port_and_labels() -> None:
    node = {
        "name": "web.tail.net",
        "addresses": ["fd7a::1/128", "100.64.0.2/32"],
        "tags": ["tag:a", "tag:b"],
        "routes": ["10.0.0.0/8"],
        "online": True,
        "user_id": 7,
        "os": "linux",
        "hostname": "web",
    }
    (group,) = prometheus_sd.target_groups(netmap_of(node, domain="tail.net"), state="stale", port=9100)
    assert group == {
        "targets": ["100.64.0.2:9100"],
        "labels": {
            "__meta_netmap_name": "web.tail.net",
            "__meta_netmap_short_name": "web",
            "__meta_netmap_stable_id": "n1",
            "__meta_netmap_address": "100.64.0.2",
            "__meta_netmap_addresses": ",100.64.0.2,fd7a::1,",
            "__meta_netmap_tags": ",tag:a,tag:b,",
            "__meta_netmap_routes": ",10.0.0.0/8,",
            "__meta_netmap_online": "true",
            "__meta_netmap_expired": "false",
            "__meta_netmap_user": "ann@example.com",
            "__meta_netmap_shared_in": "false",
            "__meta_netmap_sharer": "",
            "__meta_netmap_jailed": "false",
            "__meta_netmap_wireguard_only": "false",
            "__meta_netmap_os": "linux",
            "__meta_netmap_hostname": "web",
            "__meta_netmap_domain": "tail.net",
            "__meta_netmap_tailnet": "default",
            "__meta_netmap_self": "false",
            "__meta_netmap_state": "stale",
            "__meta_tailscale_api": "localhost",
            "__meta_tailscale_device_authorized": "true",
            "__meta_tailscale_device_hostname": "web",
            "__meta_tailscale_device_id": "n1",
            "__meta_tailscale_device_name": "web.tail.net",
            "__meta_tailscale_device_online": "true",
            "__meta_tailscale_device_os": "linux",
            "__meta_tailscale_device_tag_a": "1",
            "__meta_tailscale_device_tag_b": "1",
            "__meta_tailscale_tailnet": "tail.net",
        },
    }


@pytest.mark.parametrize(
    ("tag", "label"),
    [
        # What tailscalesd's own tests say.
        ("", "EMPTY"),
        ("tag:", "EMPTY"),
        ("tag:foo", "foo"),
        ("tag:foo-bar", "foo_bar"),
        ("tag:foo_bar", "foo_bar"),
        ("tag:foo:1234", "foo_1234"),
        ("tag:camelCase", "camelcase"),
        # Where it makes a label that Prometheus refuses, there is none.
        ("tag:ж", None),
        ("tag:a b", None),
        ("tag:a.b", None),
        ("tag:a\n", None),
        ("x,tag:web", None),
    ],
)
def test_a_tag_is_a_label_as_in_tailscalesd(tag: str, label: str | None) -> None:
    (group,) = prometheus_sd.target_groups(netmap_of({"name": "a.x", "tags": [tag]}), state="fresh", port=1)
    prefix = "__meta_tailscale_device_tag_"
    found = {name.removeprefix(prefix): v for name, v in group["labels"].items() if name.startswith(prefix)}
    assert found == ({} if label is None else {label: "1"})


def test_what_is_not_known_is_no_label_of_tailscalesds() -> None:
    (group,) = prometheus_sd.target_groups(netmap_of({"name": "a.x"}, domain=""), state="fresh", port=1)
    theirs = {name for name in group["labels"] if name.startswith("__meta_tailscale_")}
    known = ("api", "device_authorized", "device_id", "device_name")
    assert theirs == {f"__meta_tailscale_{name}" for name in known}


@pytest.mark.parametrize(
    ("addresses", "port", "target"),
    [
        (["100.64.0.1/32"], None, "100.64.0.1"),
        (["100.64.0.1/32"], 80, "100.64.0.1:80"),
        (["fd7a::1/128"], None, "[fd7a::1]"),
        (["fd7a::1/128"], 80, "[fd7a::1]:80"),
        (["fd7a::1/128", "100.64.0.1/32"], 80, "100.64.0.1:80"),
    ],
)
def test_a_target_prefers_ipv4_and_has_brackets_around_ipv6(
    addresses: list[str], port: int | None, target: str
) -> None:
    groups = prometheus_sd.target_groups(netmap_of({"addresses": addresses}), state="fresh", port=port)
    assert [group["targets"] for group in groups] == [[target]]


def test_targets_are_all_nodes_that_can_be_read_and_reached_and_tell_what_is_known_of_them() -> None:
    groups = list(
        prometheus_sd.target_groups(
            netmap_of(
                {"name": "a.x", "online": False},
                {"name": "b.x", "expired": True},
                {"name": "c.x", "decoded": False},
                {"name": "d.x", "addresses": ["junk"]},
                own={"name": "me.x", "online": True},
            ),
            state="fresh",
            port=1,
            include_self=True,
        )
    )
    shown = [
        tuple(
            group["labels"][f"__meta_netmap_{name}"] for name in ("short_name", "online", "expired", "self")
        )
        for group in groups
    ]
    assert shown == [
        ("a", "false", "false", "false"),
        ("b", "unknown", "true", "false"),
        ("me", "true", "false", "true"),
    ]
    empty = groups[0]["labels"]
    assert empty["__meta_netmap_tags"] == empty["__meta_netmap_routes"] == empty["__meta_netmap_user"] == ""


def test_the_targets_file_is_the_list() -> None:
    netmap = netmap_of({"name": "a.x", "tags": ["tag:a"]}, {"name": "b.x"})
    choice: dict[str, Any] = {"state": "fresh", "port": 9100, "tags": ["a"]}
    groups = list(prometheus_sd.target_groups(netmap, **choice))
    text = prometheus_sd.text(groups)
    assert json.loads(text) == groups
    assert len(json.loads(text)) == 1
    assert text.endswith("]\n")
    assert prometheus_sd.text([]) == "[]\n"
    assert list(prometheus_sd.target_groups(netmap_of(), state="fresh", port=None)) == []


# JSON


def test_the_document_is_the_netmap_and_what_is_known_about_it() -> None:
    netmap = netmap_of({"name": "b.x"}, {"name": "a.x", "tags": ["tag:a"]}, own={"name": "me.x"})
    said: dict[str, Any] = {"state": "stale", "age_s": 2.5, "epoch": 3, "seq": 4}
    snapshot = Snapshot(netmap=netmap, **said)
    shown = netmap_json.json_object(snapshot)
    assert {name: shown[name] for name in said} == said
    assert [one["name"] for one in shown["peers"]] == ["a.x", "b.x"]
    expected = netmap.to_json()
    expected["peers"].reverse()
    assert shown == said | expected
    chosen = netmap_json.json_object(snapshot, tags=["a"])
    assert [one["name"] for one in chosen["peers"]] == ["a.x"]
    assert chosen["self"] == shown["self"]
    assert netmap_json.json_object(snapshot, online_only=True)["peers"] == []
    assert json.loads(netmap_json.text(shown)) == json.loads(json.dumps(shown))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (b'{"age_s":1,"seq":1}\n', b'{"age_s":2.5,"seq":1}\n', True),
        (b'{"age_s":1,"seq":1}', b'{"age_s":1,"seq":2}', False),
        (b"", b'{"age_s":1}', False),
        (b"[1]", b"[1]", True),
        (b"[1]", b"[2]", False),
        (b'{"age_s":1', b'{"age_s":1}', False),
        (b"\xff", b'{"age_s":1}', False),
    ],
)
def test_another_age_alone_is_no_change(old: bytes, new: bytes, same: bool) -> None:
    assert netmap_json.same(old, new) is same


# Whatever the control server says

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=80) | st.sampled_from(
    [
        "web.x",
        "web.y",
        "WEB.x",
        "localhost",
        "a\n1.2.3.4 b",
        "a b",
        "100.64.0.1",
        EVIL,
        "a" * 64,
        "x.",
        "\u212a.x",
    ]
)
addresses = st.one_of(
    st.ip_addresses().map(str),
    st.sampled_from(["100.64.0.1", "fd7a::1", "fe80::1%\n0.0.0.0 x", "127.0.0.1", "junk"]),
    words,
).map(lambda text: f"{text}/32")
nodes = st.fixed_dictionaries(
    {
        "name": words,
        "addresses": st.lists(addresses, max_size=3),
        "tags": st.lists(words, max_size=2),
        "routes": st.lists(words, max_size=2),
        "online": st.sampled_from([None, True, False]),
        "expired": st.booleans(),
        "decoded": st.booleans(),
        "os": words,
        "hostname": words,
        "user_id": st.sampled_from([0, 7]),
    }
)
netmaps = st.builds(
    lambda peers, own, domain: netmap_of(*peers, own=own, domain=domain),
    st.lists(nodes, max_size=5),
    st.none() | nodes,
    words,
)
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


@given(netmaps, st.sampled_from(["none", "fresh", "stale"]))
def test_every_line_of_a_hosts_file_is_a_comment_or_an_address_and_valid_names(
    netmap: Netmap, state: str
) -> None:
    text = hosts.text(netmap, state=state)
    assert text == hosts.text(netmap, state=state)
    meant: dict[str, str] = {}
    lines = text.splitlines()
    assert "".join(f"{line}\n" for line in lines) == text, "no other line breaks than ours"
    for line in lines:
        if line.startswith("# "):
            assert line.isprintable()
            continue
        address, names = line.split("\t")
        assert str(ipaddress.ip_address(address)) == address
        first, *short = names.split(" ")
        suffix = netmap.own_suffix
        for name in (first, *short):
            assert len(name) <= 253
            assert all(LABEL.fullmatch(label) for label in name.split(".")), name
            assert name.rpartition(".")[2] != "localhost"
            assert meant.setdefault(name, first) == first, "a name means one node"
            assert name.endswith(f".{suffix}") or "." not in name
        assert short in ([], [first.removesuffix(f".{suffix}")])
    if state != "none":
        named = {line.split()[1] for line in entries(text)}
        assert f"Nodes: {len(named)}." in comments(text)


@given(netmaps, st.none() | st.integers(1, 65535), st.booleans())
def test_prometheus_takes_every_list(netmap: Netmap, port: int | None, online_only: bool) -> None:
    found = prometheus_sd.target_groups(netmap, state="fresh", port=port, online_only=online_only)
    groups = json.loads(prometheus_sd.text(found).encode())
    ids = [group["labels"]["__meta_netmap_stable_id"] for group in groups]
    assert len(ids) == len(set(ids))
    for group in groups:
        assert set(group) == {"targets", "labels"}
        (target,) = group["targets"]
        host = target if port is None else target.removesuffix(f":{port}")
        assert target == (host if port is None else f"{host}:{port}")
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        assert (address.version == 6) == (host.startswith("[") and host.endswith("]"))
        for name, value in group["labels"].items():
            assert re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name)
            assert name.startswith(("__meta_netmap_", "__meta_tailscale_"))
            assert value or name.startswith("__meta_netmap_"), "tailscalesd has no empty labels"
            assert isinstance(value, str)
            assert value.encode().decode() == value
        for name in ("addresses", "tags", "routes"):
            value = group["labels"][f"__meta_netmap_{name}"]
            assert value == "" or (value[0] == value[-1] == "," and len(value) > 1)
        assert group["labels"]["__meta_netmap_online"] in {"true", "false", "unknown"}
        if online_only:
            assert group["labels"]["__meta_netmap_online"] == "true"
