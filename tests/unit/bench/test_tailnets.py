"""The tailnets that benchmarks are fed: of the size they are said to be, and the same at each call."""

from __future__ import annotations

import json

import pytest

from bench.peers.tailnets import all_peers, full_map

COUNT = 300


@pytest.mark.parametrize(("real_size", "least", "most"), [(False, 420, 520), (True, 1_000, 2_000)])
def test_a_node_has_the_size_it_is_said_to_have(real_size: bool, least: int, most: int) -> None:
    assert least <= len(all_peers(COUNT, real_size=real_size)) / COUNT <= most


@pytest.mark.parametrize("real_size", [False, True])
@pytest.mark.parametrize("field", ["ID", "StableID", "Key", "Machine", "DiscoKey", "Addresses"])
def test_no_two_nodes_are_one(field: str, real_size: bool) -> None:
    peers = json.loads(all_peers(COUNT, real_size=real_size))["Peers"]
    assert len({str(peer[field]) for peer in peers}) == COUNT


def test_the_same_tailnet_comes_at_each_call() -> None:
    assert full_map(COUNT) == full_map(COUNT)
    assert all_peers(COUNT, real_size=True) == all_peers(COUNT, real_size=True)


def test_self_is_none_of_the_peers() -> None:
    document = json.loads(full_map(COUNT))
    assert document["Node"]["ID"] not in {peer["ID"] for peer in document["Peers"]}
