"""`tailnet.policy` and `tailnet.visibility`: who sees whom, packet filters, and what clients are sent."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.standalone import running_server
from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.policy import Policy, parse_policy
from netmap_actors.dev_control.tailnet.tailnet import Aspect, Tailnet, TailnetError
from tests.support.clients.control_client import joined
from tests.support.netmaps.netmap_fold import Fold
from tests.support.servers.policies import SOURCES, WALL, WORDS, add, filters, first, policy, rule

USERS = ("alice", "bob", "carol", "dave@example.com")
TAGS = ("tag:db", "tag:web")
NAMES = ("n0", "n1", "n2", "n3", "n4")
ROUTES = ("10.1.2.0/24", "10.2.0.0/16", "0.0.0.0/0")


def test_a_rule_connects_both_ways_and_lets_in_one_way() -> None:
    tailnet = Tailnet(policy=policy(rule(["alice@"], ["tag:db:5432,80-90"], proto="tcp")))
    user, database, other = add(tailnet, 1), add(tailnet, 2, tags=("tag:db",)), add(tailnet, 3, "carol")
    assert set(first(tailnet, user).peers) == {database}
    assert set(first(tailnet, database).peers) == {user}
    assert set(first(tailnet, other).peers) == set()
    assert filters(tailnet, user) == filters(tailnet, other) == []
    assert filters(tailnet, database) == [
        {
            "SrcIPs": ["100.64.0.1", "fd7a:115c:a1e0::1"],
            "DstPorts": [
                {"IP": address, "Ports": {"First": low, "Last": high}}
                for address in ("100.64.0.2", "fd7a:115c:a1e0::2")
                for low, high in ((5432, 5432), (80, 90))
            ],
            "IPProto": [6],
        }
    ]


@pytest.mark.parametrize(
    ("word", "held"),
    [
        ("*", {1, 2, 3, 4, 5}),
        ("alice@", {1}),
        ("carol@", {3}),
        ("dave@example.com", {5}),
        ("dave@", set()),
        ("user:*@example.com", {5}),
        ("user:*@example", set()),
        ("user:*@dev.netmap.example", {1, 2, 3}),
        ("bob@dev.netmap.example", {2}),
        ("group:ops", {1, 2}),
        ("group:empty", set()),
        ("tag:db", {4}),
        ("tag:web", set()),
        ("autogroup:member", {1, 2, 3, 5}),
        ("autogroup:members", {1, 2, 3, 5}),
        ("autogroup:tagged", {4}),
        ("autogroup:admin", {1}),
        ("autogroup:owner", {1}),
        ("autogroup:network-admin", set()),
        ("office", {3}),
        ("one", {1}),
        ("100.64.0.2", {2}),
        ("100.64.0.2/31", {2, 3}),
        ("[fd7a:115c:a1e0::4]", {4}),
        ("fd7a:115c:a1e0::/64", {1, 2, 3, 4, 5}),
        ("10.0.0.0/8", {3}),
        ("192.0.2.1", set()),
    ],
)
def test_each_kind_of_word_holds_its_nodes(word: str, held: set[int]) -> None:
    tailnet = Tailnet(policy=policy(rule([word], ["hub@:*"]), rule(["hub@"], [f"{word}:22"])))
    add(tailnet, 1)
    add(tailnet, 2, "bob")
    tailnet.set_routes(add(tailnet, 3, "carol"), ["10.1.2.0/24", "0.0.0.0/0"])
    add(tailnet, 4, tags=("tag:db",))
    add(tailnet, 5, "dave@example.com")
    hub = tailnet.add_node("n0", key="nodekey:0", machine="mkey:m", wall=WALL, user="hub").node.id
    assert set(first(tailnet, hub).peers) == held
    assert {number for number in (1, 2, 3, 4, 5) if filters(tailnet, number)} == held


def test_sources_by_address_are_let_in_whoever_has_them() -> None:
    tailnet = Tailnet(policy=policy(rule(["office", "192.0.2.0/24"], ["*:443"])))
    (made,) = filters(tailnet, add(tailnet, 1))
    assert made["SrcIPs"] == ["10.1.0.0/16", "192.0.2.0/24"]
    assert made["DstPorts"] == [{"IP": "*", "Ports": {"First": 443, "Last": 443}}]


def test_a_rule_whose_sources_nobody_is_lets_nobody_in() -> None:
    tailnet = Tailnet(policy=policy(rule(["group:empty", "tag:db"], ["*:*"])))
    assert filters(tailnet, add(tailnet, 1)) == []
    add(tailnet, 2, tags=("tag:db",))
    assert len(filters(tailnet, 1)) == 1


def test_without_acls_all_is_open_and_with_none_all_is_shut() -> None:
    is_open, is_shut = Tailnet(policy=parse_policy({})), Tailnet(policy=parse_policy({"acls": []}))
    for tailnet in (is_open, is_shut):
        add(tailnet, 1)
        add(tailnet, 2)
    assert set(first(is_open, 1).peers) == {2}
    assert json.loads(Tailnet().aspects[Aspect.PACKET_FILTER])["base"] == filters(is_open, 1)
    assert set(first(is_shut, 1).peers) == set()
    assert filters(is_shut, 1) == []


def test_a_grant_lets_in_by_protocol_and_grants_capabilities() -> None:
    granted = parse_policy(
        {
            **WORDS,
            "grants": [
                {"src": ["alice@"], "dst": ["tag:db"], "ip": ["tcp:443", "8000-8080", "tcp:5432", "icmp:*"]},
                {"src": ["bob@"], "dst": ["tag:db"], "app": {"example.com/cap/sql": [{"role": "reader"}]}},
            ],
        }
    )
    assert granted.ignored == ()
    tailnet = Tailnet(policy=granted)
    alice, bob, carol = add(tailnet, 1), add(tailnet, 2, "bob"), add(tailnet, 3, "carol")
    database = add(tailnet, 4, tags=("tag:db",))
    assert set(first(tailnet, database).peers) == {alice, bob}
    assert set(first(tailnet, carol).peers) == set()
    *let_in, capability = filters(tailnet, database)
    made = [
        (
            one["SrcIPs"][0],
            one.get("IPProto"),
            [tuple(place["Ports"].values()) for place in one["DstPorts"][: len(one["DstPorts"]) // 2]],
        )
        for one in let_in
    ]
    assert made == [
        ("100.64.0.1", [6], [(443, 443), (5432, 5432)]),
        ("100.64.0.1", None, [(8000, 8080)]),
        ("100.64.0.1", [1], [(0, 65535)]),
    ]
    assert capability == {
        "SrcIPs": ["100.64.0.2", "fd7a:115c:a1e0::2"],
        "CapGrant": [
            {
                "Dsts": ["100.64.0.4/32", "fd7a:115c:a1e0::4/128"],
                "CapMap": {"example.com/cap/sql": [{"role": "reader"}]},
            }
        ],
    }


def test_a_share_is_answered_by_the_capability_to_have_one() -> None:
    drive = {"tailscale.com/cap/drive": [{"shares": ["*"]}]}
    granted = parse_policy({**WORDS, "grants": [{"src": ["bob@"], "dst": ["tag:db"], "app": drive}]})
    tailnet = Tailnet(policy=granted)
    bob, database = add(tailnet, 1, "bob"), add(tailnet, 2, tags=("tag:db",))
    (there,), (back,) = filters(tailnet, database), filters(tailnet, bob)
    assert there["CapGrant"][0]["CapMap"] == drive
    assert back["SrcIPs"] == ["100.64.0.2", "fd7a:115c:a1e0::2"]
    assert back["CapGrant"][0]["CapMap"] == {"tailscale.com/cap/drive-sharer": None}


def test_self_leads_from_the_nodes_of_a_user_to_these_and_to_nothing_else() -> None:
    tailnet = Tailnet(policy=policy(rule(["autogroup:member"], ["autogroup:self:22", "tag:db:5432"])))
    one, two, other = add(tailnet, 1), add(tailnet, 2), add(tailnet, 3, "bob")
    database = add(tailnet, 4, tags=("tag:db",))
    assert set(first(tailnet, one).peers) == {two, database}
    assert set(first(tailnet, other).peers) == {database}
    (made,) = filters(tailnet, two)
    assert made["SrcIPs"] == ["100.64.0.1", "fd7a:115c:a1e0::1", "100.64.0.2", "fd7a:115c:a1e0::2"]
    assert [place["IP"] for place in made["DstPorts"]] == ["100.64.0.2", "fd7a:115c:a1e0::2"]
    tailnet.set_tags(two, ["tag:web"])
    assert set(first(tailnet, one).peers) == {database}
    assert filters(tailnet, one)[0]["SrcIPs"] == ["100.64.0.1", "fd7a:115c:a1e0::1"]


def allowed(tailnet: Tailnet, viewer: int, peer: int) -> set[str]:
    """The routes that a client of this node holds of a peer."""
    made = first(tailnet, viewer).peers[peer]
    return set(made["AllowedIPs"]) - set(made["Addresses"])


def test_a_route_is_shown_to_those_whom_a_rule_leads_through_it() -> None:
    rules = (
        rule(["alice@"], ["tag:web:22"]),
        rule(["bob@"], ["10.1.2.0/24:80"]),
        rule(["10.1.0.0/16"], ["carol@:9"]),
    )
    tailnet = Tailnet(policy=policy(*rules))
    alice, bob, carol = add(tailnet, 1), add(tailnet, 2, "bob"), add(tailnet, 3, "carol")
    router = add(tailnet, 4, tags=("tag:web",))
    tailnet.set_routes(router, ["10.1.0.0/16", "192.168.0.0/24", "0.0.0.0/0"])
    assert allowed(tailnet, alice, router) == set()
    assert allowed(tailnet, bob, router) == {"10.1.0.0/16"}
    assert allowed(tailnet, carol, router) == {"10.1.0.0/16"}
    assert first(tailnet, bob).peers[router]["PrimaryRoutes"] == ["10.1.0.0/16"]
    assert filters(tailnet, router)[1]["DstPorts"] == [
        {"IP": "10.1.2.0/24", "Ports": {"First": 80, "Last": 80}}
    ]
    tailnet.set_policy(policy(rule(["*"], ["*:*"])))
    assert allowed(tailnet, alice, router) == {"10.1.0.0/16", "192.168.0.0/24", "0.0.0.0/0"}
    assert filters(tailnet, alice)[0]["SrcIPs"] == [
        "100.64.0.0-100.115.91.255",
        "100.115.94.0-100.127.255.255",
        "fd7a:115c:a1e0::/48",
        "10.1.0.0/16",
        "192.168.0.0/24",
    ]


def test_the_internet_is_behind_exit_nodes_only() -> None:
    tailnet = Tailnet(policy=policy(rule(["alice@"], ["autogroup:internet:443"])))
    alice, bob, plain, way_out = (
        add(tailnet, 1),
        add(tailnet, 2, "bob"),
        add(tailnet, 3, "bob"),
        add(tailnet, 4, "bob"),
    )
    tailnet.set_routes(plain, ["10.0.0.0/8"])
    tailnet.set_routes(way_out, ["0.0.0.0/0", "::/0", "10.9.0.0/16"])
    assert set(first(tailnet, alice).peers) == {way_out}
    assert allowed(tailnet, alice, way_out) == {"0.0.0.0/0", "::/0"}
    assert set(first(tailnet, bob).peers) == set()
    (made,) = filters(tailnet, way_out)
    assert made["DstPorts"][0] == {"IP": "0.0.0.0-9.255.255.255", "Ports": {"First": 443, "Last": 443}}


def test_via_leads_through_the_routers_it_names() -> None:
    grant = {"src": ["alice@"], "dst": ["office"], "ip": ["*"], "via": ["tag:web"]}
    tailnet = Tailnet(policy=parse_policy({**WORDS, "grants": [grant]}))
    alice, through, other = (
        add(tailnet, 1),
        add(tailnet, 2, tags=("tag:web",)),
        add(tailnet, 3, tags=("tag:db",)),
    )
    tailnet.set_routes(through, ["10.1.2.0/24"])
    tailnet.set_routes(other, ["10.1.3.0/24"])
    assert set(first(tailnet, alice).peers) == {through}
    assert allowed(tailnet, alice, through) == {"10.1.2.0/24"}
    assert [place["IP"] for place in filters(tailnet, through)[0]["DstPorts"]] == ["10.1.0.0/16"]


def test_of_the_nodes_with_one_route_the_one_with_the_lowest_id_carries_it() -> None:
    tailnet = Tailnet(policy=policy(rule(["*"], ["*:*"])))
    alice, one, two = add(tailnet, 1), add(tailnet, 2), add(tailnet, 3)
    for router in (two, one):
        tailnet.set_routes(router, ["10.1.0.0/16", "::/0"])
    assert allowed(tailnet, alice, one) == {"10.1.0.0/16", "::/0"}
    assert allowed(tailnet, alice, two) == {"::/0"}
    tailnet.take_changes()
    tailnet.set_routes(one, [])
    assert sorted(tailnet.take_changes()[0]) == [one, two]
    assert allowed(tailnet, alice, two) == {"10.1.0.0/16", "::/0"}
    tailnet.set_routes(one, ["10.1.0.0/16"])
    assert allowed(tailnet, alice, two) == {"::/0"}
    tailnet.remove_node(one)
    assert allowed(tailnet, alice, two) == {"10.1.0.0/16", "::/0"}


def test_a_route_that_is_offered_is_approved_by_the_policy() -> None:
    approvers = {"routes": {"10.0.0.0/8": ["tag:web"], "0.0.0.0/0": ["tag:web"]}, "exitNode": ["alice@"]}
    tailnet = Tailnet(policy=policy(rule(["*"], ["*:*"]), autoApprovers=approvers))
    alice, router, other = add(tailnet, 1), add(tailnet, 2, tags=("tag:web",)), add(tailnet, 3, "bob")
    offer = {"RoutableIPs": ["10.1.0.0/16", "192.168.0.0/24", "0.0.0.0/0", "x", 5]}
    for node in (alice, router, other):
        tailnet.set_hostinfo(node, offer)
    assert allowed(tailnet, other, router) == {"10.1.0.0/16", "192.168.0.0/24"}
    assert allowed(tailnet, other, alice) == {"0.0.0.0/0"}
    assert allowed(tailnet, alice, other) == set()
    tailnet.set_policy(policy(rule(["*"], ["*:*"])))
    assert allowed(tailnet, other, router) == {"10.1.0.0/16", "192.168.0.0/24"}, "once approved, approved"
    tailnet.set_hostinfo(router, {"RoutableIPs": []})
    assert allowed(tailnet, other, router) == set()


def test_grants_and_acls_add_up_and_without_either_all_is_open() -> None:
    rules = [rule(["alice@"], ["tag:db:22"])]
    both = parse_policy({**WORDS, "acls": rules, "grants": [{"src": ["bob@"], "dst": ["*"], "ip": ["*"]}]})
    tailnet = Tailnet(policy=both)
    add(tailnet, 1)
    add(tailnet, 2, "bob")
    assert set(first(tailnet, 1).peers) == {2}
    assert parse_policy({"grants": []}).rules == ()


def test_another_policy_is_told_as_changes_of_the_old_one() -> None:
    tailnet = Tailnet(policy=policy(rule(["alice@"], ["bob@:22"])))
    alice, bob, carol = add(tailnet, 1), add(tailnet, 2, "bob"), add(tailnet, 3, "carol")
    tailnet.take_changes()
    viewer = ClientNetmap(tailnet, alice)
    viewer.full(WALL)

    def told(rules: Policy | None) -> dict[str, Any]:
        tailnet.set_policy(rules)
        viewer.mark(*tailnet.take_changes())
        return json.loads(viewer.delta(WALL) or b"{}")

    # The rules have the same numbers, but lead elsewhere.
    other = told(policy(rule(["carol@"], ["alice@:80"])))
    assert (other["PeersRemoved"], [peer["ID"] for peer in other["PeersChanged"]]) == ([bob], [carol])
    assert other["PacketFilters"]["base"][0]["SrcIPs"][0] == "100.64.0.3"
    none = told(None)
    assert [peer["ID"] for peer in none["PeersChanged"]] == [bob]
    assert none["PacketFilters"] == json.loads(Tailnet().aspects[Aspect.PACKET_FILTER])
    assert told(None).keys() <= {"PacketFilters", "ControlTime"}
    shut = told(policy())
    assert shut["PeersRemoved"] == [bob, carol]
    assert shut["PacketFilters"] == {"base": []}


def test_a_tag_that_changes_brings_peers_and_takes_them() -> None:
    tailnet = Tailnet(policy=policy(rule(["alice@"], ["tag:db:*"])))
    user, other = add(tailnet, 1), add(tailnet, 2, "carol")
    tailnet.take_changes()
    viewer, mirror = ClientNetmap(tailnet, user), ClientNetmap(tailnet, other)
    viewer.full(WALL)
    mirror.full(WALL)

    def told(whom: ClientNetmap) -> dict[str, Any]:
        whom.mark([other], [])
        return json.loads(whom.delta(WALL) or b"{}")

    tailnet.set_tags(other, ["tag:db"])
    appeared, own = told(viewer), told(mirror)
    assert [peer["ID"] for peer in appeared["PeersChanged"]] == [other]
    assert [peer["ID"] for peer in own["PeersChanged"]] == [user]
    assert own["PacketFilters"]["base"][0]["SrcIPs"][0] == "100.64.0.1"
    assert "PacketFilters" not in appeared
    tailnet.set_tags(other, [])
    gone, own = told(viewer), told(mirror)
    assert gone["PeersRemoved"] == [other]
    assert own["PeersRemoved"] == [user]
    assert own["PacketFilters"] == {"base": []}


def test_the_filters_of_a_policy_cannot_be_replaced_by_hand() -> None:
    with pytest.raises(TailnetError, match="the policy makes those"):
        Tailnet(policy=policy()).set_aspect(Aspect.PACKET_FILTER, b"{}")


# After any edits a client holds what a fresh map would say, and that is what the policy says.

_rules = st.lists(
    st.builds(
        rule,
        st.lists(st.sampled_from(SOURCES), min_size=1, max_size=3),
        st.lists(st.sampled_from(SOURCES).map(lambda word: f"{word}:443"), min_size=1, max_size=3),
    ),
    max_size=5,
)
_edits = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(USERS), st.sampled_from([(), *[(tag,) for tag in TAGS]])),
        st.tuples(st.just("remove"), st.integers(0, 9)),
        st.tuples(st.just("tags"), st.integers(0, 9), st.lists(st.sampled_from(TAGS), max_size=2)),
        st.tuples(
            st.just("routes"), st.integers(0, 9), st.lists(st.sampled_from(ROUTES), max_size=2, unique=True)
        ),
        st.tuples(st.just("rename"), st.integers(0, 9), st.sampled_from(NAMES)),
        st.tuples(st.just("online"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("policy"), st.one_of(st.none(), _rules)),
        st.tuples(st.just("tell")),
    ),
    max_size=25,
)


@given(acls=_rules, edits=_edits)
def test_what_a_client_holds_after_any_edits_is_what_a_fresh_map_says(
    acls: list[dict[str, Any]], edits: list[tuple[Any, ...]]
) -> None:
    tailnet = Tailnet(policy=policy(*acls))
    watched = [add(tailnet, 1), add(tailnet, 2, "bob", ("tag:web",))]
    tailnet.take_changes()
    clients = [(node_id, ClientNetmap(tailnet, node_id), Fold()) for node_id in watched]
    for _, viewer, fold in clients:
        fold.apply(json.loads(viewer.full(WALL)))
    for number, edit in enumerate([*edits, ("tell",)], start=3):
        _make(tailnet, edit, number, set(watched))
        if edit[0] == "policy":
            acls = [rule(["*"], ["*:*"])] if edit[1] is None else edit[1]
        if edit[0] != "tell":
            continue
        nodes, aspects = tailnet.take_changes()
        for node_id, viewer, fold in clients:
            viewer.mark(nodes, aspects)
            told = viewer.delta(WALL)
            if told is not None:
                fold.apply(json.loads(told))
            truth = first(rebuilt(tailnet), node_id)
            assert fold.plain_peers() == truth.plain_peers()
            assert fold.aspects == truth.aspects
            assert set(fold.peers) == seen_by_the_words(tailnet, acls, node_id)


def rebuilt(tailnet: Tailnet) -> Tailnet:
    """The same nodes in a tailnet without a history."""
    made = Tailnet(policy=tailnet.policy)
    made.users.update(tailnet.users)
    for _, entry in sorted(tailnet.entries.items()):
        made.restore(entry)
    return made


def _make(tailnet: Tailnet, edit: tuple[Any, ...], number: int, watched: set[int]) -> None:
    what, *given_ = edit
    if what == "tell":
        return
    if what == "policy":
        tailnet.set_policy(None if given_[0] is None else policy(*given_[0]))
        return
    if what == "add":
        add(tailnet, number, given_[0], given_[1])
        return
    chosen = list(tailnet.entries)[given_[0] % len(tailnet.entries)]
    if what == "remove" and chosen not in watched:
        tailnet.remove_node(chosen)
    elif what == "tags":
        tailnet.set_tags(chosen, given_[1])
    elif what == "routes":
        tailnet.set_routes(chosen, given_[1])
    elif what == "rename":
        tailnet.rename(chosen, given_[1])
    elif what == "online":
        tailnet.set_online(chosen, given_[1], WALL)


def seen_by_the_words(tailnet: Tailnet, acls: list[dict[str, Any]], node_id: int) -> set[int]:
    """The peers of a node, read off the rules one by one."""
    seen = set()
    for other in tailnet.entries:
        for one in acls:
            for source, target in ((node_id, other), (other, node_id)):
                into = any(means(tailnet, word.rpartition(":")[0], target) for word in one["dst"])
                if other != node_id and into and any(means(tailnet, word, source) for word in one["src"]):
                    seen.add(other)
    return seen


def means(tailnet: Tailnet, word: str, node_id: int) -> bool:
    entry = tailnet.entries[node_id]
    login = "" if entry.node.tags else tailnet.users[entry.owner].login_name
    address = WORDS["hosts"].get(word, word)
    try:
        wanted = ipaddress.ip_network(address)
    except ValueError:
        meanings = {
            "*": True,
            "autogroup:member": not entry.node.tags,
            "autogroup:tagged": bool(entry.node.tags),
            "autogroup:admin": login == tailnet.users[1].login_name,
            "group:ops": login in ("alice", "bob"),
            "group:empty": False,
            "user:*@example.com": login.endswith("@example.com"),
        }
        return meanings.get(word, word in entry.node.tags or word.removesuffix("@") == login)
    own = [ipaddress.ip_network(text) for text in (*entry.node.addresses, *entry.routes)]
    return any(one.prefixlen and one.version == wanted.version and one.overlaps(wanted) for one in own)  # type: ignore[arg-type]


def test_clients_see_each_other_as_the_policy_has_it() -> None:
    rules = {**WORDS, "acls": [rule(["alice@"], ["tag:db:*"])]}
    with running_server(policy=rules, batch_delay=0.005) as server:
        user, stream = joined(server, "user")
        assert "Peers" not in stream.messages[0]
        key = server.call(lambda it: it.add_auth_key(tags=["tag:db"]))
        server.auth_key = key
        database, held = joined(server, "database")
        user.wait(lambda: any("database" in json.dumps(message) for message in stream.messages))
        assert [peer["Name"].split(".")[0] for peer in held.messages[0]["Peers"]] == ["user"]
        assert held.messages[0]["PacketFilters"]["base"][0]["SrcIPs"][0] == "100.64.0.1"
        for change, told in (
            (lambda: server.tailnet.set_policy({"acls": []}), "PeersRemoved"),
            (lambda: server.tailnet.set_policy(rules), "PeersChanged"),
            (lambda: server.tailnet.set_tags("database", []), "PeersRemoved"),
        ):
            before, shut = len(stream.messages), len(held.messages)
            change()
            user.told(stream, lambda message, told=told: told in message, before)
        database.told(held, lambda message: message.get("PacketFilters") == {"base": []}, shut)
        user.close()
        database.close()
