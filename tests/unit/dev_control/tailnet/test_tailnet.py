"""`tailnet.tailnet` and `tailnet.churn`: names, addresses, keys, and changes from a seed."""

from __future__ import annotations

import ipaddress
import json
import random

import pytest

from netmap_actors.dev_control.tailnet.addresses import addresses_at, registered_places, simulated_places
from netmap_actors.dev_control.tailnet.churn import Churn, populate
from netmap_actors.dev_control.tailnet.tailnet import (
    FIRST_SIMULATED_ID,
    TAGGED_USER,
    Aspect,
    Tailnet,
    TailnetError,
)

WALL = 1_800_000_000.0


def add(tailnet: Tailnet, name: str, number: int, **fields: object) -> int:
    entry = tailnet.add_node(name, key=f"nodekey:{number:064x}", machine="mkey:m", wall=WALL, **fields)  # type: ignore[arg-type]
    return entry.node.id


@pytest.mark.parametrize(
    ("given", "labels"),
    [
        (["web", "web", "web"], ["web", "web-1", "web-2"]),
        (["Web Server.example.com"], ["web-server"]),
        (["", "日本", "---"], ["node", "node-1", "node-2"]),
        (["x" * 80, "x" * 80], ["x" * 63, "x" * 55 + "-1"]),
        (["a\x1b[31mb"], ["a-31mb"]),
    ],
)
def test_names_are_labels_and_unique(given: list[str], labels: list[str]) -> None:
    tailnet = Tailnet()
    made = [tailnet.entries[add(tailnet, name, number)].label for number, name in enumerate(given)]
    assert made == labels


def test_registered_and_simulated_nodes_never_share_ids_or_addresses() -> None:
    tailnet = Tailnet()
    simulated = tailnet.entries[add(tailnet, "a", 1)].node
    registered = tailnet.entries[add(tailnet, "b", 2, real=True)].node
    assert registered.id == 1
    assert registered.addresses == ("100.64.0.1/32", "fd7a:115c:a1e0::1/128")
    assert simulated.id == FIRST_SIMULATED_ID
    assert simulated.addresses == ("100.64.64.0/32", "fd7a:115c:a1e0::4000/128")


def test_all_addresses_of_a_large_tailnet_differ_and_spare_magic_dns() -> None:
    tailnet = Tailnet()
    seen: set[str] = set()
    rng = random.Random(1)
    populate(tailnet, 3000, rng, WALL)
    for entry in tailnet.entries.values():
        seen.update(entry.node.addresses)
    assert len(seen) == 6000
    assert "100.100.100.100/32" not in seen


def test_an_address_is_given_out_again_the_lowest_first() -> None:
    tailnet = Tailnet()
    nodes = [add(tailnet, "n", number, real=True) for number in range(4)]
    freed = tailnet.entries[nodes[1]].node.addresses
    tailnet.remove_node(nodes[1])
    tailnet.remove_node(nodes[2])
    heir = tailnet.entries[add(tailnet, "heir", 10, real=True)].node
    assert heir.addresses == freed
    assert heir.id == 5, "ids are never used twice"


def test_a_restored_node_keeps_its_place_and_the_next_one_gets_another() -> None:
    before = Tailnet()
    add(before, "first", 1, real=True)
    second = before.entries[add(before, "second", 2, real=True)]
    after = Tailnet()
    after.restore(second)
    newcomer = after.entries[add(after, "third", 3, real=True)]
    assert newcomer.node.id == second.node.id + 1
    assert newcomer.node.addresses == ("100.64.0.1/32", "fd7a:115c:a1e0::1/128"), (
        "freed by the one that is gone"
    )
    another = after.entries[add(after, "fourth", 4, real=True)]
    assert another.node.addresses == ("100.64.0.3/32", "fd7a:115c:a1e0::3/128")


@pytest.mark.parametrize("how", ["id", "stable_id", "label", "name", "key", "v4", "v6", "v6 long"])
def test_a_node_is_found_by_any_of_its_names(how: str) -> None:
    tailnet = Tailnet()
    add(tailnet, "other", 1)
    node = tailnet.entries[add(tailnet, "wanted", 2)].node
    word = {
        "id": node.id,
        "stable_id": node.stable_id,
        "label": "wanted",
        "name": node.name,
        "key": node.key,
        "v4": node.addresses[0].removesuffix("/32"),
        "v6": node.addresses[1].removesuffix("/128"),
        "v6 long": ipaddress.ip_interface(node.addresses[1]).ip.exploded.upper(),
    }[how]
    assert tailnet.find(word).node is node


@pytest.mark.parametrize("word", ["wanted.stranger.example", "wanted.dev", "\u00b2", "--2", "-", "", "."])
def test_what_nobody_is_called_finds_nobody(word: str) -> None:
    tailnet = Tailnet()
    add(tailnet, "wanted", 2)
    with pytest.raises(TailnetError, match="cannot find"):
        tailnet.find(word)


def test_a_label_that_is_another_nodes_number_means_neither() -> None:
    tailnet = Tailnet()
    number = add(tailnet, "one", 1)
    add(tailnet, str(number), 2)
    with pytest.raises(TailnetError, match="cannot tell"):
        tailnet.find(str(number))
    assert tailnet.find("one").node.id == tailnet.find(number).node.id == number


def test_a_label_that_is_another_nodes_stable_id_means_neither() -> None:
    tailnet = Tailnet()
    one = tailnet.entries[add(tailnet, "one", 1)].node
    two = add(tailnet, one.stable_id, 2)
    with pytest.raises(TailnetError, match="cannot tell"):
        tailnet.find(one.stable_id)
    # No stable id is written in small letters, so that is the name alone.
    assert tailnet.find(one.stable_id.lower()).node.id == two
    assert tailnet.find("one").node.id == tailnet.find(one.id).node.id == one.id


def test_what_cannot_be_done_says_why() -> None:
    tailnet = Tailnet()
    one = add(tailnet, "one", 1)
    two = add(tailnet, "two", 2)
    with pytest.raises(TailnetError, match="in use"):
        add(tailnet, "three", 1)
    with pytest.raises(TailnetError, match="another node"):
        tailnet.rotate_key(one, tailnet.entries[two].node.key)
    with pytest.raises(TailnetError, match="cannot find"):
        tailnet.find("nobody")
    with pytest.raises(TailnetError, match="routes"):
        tailnet.set_routes(one, ["10.0.0.1/8"])
    with pytest.raises(TailnetError, match="DNSConfig"):
        tailnet.set_aspect(Aspect.DNS, b"{")
    with pytest.raises(TailnetError, match="not there"):
        tailnet.set_online(77, True, WALL)


def test_a_tagged_node_belongs_to_nobody_until_its_tags_are_gone() -> None:
    tailnet = Tailnet()
    one = add(tailnet, "one", 1)
    owner = tailnet.entries[one].node.user
    tailnet.set_tags(one, ["tag:b", "tag:a", "tag:a"])
    assert tailnet.entries[one].node.user == TAGGED_USER
    assert tailnet.entries[one].node.tags == ("tag:a", "tag:b")
    tailnet.set_tags(one, [])
    assert tailnet.entries[one].node.user == owner


def test_hostinfo_without_net_info_keeps_the_earlier_one() -> None:
    tailnet = Tailnet()
    one = add(tailnet, "one", 1, real=True)
    tailnet.set_hostinfo(one, {"OS": "linux", "NetInfo": {"PreferredDERP": 902}})
    tailnet.set_hostinfo(one, {"OS": "plan9"})
    node = tailnet.entries[one].node
    assert node.home_derp == 902
    assert json.loads(tailnet.encoded(one))["Hostinfo"] == {"OS": "plan9", "NetInfo": {"PreferredDERP": 902}}


def life(seed: int, steps: int, nodes: int = 8) -> tuple[Tailnet, Churn]:
    rng = random.Random(seed)
    tailnet = Tailnet()
    populate(tailnet, nodes, rng, WALL)
    churn = Churn(tailnet, rng, rate=1.0, now=0.0, nodes=nodes)
    for step in range(steps):
        churn.step(WALL + step)
    return tailnet, churn


def test_the_same_seed_gives_the_same_life() -> None:
    one, two, other = (life(seed, 300)[0] for seed in (7, 7, 8))
    assert [entry.node for entry in one.entries.values()] == [entry.node for entry in two.entries.values()]
    assert [entry.node.key for entry in one.entries.values()] != [
        entry.node.key for entry in other.entries.values()
    ]


@pytest.mark.parametrize("nodes", [1, 8, 40])
def test_life_keeps_the_size_of_the_tailnet(nodes: int) -> None:
    tailnet, churn = life(3, 2000, nodes)
    assert nodes / 2 - 1 <= len(tailnet) <= nodes * 2 + 2
    assert churn.changes == 2000


def test_a_newcomer_sees_life_within_a_second() -> None:
    _, churn = life(1, 0)
    churn.expire(100.0, WALL)
    churn.newcomer(100.0)
    deadline = churn.deadline()
    assert deadline is not None
    assert deadline <= 101.0


def test_changes_that_were_slept_through_become_one() -> None:
    _, churn = life(1, 0)
    churn.expire(10_000.0, WALL)
    assert churn.changes == 1
    deadline = churn.deadline()
    assert deadline is not None
    assert 10_000.0 < deadline <= 10_002.0


def test_without_a_rate_nothing_moves() -> None:
    churn = Churn(Tailnet(), random.Random(1), rate=0.0, now=0.0, nodes=5)
    assert churn.deadline() is None
    churn.expire(10_000.0, WALL)
    assert churn.changes == 0


def test_registered_and_simulated_nodes_never_share_an_address() -> None:
    registered, simulated = registered_places(), simulated_places()
    given = [registered.take() for _ in range(20_000)]
    made = {simulated.take() for _ in range(60_000)}
    assert len({*given} | made) == 80_000
    assert given[0] == 1
    addresses = {addresses_at(place) for place in given}
    assert len(addresses) == 20_000
    assert ("100.100.100.100/32", "fd7a:115c:a1e0::24:6464/128") not in addresses


def test_a_place_from_an_earlier_run_is_not_given_out_again() -> None:
    earlier = registered_places()
    given = [earlier.take() for _ in range(17_000)]
    later = registered_places()
    later.claim(given[-1])
    taken = [later.take() for _ in range(17_000)]
    assert taken[:16_999] == given[:-1]
    assert taken[-1] == given[-1] + 1
