"""Which peers the options choose, in which order, and which changes are told of them."""

from __future__ import annotations

from typing import Any

import pytest

from netmap_actors.subscriber import PeerRemoved
from netmap_supervisor.view.table_choice import SORT_COLUMNS, ChosenEvents, TableChoice, order, sort_key
from tests.support.netmaps.shown_netmap import peer, snapshot, upserted

WEB = peer(
    stable_id="n-web",
    name="Web-1.example.ts.net",
    addresses=["100.64.0.10/32", "fd7a::a/128"],
    online=True,
    tags=["tag:web"],
    os="linux",
)
DB = peer(
    stable_id="n-db",
    name="db-1.example.ts.net",
    addresses=["100.64.0.9/32"],
    online=False,
    last_seen="2026-11-29T10:00:00Z",
    tags=["tag:db", "tag:prod"],
    routes=["10.0.0.0/8"],
    os="macOS",
)
NAS = peer(
    stable_id="n-nas", name="nas.example.ts.net", addresses=["fd7a::1/128"], last_seen="2026-11-29T09:00:00Z"
)
ODD = peer(
    stable_id="n-odd", name="odd.example.ts.net", addresses=["no address"], online=False, last_seen="x"
)
ALL = (WEB, DB, NAS, ODD)


@pytest.mark.parametrize(
    ("column", "rising", "falling"),
    [
        ("", "db nas odd web", "web odd nas db"),
        ("name", "db nas odd web", "web odd nas db"),
        # As numbers, and IPv4 first; what has none is last in both directions.
        ("address", "db web nas odd", "nas web db odd"),
        ("online", "web db odd nas", "nas db odd web"),
        # Who is online is seen now.
        ("last-seen", "nas db web odd", "web db nas odd"),
        ("tags", "db web nas odd", "web db nas odd"),
        ("routes", "db web nas odd", "db web nas odd"),
        ("os", "web db nas odd", "db web nas odd"),
        ("user", "web db nas odd", "web db nas odd"),
        ("id", "db nas odd web", "web odd nas db"),
    ],
)
def test_a_column_sorts_in_both_directions(column: str, rising: str, falling: str) -> None:
    def names(*, descending: bool) -> str:
        found = order(ALL, lambda one: sort_key(column, one), descending=descending)
        return " ".join(one.stable_id.removeprefix("n-") for one in found)

    assert names(descending=False) == rising
    assert names(descending=True) == falling


def test_every_column_can_be_told_of_a_peer_without_anything() -> None:
    bare = peer(name="", addresses=[], decoded=False)
    for column in SORT_COLUMNS:
        assert order([bare, WEB], lambda one, column=column: sort_key(column, one), descending=False)


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({}, "web db nas odd"),
        ({"online": True}, "web"),
        # Of unknown state is neither.
        ({"online": False}, "db odd"),
        ({"tags": frozenset({"tag:web"})}, "web"),
        ({"tags": frozenset({"tag:web", "tag:prod"})}, "web db"),
        ({"tags": frozenset({"tag:web"}), "online": False}, ""),
        ({"match": "WEB"}, "web"),
        ({"match": "100.64.0."}, "web db"),
        ({"match": "fd7a::1"}, "nas"),
        ({"match": "macos"}, "db"),
        ({"match": "10.0.0.0/8"}, "db"),
        ({"match": "example.ts.net"}, "web db nas odd"),
        ({"match": "n-db"}, "db"),
        # A pattern is for all of a word.
        ({"match": "w*"}, "web"),
        ({"match": "?b-1"}, "db"),
        ({"match": "tag:*b"}, "web db"),
        ({"match": "*.0.1?"}, "web"),
        ({"match": "[dn]*1"}, "db"),
        ({"match": "nobody"}, ""),
        ({"match": "["}, ""),
    ],
)
def test_the_options_choose(choice: dict[str, Any], names: str) -> None:
    given = TableChoice(**choice)
    assert " ".join(one.stable_id.removeprefix("n-") for one in ALL if given.passes(one)) == names
    assert given.filters is bool(choice)


def test_a_sorted_table_leaves_nobody_out() -> None:
    assert not TableChoice(sort="name", descending=True).filters


def test_a_change_is_told_that_takes_a_peer_into_the_choice_or_out_of_it() -> None:
    events = ChosenEvents(TableChoice(online=False))
    assert events.passes(snapshot(WEB, DB, NAS))

    def told(online: bool | None, **fields: Any) -> bool:
        node = peer(stable_id="n-web", name="web-1.example.ts.net", online=online, **fields)
        return events.passes(upserted(node, {"online": None}))

    assert [told(True), told(False), told(False, os="x"), told(True), told(None)] == [
        False, True, True, True, False,
    ]  # fmt: skip
    gone = {
        name: PeerRemoved(epoch=1, seq=3, state="fresh", age_s=1.0, peer=one)
        for name, one in (("db", DB), ("nas", NAS))
    }
    assert events.passes(gone["db"])
    assert not events.passes(gone["db"])
    assert not events.passes(gone["nas"])


def test_a_snapshot_as_json_has_the_chosen_peers_only() -> None:
    events = ChosenEvents(TableChoice(match="db"))
    whole = snapshot(*ALL)
    assert events.passes(whole)
    assert [one["stable_id"] for one in events.to_json(whole)["netmap"]["peers"]] == ["n-db"]
    every = ChosenEvents(TableChoice())
    assert every.passes(whole)
    assert every.to_json(whole) == whole.to_json()
