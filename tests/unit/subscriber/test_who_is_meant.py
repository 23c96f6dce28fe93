"""A tailnet with nodes of strangers in it, from the MapResponse to what a subscriber calls its nodes."""

from __future__ import annotations

from typing import Any

import pytest

from netmap_actors.exports import netmap_json, prometheus_sd
from netmap_actors.subscriber import Netmap, Snapshot
from netmap_actors.wire.topics import Kind
from tests.support.netmaps.publishing import Follower, Server

OWN = {
    "ID": 1,
    "StableID": "n1",
    "Name": "obs.own-tailnet.example.",
    "User": 1,
    "Key": f"nodekey:{1:064x}",
    "Addresses": ["100.64.0.1/32", "fd7a:115c:a1e0::1/128"],
}


def theirs(number: int, label: str, **fields: Any) -> dict[str, Any]:
    """A node that somebody shares in."""
    return _node(number, f"{label}.stranger.example.", User=77, Sharer=77, **fields)


def ours(number: int, label: str, **fields: Any) -> dict[str, Any]:
    return _node(number, f"{label}.own-tailnet.example.", User=1, **fields)


def _node(number: int, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "ID": number,
        "StableID": f"n{number}",
        "Name": name,
        "Key": f"nodekey:{number:064x}",
        "Addresses": [f"100.70.0.{number}/32", f"fd7a:115c:a1e0::{number:x}/128"],
        "Online": True,
    } | fields


def tailnet(*peers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    profiles = [
        {"ID": 1, "LoginName": "alice@example.com"},
        {"ID": 77, "LoginName": "mallory@stranger.example"},
    ]
    return {"Node": OWN, "Domain": "example.com", "UserProfiles": profiles, "Peers": list(peers)} | fields


def follow(
    *peers: dict[str, Any], kinds: frozenset[Kind] = frozenset(Kind), **fields: Any
) -> tuple[Any, Any]:
    """(server, follower) with this tailnet."""
    server = Server()
    server.feed(tailnet(*peers, **fields), 1.0)
    server.publication.take_outgoing()
    follower = Follower(1.0, kinds)
    follower.ask(server.publication, 1.0)
    follower.hear([server.publication.heartbeat(1.0)], 1.0)
    assert follower.replica.synced
    return server, follower


def seen(*peers: dict[str, Any], **fields: Any) -> Netmap:
    return follow(*peers, **fields)[1].replica.netmap


ORDERS = [
    (theirs(12, "nas"), ours(11, "nas", Online=False), theirs(13, "gitlab"), theirs(14, "wpad")),
    (theirs(14, "wpad"), theirs(13, "gitlab"), ours(11, "nas", Online=False), theirs(12, "nas")),
]


@pytest.mark.parametrize("peers", ORDERS, ids=["stranger-first", "ours-first"])
def test_a_short_name_means_our_own_node_in_whatever_order_they_came(peers) -> None:
    netmap = seen(*peers)
    for found in (netmap.find("nas"), netmap.peers.find("NAS."), netmap.peers.by_name("nas")):
        assert found.stable_id == "n11"
    for word in ("gitlab", "wpad"):
        assert netmap.find(word) is netmap.peers.find(word) is netmap.peers.by_name(word) is None
    assert netmap.find("gitlab.stranger.example").stable_id == "n13"


def test_a_stable_id_that_is_also_a_name_does_not_win_silently() -> None:
    netmap = seen(ours(11, "nas"), ours(12, "other", StableID="nas"))
    with pytest.raises(LookupError, match=r"nas\.own-tailnet\.example.*other\.own-tailnet\.example"):
        netmap.find("nas")
    with pytest.raises(LookupError, match="n11"):
        netmap.peers.find("nas")
    assert netmap.peers["nas"].name == "other.own-tailnet.example"


def test_a_name_of_two_nodes_is_an_error_with_both() -> None:
    netmap = seen(ours(11, "web"), ours(12, "web"))
    for ask in (netmap.find, netmap.peers.find, netmap.peers.by_name):
        for word in ("web", "web.own-tailnet.example"):
            with pytest.raises(LookupError, match=r"n11.*n12"):
                ask(word)
    assert netmap.find("100.70.0.12").stable_id == "n12"


def test_a_peer_with_the_name_of_our_own_node_is_not_taken_for_it() -> None:
    netmap = seen(ours(11, "obs"))
    with pytest.raises(LookupError, match=r"n1\b.*n11"):
        netmap.find("obs")
    with pytest.raises(LookupError, match=r"n1\b.*n11"):
        netmap.peers.find("obs")


@pytest.mark.parametrize("word", ["FD7A:115C:A1E0:0:0:0:0:1", "fd7a:115c:a1e0:0::1", "fd7a:115c:a1e0::1/128"])
def test_our_own_node_is_found_by_every_spelling_of_its_address(word: str) -> None:
    assert seen(ours(11, "nas")).find(word).stable_id == "n1"


def test_a_node_is_found_by_its_key() -> None:
    netmap = seen(ours(11, "nas"))
    assert netmap.find(f"nodekey:{11:064x}").stable_id == "n11"
    assert netmap.find(f"nodekey:{1:064X}").stable_id == "n1"


def test_a_follower_of_the_peers_alone_knows_short_names_too() -> None:
    from netmap_actors.subscriber.replica import subscribed_kinds

    _, follower = follow(*ORDERS[0], kinds=subscribed_kinds(["peer_upserted"]))
    assert follower.replica.netmap.peers.find("nas").stable_id == "n11"
    assert follower.replica.netmap.peers.find("gitlab") is None


# What kind of node it is


def test_shared_in_jailed_and_wireguard_only_nodes_are_marked_in_json() -> None:
    netmap = seen(
        theirs(12, "nas"),
        ours(11, "nas"),
        ours(13, "exit", IsWireGuardOnly=True),
        ours(14, "shut", IsJailed=True),
    )
    document = netmap_json.json_object(Snapshot(netmap=netmap, state="fresh", age_s=0.0, epoch=1, seq=1))
    marks = {
        peer["stable_id"]: (peer["sharer"], peer["sharer_id"], peer["jailed"], peer["wireguard_only"])
        for peer in [document["self"], *document["peers"]]
    }
    assert marks == {
        "n1": (None, 0, False, False),
        "n11": (None, 0, False, False),
        "n12": ("mallory@stranger.example", 77, False, False),
        "n13": (None, 0, False, True),
        "n14": (None, 0, True, False),
    }


def test_shared_in_jailed_and_wireguard_only_nodes_are_marked_in_labels() -> None:
    netmap = seen(theirs(12, "nas"), ours(13, "exit", IsWireGuardOnly=True), ours(14, "shut", IsJailed=True))
    marks = {}
    for group in prometheus_sd.target_groups(netmap, state="fresh", port=None):
        labels = group["labels"]
        kinds = ("shared_in", "sharer", "jailed", "wireguard_only")
        marks[labels["__meta_netmap_stable_id"]] = tuple(labels[f"__meta_netmap_{kind}"] for kind in kinds)
    assert marks["n12"] == ("true", "mallory@stranger.example", "false", "false")
    assert marks["n13"] == ("false", "", "false", "true")
    assert marks["n14"] == ("false", "", "true", "false")
