"""`tailnet.policy` and `tailnet.visibility` against captures of Tailscale's service: the same, or refused."""

from __future__ import annotations

import collections
import json
import os

import pytest

from netmap_actors.dev_control.tailnet.client_netmap import ClientNetmap
from netmap_actors.dev_control.tailnet.json_types import JsonNode
from netmap_actors.dev_control.tailnet.policy import BadPolicy, Policy, read_policy_text
from netmap_actors.dev_control.tailnet.tailnet import TAGGED_USER, Entry, Tailnet
from tests.support.servers.captures import Capture, captures
from tests.support.servers.packet_sets import same_packets
from tests.support.servers.policies import WALL

ACCEPTED, REFUSED = 277, 21
LEAST_EQUAL = 0.9
"""Of the policies in other captures; the rest may be refused."""


@pytest.mark.timeout(300)
def test_a_policy_that_the_service_takes_means_the_same_here_or_is_refused() -> None:
    taken = [capture for capture in captures() if capture["status"] == 200]
    outcomes = collections.Counter[str]()
    different = []
    for capture in taken:
        try:
            policy = read_policy_text(capture["policy"], toml=False)
        except BadPolicy:
            outcomes["refused"] += 1
            continue
        found = differences(capture, policy)
        outcomes["different" if found else "equal"] += 1
        different += [f"{capture['name']}: {line}" for line in found]
    assert different == []
    if os.environ.get("POLICY_CAPTURES"):
        assert outcomes["equal"] >= len(taken) * LEAST_EQUAL, outcomes
    else:
        assert outcomes == {"equal": ACCEPTED}


def test_what_the_service_refuses_is_refused_here_with_its_place() -> None:
    refused = [capture for capture in captures() if capture["status"] != 200]
    for capture in refused:
        with pytest.raises(BadPolicy, match=r"line \d+, column \d+: "):
            read_policy_text(capture["policy"], toml=False)
    assert len(refused) >= REFUSED or os.environ.get("POLICY_CAPTURES")


def differences(capture: Capture, policy: Policy) -> list[str]:
    """What the nodes of a capture see here and did not there, or the other way round.

    Routes that are shown and not approved were approved while the capture was taken: some of its nodes had been told,
    others had not, and each has to see what it would either before or after.
    """
    tailnets = [tailnet_of(capture, policy, offering=True)]
    if any(
        not routes <= set(capture["nodes"][name]["approved_routes"])
        for name, routes in shown(capture).items()
    ):
        tailnets.append(tailnet_of(capture, policy, offering=False))
    found = []
    for name, seen in capture["seen"].items():
        views = [compared(tailnet, name, seen) for tailnet in tailnets]
        if all(views):
            found += views[0]
    return found


def compared(tailnet: Tailnet, name: str, seen: Capture) -> list[str]:
    made = json.loads(ClientNetmap(tailnet, tailnet.find(name).node.id).full(WALL))
    peers = {peer["StableID"]: peer["AllowedIPs"] for peer in made.get("Peers", [])}
    if peers.keys() != seen["peers"].keys():
        return [f"{name} sees {sorted(peers)}, not {sorted(seen['peers'])}"]
    found = [
        f"{name} has {peers[peer]} of {peer}, not {allowed}"
        for peer, allowed in seen["peers"].items()
        if set(peers[peer]) != set(allowed)
    ]
    rules = made["PacketFilters"]["base"]
    if not same_packets(rules, seen["packet_filter_rules"] or []):
        found.append(f"{name} lets in {rules}, not {seen['packet_filter_rules']}")
    return found


def tailnet_of(capture: Capture, policy: Policy, *, offering: bool) -> Tailnet:
    """The nodes of a capture in a tailnet of ours; `offering`: with the routes they advertise."""
    tailnet = Tailnet(policy=policy)
    nodes, carriers = capture["nodes"], shown(capture)
    # Which of two nodes with one route came first, and so carries it, no capture tells but by what was shown.
    for number, name in enumerate(sorted(nodes, key=lambda name: name not in carriers), 1):
        node = nodes[name]
        owner = tailnet.user_id(node["login"] or "nobody@example.com")
        addresses = tuple(f"{address}/{128 if ':' in address else 32}" for address in node["addresses"])
        made = JsonNode(
            id=number,
            stable_id=name,
            name=name,
            user=TAGGED_USER if node["tags"] else owner,
            key=f"nodekey:{number:064x}",
            addresses=addresses,
            allowed_ips=addresses,
            tags=tuple(node["tags"]),
        )
        entry = Entry(made, name, real=True, owner=owner, place=number, routes=tuple(node["approved_routes"]))
        entry.hostinfo = {"RoutableIPs": node["advertised_routes"] if offering else []}
        tailnet.restore(entry)
    return tailnet


def shown(capture: Capture) -> dict[str, set[str]]:
    """Of the nodes to which a route leads, those that were shown to any other."""
    found: dict[str, set[str]] = {}
    for seen in capture["seen"].values():
        for peer, allowed in seen["peers"].items():
            count = len(capture["nodes"][peer]["addresses"])
            if len(allowed) > count:
                found.setdefault(peer, set()).update(allowed[count:])
    return found
