"""Which events pass for who asked for some nodes: a node is followed, not what it is called."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.subscriber import EventFilter, PeerRemoved, PeerUpserted, SelfChanged
from netmap_actors.subscriber.naming import AmbiguousName
from tests.unit.subscriber.test_who_is_meant import OWN, follow, ours, theirs


def told(
    words: list[str], *messages: dict[str, Any], kinds: tuple[str, ...] = (), peers: Any = ()
) -> list[str]:
    """The names in the events that pass, as they are then, of a tailnet that is told these messages."""
    server, follower = follow(*(peers or (ours(11, "web-1"), ours(12, "db"))))
    for number, message in enumerate(messages, 2):
        server.feed(message, 1.0 + number / 10, number=number)
        follower.hear(server.publication.take_outgoing(), 1.0 + number / 10)
    wanted = EventFilter(kinds, words)
    passed = [event for event in follower.events if wanted.passes(event)]
    assert passed[0].kind == "snapshot"
    names = []
    for event in passed[1:]:
        match event:
            case PeerUpserted(peer=node) | SelfChanged(node=node):
                names.append(f"{node.stable_id} {node.name.partition('.')[0]}")
            case PeerRemoved(peer=node):
                names.append(f"{node.stable_id} gone")
            case other:
                names.append(other.kind)
    return names


RENAME = {"PeersChanged": [ours(11, "old-1")]}
CAP = {"PeersChangedPatch": [{"NodeID": number, "Cap": 99} for number in (11, 12)]}
SELF = {"Node": OWN | {"Cap": 99}}

STORIES: dict[str, tuple[list[str], list[dict[str, Any]], list[str]]] = {
    "nothing is asked for": ([], [CAP], ["n11 web-1", "n12 db"]),
    "another node": (["web-1"], [{"PeersChangedPatch": [{"NodeID": 12, "Cap": 99}]}], []),
    "two words": (["db", "n11"], [CAP], ["n11 web-1", "n12 db"]),
    "a rename": (["web-1"], [RENAME], ["n11 old-1"]),
    "what it does after it": (["web-1"], [RENAME, CAP], ["n11 old-1", "n11 old-1"]),
    "by full name": (["WEB-1.own-tailnet.example."], [RENAME, CAP], ["n11 old-1", "n11 old-1"]),
    "a rename back": (["web-1"], [RENAME, {"PeersChanged": [ours(11, "web-1")]}], ["n11 old-1", "n11 web-1"]),
    "its end": (["web-1"], [{"PeersRemoved": [11]}], ["n11 gone"]),
    "its end under another name": (["web-1"], [RENAME, {"PeersRemoved": [11]}], ["n11 old-1", "n11 gone"]),
    "a new one after its end": (
        ["web-1"],
        [{"PeersRemoved": [11]}, {"PeersChanged": [ours(21, "web-1")]}],
        ["n11 gone", "n21 web-1"],
    ),
    "another that takes the name": (
        ["web-1"],
        [RENAME, {"PeersChanged": [ours(21, "web-1")]}, CAP, {"PeersRemoved": [11, 21]}],
        ["n11 old-1", "n21 web-1", "n21 gone"],
    ),
    "two that exchange their names": (
        ["web-1"],
        [{"PeersChanged": [ours(11, "db"), ours(12, "web-1")]}, CAP],
        ["n11 db", "n12 web-1", "n12 web-1"],
    ),
    "an address that changes hands": (
        ["100.70.0.11"],
        [
            {"PeersChanged": [ours(11, "web-1", Addresses=[]), ours(12, "db", Addresses=["100.70.0.11/32"])]},
            CAP,
        ],
        ["n11 web-1", "n12 db", "n12 db"],
    ),
    "a stranger of that name": (["web-1"], [{"PeersChanged": [theirs(21, "web-1")]}], []),
    "one who is not there yet": (["new"], [{"PeersChanged": [ours(21, "new")]}], ["n21 new"]),
    "a second of that name": (
        ["web-1"],
        [{"PeersChanged": [ours(21, "web-1")]}, CAP, {"PeersRemoved": [11]}],
        ["n21 web-1", "n11 web-1", "n11 gone"],
    ),
    "our own node": (["obs"], [SELF, CAP], ["n1 obs"]),
    "a tailnet that is renamed": (
        ["web-1"],
        [
            {
                "Node": OWN | {"Name": "obs.new.example."},
                "PeersChanged": [ours(11, "web-1", Name="web-1.new.example.")],
            },
            {"PeersChanged": [ours(21, "web-1"), ours(12, "db", Name="db.new.example.")]},
        ],
        ["n11 web-1"],
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_what_becomes_of_a_node_is_told_to_who_asked_for_it(story: str) -> None:
    words, messages, expected = STORIES[story]
    assert told(words, *messages) == expected


def test_a_kind_that_is_not_wanted_is_taken_in_all_the_same() -> None:
    messages = ({"PeersRemoved": [11]}, {"PeersChanged": [ours(21, "web-1")]}, RENAME, {"PeersRemoved": [21]})
    assert told(["web-1"], *messages, kinds=("peer_removed",)) == ["n11 gone", "n21 gone"]


def test_a_word_for_several_nodes_is_an_error_at_the_first_snapshot_only() -> None:
    with pytest.raises(AmbiguousName, match=r"n11.*n21"):
        told(["web-1"], peers=(ours(11, "web-1"), ours(21, "web-1")))
    _, follower = follow(ours(11, "web-1"))
    _, later = follow(ours(11, "web-1"), ours(21, "web-1"))
    wanted = EventFilter(nodes=["web-1"])
    assert wanted.passes(follower.events[0])
    assert wanted.passes(later.events[0])


def test_a_later_snapshot_does_not_end_what_was_begun() -> None:
    wanted = EventFilter(nodes=["web-1"])
    _, before = follow(ours(11, "web-1"), ours(12, "db"))
    server, after = follow(ours(11, "old-1"), ours(12, "db"))
    server.feed({"PeersRemoved": [11, 12]}, 2.0, number=2)
    after.hear(server.publication.take_outgoing(), 2.0)
    assert wanted.passes(before.events[0])
    assert [wanted.passes(event) for event in after.events] == [
        event.kind == "snapshot" or event.peer.stable_id == "n11" for event in after.events
    ]
    assert len(after.events) == 3


names = st.sampled_from(["web-1", "web-2", "db"])
steps = st.lists(
    st.tuples(st.sampled_from([11, 12, 13]), names | st.none(), st.integers(0, 3)), min_size=1, max_size=12
)


@given(steps)
def test_no_change_of_whoever_has_the_name_before_or_after_it_is_swallowed(steps) -> None:
    server, follower = follow(ours(11, "web-1"), ours(12, "db"))
    for number, (node, name, cap) in enumerate(steps, 2):
        message = {"PeersRemoved": [node]} if name is None else {"PeersChanged": [ours(node, name, Cap=cap)]}
        server.feed(message, 1.0 + number / 10, number=number)
        follower.hear(server.publication.take_outgoing(), 1.0 + number / 10)
    wanted = EventFilter(nodes=["web-1"])
    called = {11: "web-1", 12: "db"}
    for event in follower.events:
        passed = wanted.passes(event)
        if event.kind == "snapshot":
            continue
        node = event.peer.id
        before = called.get(node)
        called[node] = None if isinstance(event, PeerRemoved) else event.peer.short_name
        if "web-1" in (before, called[node]):
            assert passed
        elif "web-1" in called.values():
            assert not passed, "another has the name"
