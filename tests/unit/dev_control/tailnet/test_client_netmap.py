"""`tailnet.client_netmap`: what a client is sent always adds up to the tailnet as it is."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.tailnet.churn import Churn, populate
from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.tailnet import TAGGED_USER, Aspect, Tailnet
from tests.support.netmaps.netmap_fold import Fold

if TYPE_CHECKING:
    from collections.abc import Callable

WALL = 1_800_000_000.0


def key(number: int) -> str:
    return f"nodekey:{number:064x}"


@pytest.fixture
def tailnet() -> Tailnet:
    made = Tailnet()
    for number in range(1, 4):
        made.add_node(
            f"peer-{number}", key=key(number), machine=f"mkey:{number:064x}", wall=WALL, online=True
        )
    made.add_node("me", key=key(99), machine="mkey:me", wall=WALL, real=True)
    made.take_changes()
    return made


def me(tailnet: Tailnet) -> int:
    return tailnet.find("me").node.id


def truth(tailnet: Tailnet) -> Fold:
    fold = Fold()
    fold.apply(json.loads(ClientNetmap(tailnet, me(tailnet)).full(WALL)))
    return fold


def assert_true(fold: Fold, tailnet: Tailnet) -> None:
    expected = truth(tailnet)
    assert fold.plain_peers() == expected.plain_peers()
    assert fold.aspects == expected.aspects
    assert fold.known_users() == expected.known_users()


def delta(viewer: ClientNetmap, tailnet: Tailnet) -> dict[str, Any] | None:
    viewer.mark(*tailnet.take_changes())
    made = viewer.delta(WALL)
    return None if made is None else json.loads(made)


def test_the_first_message_holds_what_headscale_sends(tailnet: Tailnet) -> None:
    first = json.loads(ClientNetmap(tailnet, me(tailnet)).full(WALL))
    assert list(first) == [
        "Node",
        "DERPMap",
        "DNSConfig",
        "Domain",
        "PacketFilters",
        "SSHPolicy",
        "UserProfiles",
        "Peers",
        "ControlTime",
    ]
    assert first["Node"]["Name"] == "me.dev.netmap.example."
    assert [peer["Name"].split(".")[0] for peer in first["Peers"]] == ["peer-1", "peer-2", "peer-3"]
    assert set(first["PacketFilters"]) == {"base"}
    assert "KeepAlive" not in first


def test_a_tailnet_without_peers_has_no_list_of_peers() -> None:
    tailnet = Tailnet()
    tailnet.add_node("me", key=key(1), machine="mkey:me", wall=WALL, real=True)
    assert "Peers" not in json.loads(ClientNetmap(tailnet, me(tailnet)).full(WALL))


EDITS: dict[str, tuple[Callable[[Tailnet, int], object], set[str]]] = {
    "online": (lambda it, one: it.set_online(one, False, WALL + 1), {"PeersChangedPatch"}),
    "endpoints": (lambda it, one: it.set_endpoints(one, ["192.0.2.1:1"]), {"PeersChangedPatch"}),
    "home relay": (lambda it, one: it.set_home_derp(one, 902), {"PeersChangedPatch"}),
    "key": (lambda it, one: it.rotate_key(one, key(500)), {"PeersChangedPatch"}),
    "expiry": (lambda it, one: it.set_expiry(one, WALL + 9, wall=WALL), {"PeersChangedPatch"}),
    "expired": (lambda it, one: it.set_expiry(one, WALL - 9, wall=WALL), {"PeersChanged"}),
    "name": (lambda it, one: it.rename(one, "other"), {"PeersChanged"}),
    "tags": (lambda it, one: it.set_tags(one, ["tag:x"]), {"PeersChanged", "UserProfiles"}),
    "routes": (lambda it, one: it.set_routes(one, ["10.0.0.0/8"]), {"PeersChanged"}),
    "capabilities": (lambda it, one: it.set_capabilities(one, ["x"]), {"PeersChangedPatch"}),
    "removed": (lambda it, one: it.remove_node(one), {"PeersRemoved"}),
    "dns": (lambda it, _: it.set_aspect(Aspect.DNS, b'{"Domains":["a.example"]}'), {"DNSConfig"}),
    "domain": (lambda it, _: it.set_aspect(Aspect.DOMAIN, b'"x.example"'), {"Domain"}),
    "user": (lambda it, _: it.rename_user("alice", "Alice B."), {"UserProfiles"}),
    "self": (lambda it, _: it.rename(me(it), "myself"), {"Node"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_each_edit_is_told_by_the_lightest_message(tailnet: Tailnet, name: str) -> None:
    edit, fields = EDITS[name]
    viewer, fold = ClientNetmap(tailnet, me(tailnet)), Fold()
    fold.apply(json.loads(viewer.full(WALL)))
    edit(tailnet, tailnet.find("peer-2").node.id)
    message = delta(viewer, tailnet)
    assert message is not None
    assert set(message) == fields | {"ControlTime"}
    fold.apply(message)
    if name == "self":
        return  # it is called something else now
    assert_true(fold, tailnet)


def test_a_cleared_key_expiry_is_told_as_gos_zero_time(tailnet: Tailnet) -> None:
    one = tailnet.find("peer-1").node.id
    tailnet.set_expiry(one, WALL + 60, wall=WALL)
    viewer = ClientNetmap(tailnet, me(tailnet))
    viewer.full(WALL)
    tailnet.set_expiry(one, None, wall=WALL)
    message = delta(viewer, tailnet)
    assert message is not None
    assert message["PeersChangedPatch"] == [{"NodeID": one, "KeyExpiry": "0001-01-01T00:00:00Z"}]


def test_a_new_home_relay_in_the_report_of_a_host_is_a_patch_and_latencies_are_nothing(
    tailnet: Tailnet,
) -> None:
    host: dict[str, Any] = {"OS": "linux", "NetInfo": {"PreferredDERP": 901}}
    one = tailnet.find("peer-1").node.id
    tailnet.set_hostinfo(one, host)
    viewer = ClientNetmap(tailnet, me(tailnet))
    viewer.full(WALL)
    tailnet.set_hostinfo(one, host | {"NetInfo": {"PreferredDERP": 902}})
    message = delta(viewer, tailnet)
    assert message is not None
    assert message["PeersChangedPatch"] == [{"NodeID": one, "DERPRegion": 902}]
    assert "PeersChanged" not in message
    tailnet.set_hostinfo(one, host | {"NetInfo": {"PreferredDERP": 902, "DERPLatency": {"902-v4": 0.1}}})
    assert delta(viewer, tailnet) is None
    tailnet.set_hostinfo(one, {"OS": "plan9"})
    message = delta(viewer, tailnet)
    assert message is not None
    assert [peer["Hostinfo"]["OS"] for peer in message["PeersChanged"]] == ["plan9"]


def test_an_edit_that_changes_nothing_is_not_told(tailnet: Tailnet) -> None:
    viewer = ClientNetmap(tailnet, me(tailnet))
    viewer.full(WALL)
    one = tailnet.find("peer-1").node.id
    tailnet.rename(one, "elsewhere")
    tailnet.rename(one, "peer-1")
    assert delta(viewer, tailnet) is None


def test_online_is_told_in_both_ways_that_are_in_use(tailnet: Tailnet) -> None:
    viewer = ClientNetmap(tailnet, me(tailnet))
    one = tailnet.find("peer-1").node.id
    ways = set()
    for _ in range(2):
        tailnet.set_online(one, False, WALL)
        viewer.full(WALL)
        tailnet.set_online(one, True, WALL)
        message = delta(viewer, tailnet)
        assert message is not None
        ways |= set(message)
    assert ways == {"OnlineChange", "PeersChangedPatch", "ControlTime"}


def test_last_seen_is_never_told_beside_online(tailnet: Tailnet) -> None:
    viewer = ClientNetmap(tailnet, me(tailnet))
    one = tailnet.find("peer-1").node.id

    def shown() -> dict[str, Any]:
        peers = json.loads(ClientNetmap(tailnet, me(tailnet)).full(WALL))["Peers"]
        return next(peer for peer in peers if peer["ID"] == one)

    viewer.full(WALL)
    ways = set()
    for number in range(1, 3):
        viewer.delta(WALL)  # of nothing, so that the two ways take turns
        tailnet.set_online(one, False, WALL + number)
        gone = delta(viewer, tailnet)
        assert gone is not None
        assert gone["PeersChangedPatch"] == [
            {"NodeID": one, "Online": False, "LastSeen": f"2027-01-15T08:00:0{number}.000000Z"}
        ]
        assert shown()["LastSeen"] == f"2027-01-15T08:00:0{number}.000000Z"
        tailnet.set_online(one, True, WALL)
        back = delta(viewer, tailnet)
        assert back is not None
        assert "LastSeen" not in json.dumps(back)
        ways |= set(back)
        assert "LastSeen" not in shown()
    assert ways == {"OnlineChange", "PeersChangedPatch", "ControlTime"}


def test_a_node_that_begins_offline_was_seen_when_it_was_made(tailnet: Tailnet) -> None:
    made = tailnet.add_node("asleep", key=key(800), machine="mkey:s", wall=WALL, online=False)
    assert made.node.last_seen == made.node.created
    made = tailnet.add_node("awake", key=key(801), machine="mkey:a", wall=WALL, online=True)
    assert made.node.last_seen is None


def test_the_last_peer_is_removed_by_name_even_in_a_full_message(tailnet: Tailnet) -> None:
    viewer = ClientNetmap(tailnet, me(tailnet))
    first = json.loads(viewer.full(WALL))
    for number in range(1, 4):
        tailnet.remove_node(tailnet.find(f"peer-{number}").node.id)
    again = json.loads(viewer.full(WALL))
    assert "Peers" not in again
    assert again["PeersRemoved"] == [peer["ID"] for peer in first["Peers"]]


def test_a_deleted_node_is_told_nothing_more(tailnet: Tailnet) -> None:
    viewer = ClientNetmap(tailnet, me(tailnet))
    viewer.full(WALL)
    tailnet.remove_node(me(tailnet))
    tailnet.rename(tailnet.find("peer-1").node.id, "other")
    assert delta(viewer, tailnet) is None


def test_an_address_may_change_hands_within_one_message(tailnet: Tailnet) -> None:
    viewer, fold = ClientNetmap(tailnet, me(tailnet)), Fold()
    fold.apply(json.loads(viewer.full(WALL)))
    gone = tailnet.find("peer-1").node
    tailnet.remove_node(gone.id)
    heir = tailnet.add_node("heir", key=key(700), machine="mkey:x", wall=WALL)
    assert heir.node.addresses == gone.addresses
    message = delta(viewer, tailnet)
    assert message is not None
    fold.apply(message)
    assert_true(fold, tailnet)


@given(seed=st.integers(0, 2**32), batches=st.lists(st.integers(0, 6), max_size=25), nodes=st.integers(0, 12))
def test_folding_what_is_told_gives_the_truth_after_every_message(
    seed: int, batches: list[int], nodes: int
) -> None:
    rng = random.Random(seed)
    tailnet = Tailnet()
    populate(tailnet, nodes, rng, WALL)
    tailnet.add_node("me", key=key(99), machine="mkey:me", wall=WALL, real=True)
    churn = Churn(tailnet, rng, rate=1.0, now=0.0, nodes=max(nodes, 1))
    viewer, fold = ClientNetmap(tailnet, me(tailnet)), Fold()
    fold.apply(json.loads(viewer.full(WALL)))
    for number, size in enumerate(batches):
        for _ in range(size):
            churn.step(WALL + number)
        if rng.random() < 0.1:
            tailnet.set_tags(me(tailnet), rng.choice([[], ["tag:me"]]))
        message = delta(viewer, tailnet)
        if message is not None:
            fold.apply(message)
        assert_true(fold, tailnet)
        assert TAGGED_USER not in fold.users or fold.users[TAGGED_USER]["LoginName"] == "tagged-devices"
