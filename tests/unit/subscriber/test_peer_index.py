"""By what peers are found: names, addresses, keys, tags and users that change hands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.subscriber.naming import AmbiguousName
from netmap_actors.subscriber.netmap_view import Contents
from netmap_actors.subscriber.peer import UserProfile
from netmap_actors.subscriber.peer_index import PeerIndex
from netmap_actors.wire import netmap_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from netmap_actors.subscriber.peer import Peer

fields = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["a.x", "A.x", "b.x", "a.y", ""]),
        "addresses": st.lists(
            st.sampled_from(["100.64.0.1/32", "fd7a:0::1/128", "fd7a::1/128", "junk"]), max_size=3
        ),
        "tags": st.lists(st.sampled_from(["tag:web", "tag:db", "odd"]), max_size=3),
        "key": st.sampled_from(["nodekey:1", "nodekey:2", ""]),
        "user_id": st.sampled_from([0, 1, -2]),
    }
)
changes = st.lists(st.tuples(st.sampled_from("pqr"), st.none() | fields), max_size=30)


def piece(stable_id: str, **values: object) -> bytes:
    return netmap_pb2.Peer(stable_id=stable_id, **values).SerializeToString()


def built(contents: Contents) -> PeerIndex:
    """An index made from scratch."""
    index = PeerIndex()
    for stable_id, encoded in contents.peers.items():
        index.add(stable_id, encoded)
    return index


@given(changes)
def test_an_index_kept_up_to_date_is_the_one_made_from_scratch_after_every_change(changes) -> None:
    contents = Contents()
    assert contents.index == PeerIndex()
    for stable_id, values in changes:
        if values is None:
            contents.remove(stable_id)
        else:
            contents.upsert(stable_id, piece(stable_id, **values))
        assert contents.index == built(contents)


@given(changes)
def test_who_is_found_is_who_has_it_now(changes) -> None:
    contents = Contents()
    contents.domain = "x"
    contents.profiles = {1: UserProfile(id=1, login_name="ann"), -2: UserProfile(id=-2, login_name="bob")}
    peers = contents.netmap.peers
    peers.by_tag("web")
    now: dict[str, dict[str, object]] = {}
    for stable_id, values in changes:
        if values is None:
            contents.remove(stable_id)
            now.pop(stable_id, None)
        else:
            contents.upsert(stable_id, piece(stable_id, **values))
            now[stable_id] = values
    for tag in ("tag:web", "tag:db"):
        assert {p.stable_id for p in peers.by_tag(tag)} == {k for k, v in now.items() if tag in v["tags"]}
    for login, user in (("ann", 1), ("bob", -2)):
        assert {p.stable_id for p in peers.by_user(login)} == {
            k for k, v in now.items() if v["user_id"] == user
        }
    for key in ("nodekey:1", "nodekey:2"):
        found_alone(peers.by_key, key, {k for k, v in now.items() if v["key"] == key})
    for name in ("A.X.", "a.y", "b", "A"):
        wanted = name.lower().rstrip(".")
        owners = {k for k, v in now.items() if v["name"].lower() in {wanted, f"{wanted}.x"}}
        found_alone(peers.by_name, name, owners)
        found_alone(peers.find, name, owners)
    owners = {k for k, v in now.items() if {"fd7a:0::1/128", "fd7a::1/128"} & set(v["addresses"])}
    found_alone(peers.by_address, "fd7a:0:0::1", owners)


def found_alone(ask: Callable[[str], Peer | None], word: str, owners: set[str]) -> None:
    """One owner is found, none is nobody, and several are an error that has all of them."""
    if len(owners) > 1:
        with pytest.raises(AmbiguousName) as caught:
            ask(word)
        assert {peer.stable_id for peer in caught.value.candidates} == owners
    else:
        found = ask(word)
        assert (set() if found is None else {found.stable_id}) == owners


def test_what_is_no_address_is_an_error_and_what_nobody_has_is_nobody() -> None:
    peers = Contents().netmap.peers
    with pytest.raises(ValueError, match="junk"):
        peers.by_address("junk")
    assert peers.by_address("100.64.0.9") is None
    assert peers.by_key("nodekey:9") is None
    assert peers.by_tag("web") == peers.by_user("nobody") == []


def test_f25_an_address_that_changed_hands_is_found_at_its_new_owner_after_the_old_one_left() -> None:
    contents = Contents()
    peers = contents.netmap.peers
    contents.upsert("old", piece("old", name="old.x", addresses=["100.64.0.1/32"]))
    assert peers.by_address("100.64.0.1").stable_id == "old"
    contents.upsert("new", piece("new", name="new.x", addresses=["100.64.0.1/32"]))
    with pytest.raises(AmbiguousName, match=r"new\.x.*old\.x"):
        peers.by_address("100.64.0.1")
    contents.remove("old")
    assert peers.by_address("100.64.0.1").stable_id == "new"
    contents.remove("new")
    assert peers.by_address("100.64.0.1") is None


def test_words_are_taken_as_people_write_them() -> None:
    contents = Contents()
    contents.domain = "Example"
    contents.upsert("p", piece("p", name="Web.example", tags=["tag:web"], addresses=["100.64.0.1/32"]))
    peers = contents.netmap.peers
    for word in ("p", "web", "WEB.EXAMPLE.", "100.64.0.1"):
        assert peers.find(word).stable_id == "p"
    assert [peer.stable_id for peer in peers.by_tag("web")] == ["p"]
