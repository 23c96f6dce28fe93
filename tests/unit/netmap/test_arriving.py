"""A large map whose peers are read while it is still coming: it comes to the same; what never comes is forgotten."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.netmap import arriving
from netmap_actors.netmap.arriving import ArrivingDocument
from netmap_actors.netmap.delta import NetmapEngine
from netmap_actors.netmap.peer_table import PeerTable
from netmap_actors.slices import complete
from netmap_actors.tailcfg import decode_map_response
from tests.support.netmaps.netmap_replica import NOW, moment

LIMIT = 1 << 20
ID = (1, 1, 1)
OWN_KEY = "nodekey:" + "a" * 64
CUT = '"},{"ID":7,"Name":"'
SELF = {"ID": 1000, "StableID": "self", "Key": OWN_KEY, "Addresses": ["100.64.9.9/32"]}

peers_strategy = st.lists(
    st.fixed_dictionaries(
        {"ID": st.integers(1, 9)},
        optional={
            "StableID": st.sampled_from(["a", "b", "self"]),
            "Name": st.sampled_from(["web.example.", CUT, '},{"ID":8', "é"]),
            "Key": st.sampled_from([OWN_KEY, OWN_KEY.upper(), "nodekey:" + "b" * 64, "no key"]),
            "Addresses": st.sampled_from([["100.64.9.9/32"], ["100.64.0.1/32"], ["::ffff:100.64.9.9/128"]]),
            "KeyExpiry": st.sampled_from(["2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
            "User": st.just("no number"),
        },
    ),
    max_size=8,
)
members_strategy = st.permutations(["Node", "Peers", "DERPMap", "UserProfiles"])
layouts = st.sampled_from(
    [{"separators": (",", ":")}, {"indent": 1}, {}, {"separators": (",", ":"), "sort_keys": True}]
)


def compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def peers(count: int) -> list[dict[str, Any]]:
    return [{"ID": number, "StableID": f"n{number}"} for number in range(1, count + 1)]


def apply(engine: NetmapEngine, document: bytes, *, first: bool = True) -> None:
    complete(engine.applying(decode_map_response(document), first=first, wall=moment(NOW)))


def seen(engine: NetmapEngine) -> tuple[object, ...]:
    return sorted(engine.pieces()), engine.statistics, dict(engine.quarantined), engine.next_expiry()


def arrive(engine: NetmapEngine, document: bytes, cuts: list[int]) -> bytes:
    """In parts that end there; the last one comes with the header."""
    parts = engine.arriving
    ends = sorted({min(cut, len(document)) for cut in cuts} | {0})
    for start, end in itertools.pairwise(ends):
        parts.add(ID, start, document[start:end], LIMIT)
        while parts.unread:
            parts.look_ahead()
    whole = parts.complete(ID, ends[-1], document[ends[-1] :])
    assert whole is not None
    return whole


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "_SLICE", 300)


@given(
    st.lists(peers_strategy, min_size=1, max_size=2),
    members_strategy,
    layouts,
    st.lists(st.integers(1, 2500), max_size=6),
)
def test_the_netmap_is_as_if_nothing_had_been_read_ahead(
    maps: list[list[dict[str, Any]]], order: list[str], layout: dict[str, Any], cuts: list[int]
) -> None:
    """Names that hold what a peer is found by, peers that claim our identity or cannot be read, any layout and cut."""
    plain, ahead = (NetmapEngine(msgspec.msgpack.encode) for _ in range(2))
    profiles = [{"ID": 3, "LoginName": "a@example.com"}, {"ID": 4, "LoginName": "b@example.com"}]
    for nodes in maps:
        given_members = {"Node": SELF, "Peers": nodes, "DERPMap": {}, "UserProfiles": profiles}
        document = json.dumps({name: given_members[name] for name in order}, **layout).encode()
        assert arrive(ahead, document, cuts) == document
        apply(plain, document)
        apply(ahead, document)
        assert seen(ahead) == seen(plain)


def test_a_peer_read_ahead_is_not_read_again_when_the_map_is_whole() -> None:
    encoded: list[int] = []

    def encode(node: Any) -> bytes:
        encoded.append(node.id)
        return msgspec.msgpack.encode(node)

    engine = NetmapEngine(encode)
    document = compact({"Node": SELF, "Peers": peers(50)})
    engine.arriving.add(ID, 0, document[:-2], LIMIT)
    while engine.arriving.unread:
        engine.arriving.look_ahead()
    ahead = set(encoded)
    assert ahead == set(range(2, 50))
    whole = engine.arriving.complete(ID, len(document) - 2, document[-2:])
    assert whole == document
    apply(engine, whole)
    assert sorted(encoded) == list(range(1, 51))
    assert not engine.arriving.ready(None), "kept no longer than it is of use"


def test_a_known_peer_is_not_read_ahead() -> None:
    engine = NetmapEngine(msgspec.msgpack.encode)
    document = compact({"Node": SELF, "Peers": peers(50)})
    apply(engine, document)
    engine.arriving.add(ID, 0, document, LIMIT)
    while engine.arriving.unread:
        engine.arriving.look_ahead()
    assert not engine.arriving.ready(None)
    assert not engine.arriving._ready


def test_another_identity_of_ours_than_it_seemed_makes_all_of_it_void() -> None:
    """A peer with our key was read as if it were not ours: the document tells of us twice, the second counts."""
    engine = NetmapEngine(msgspec.msgpack.encode)
    thief = {"ID": 2, "StableID": "n2", "Key": OWN_KEY}
    first = compact({"Node": {**SELF, "Key": "nodekey:" + "c" * 64}, "Peers": [{"ID": 3}, thief, {"ID": 4}]})
    document = first[:-1] + b',"Node":' + compact(SELF) + b"}"
    apply(engine, arrive(engine, document, [len(first)]))
    assert list(engine.quarantined) == ["double:2"]


@pytest.mark.parametrize(
    ("identity", "offset"), [((1, 1, 2), 100), (ID, 99), (ID, 101)], ids=["other", "again", "gap"]
)
def test_a_part_that_is_not_the_next_ends_the_document(identity: object, offset: int) -> None:
    parts = ArrivingDocument(PeerTable(msgspec.msgpack.encode).read_ahead)
    parts.add(ID, 0, b" " * 100, LIMIT)
    parts.add(identity, offset, b" ", LIMIT)
    assert parts.complete(ID, 100, b"") is None
    assert parts.complete(identity, 101, b"") is None


@pytest.mark.parametrize(("identity", "passed_on"), [((2, 1, 1), 3), ((1, 2, 1), 3), (ID, 2), (ID, 4)])
def test_a_rest_without_its_beginning_is_no_document(identity: object, passed_on: int) -> None:
    parts = ArrivingDocument(PeerTable(msgspec.msgpack.encode).read_ahead)
    parts.add(ID, 0, b'{"D', LIMIT)
    assert parts.complete(identity, passed_on, b'omain":""}') is None
    assert parts.complete(ID, 3, b'omain":""}') is None, "it is forgotten"


def test_a_document_that_came_whole_needs_no_part() -> None:
    parts = ArrivingDocument(PeerTable(msgspec.msgpack.encode).read_ahead)
    parts.add(ID, 0, b'{"D', LIMIT)
    assert parts.complete(ID, 0, b"{}") == b"{}"
    assert not parts.unread


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "_MAX_NODE", 200)
    parts = ArrivingDocument(PeerTable(msgspec.msgpack.encode).read_ahead, max_peers=20)
    text = compact({"Node": SELF, "Peers": peers(30)})
    parts.add(ID, 0, text, LIMIT)
    parts.add(ID, len(text), b"x" * 5000, LIMIT)
    while parts.unread:
        parts.look_ahead()
        assert len(parts._left) <= 200
    assert len(parts.ready(None) or parts._ready) <= 20
    parts.add(ID, 0, text, len(text))
    parts.add(ID, len(text), b"x", len(text))
    assert parts.complete(ID, len(text) + 1, b"") is None


def test_what_is_too_long_for_a_node_is_not_read_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arriving, "_MAX_NODE", 200)
    monkeypatch.setattr(arriving, "_SLICE", 10_000)
    parts = ArrivingDocument(PeerTable(msgspec.msgpack.encode).read_ahead)
    nodes = [{"ID": 1}, {"ID": 2, "Name": "x" * 300}, {"ID": 3}, {"ID": 4}]
    parts.add(ID, 0, compact({"Peers": nodes}), LIMIT)
    parts.look_ahead()
    assert parts.ready(None).keys() == {3}
