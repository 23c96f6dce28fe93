"""What a node may be called, and which node is meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.subscriber.naming import (
    AmbiguousName,
    NoSuchNode,
    address_of,
    folded_name,
    host_address,
    is_meant,
    own_suffix,
    resolve_node,
    short_name,
)
from netmap_actors.subscriber.peer import Peer
from netmap_actors.wire import netmap_pb2

OWN = "own.example"
KEY = f"nodekey:{'0aF' * 21}c"


def node(stable_id: str = "n1", suffix: str | None = OWN, **fields: Any) -> Peer:
    return Peer(netmap_pb2.Peer(stable_id=stable_id, **fields).SerializeToString(), {}, suffix)


@pytest.mark.parametrize(
    ("own_name", "domain", "suffix"),
    [
        ("obs.own.example.", "own.example", "own.example"),
        ("obs.tail1234.ts.net.", "example.com", "tail1234.ts.net"),
        ("OBS.Tail1234.ts.NET", "alice@example.com", "tail1234.ts.net"),
        ("obs.tail.example.com", "example.com", "tail.example.com"),
        ("obs", "fake-control.example.net", ""),
        ("", "own.example.", "own.example"),
        ("", "", None),
    ],
    ids=["headscale", "tailscale", "case", "domain-is-a-parent", "bare", "nameless", "unknown"],
)
def test_our_own_names_end_with_what_follows_the_first_label_of_our_own(own_name, domain, suffix) -> None:
    assert own_suffix(own_name, domain) == suffix


@pytest.mark.parametrize(
    ("name", "sharer", "suffix", "short"),
    [
        ("nas.own.example", 0, OWN, "nas"),
        ("NAS.Own.Example.", 0, OWN, "NAS"),
        ("nas.own.example", 77, OWN, None),
        ("nas.stranger.example", 0, OWN, None),
        ("nas.notown.example", 0, OWN, None),
        ("nas.sub.own.example", 0, OWN, None),
        ("nas.example", 0, OWN, None),
        ("own.example", 0, OWN, None),
        ("nas", 0, OWN, None),
        ("nas", 0, "", "nas"),
        ("nas", 77, "", None),
        ("nas.stranger.example", 0, "", None),
        ("nas.own.example", 0, None, None),
        ("na\u212a.own.example", 0, OWN, "na\u212a"),
        (".own.example", 0, OWN, None),
        ("", 0, "", None),
        ("", 0, None, None),
    ],
)
def test_only_a_node_of_our_own_tailnet_has_a_short_name(name, sharer, suffix, short) -> None:
    assert short_name(name, sharer, suffix) == short


WORDS = [
    ("nas.own.example", True),
    ("NAS.OWN.Example.", True),
    ("nas", True),
    ("Nas", True),
    ("100.70.0.1", True),
    ("100.70.0.1/32", True),
    ("::ffff:100.70.0.1", True),
    ("fd7a:115c:a1e0::1", True),
    ("FD7A:115C:A1E0:0:0:0:0:1", True),
    ("[fd7a:115c:a1e0:0::1]", True),
    ("fd7a:115c:a1e0::1/128", True),
    ("nABC", True),
    (KEY, True),
    (KEY.lower(), True),
    (KEY.upper(), True),
    ("", False),
    (".", False),
    ("own.example", False),
    ("nas.own", False),
    ("nas.stranger.example", False),
    ("nabc", False),
    ("100.70.0.1/24", False),
    ("100.70.0", False),
    ("10.0.0.0", False),
    ("fd7a:115c:a1e0::", False),
    ("nodekey:", False),
    (KEY[:-1], False),
]


@pytest.mark.parametrize(("word", "meant"), WORDS)
def test_a_node_goes_by_its_names_addresses_ids_and_key_and_by_nothing_else(word: str, meant: bool) -> None:
    addresses = ["100.70.0.1/32", "fd7a:115c:a1e0:0::1/128", "10.0.0.0/8", "junk/99", "fd7a:115c:a1e0::/64"]
    shown = node("nABC", name="Nas.Own.example", addresses=addresses, key=KEY)
    assert is_meant(word, shown) == meant


def test_an_ascii_letter_is_no_other_letter_that_looks_like_it_when_it_is_made_small() -> None:
    assert folded_name("Na\u212aI\u0130.") == "na\u212ai\u0130"
    assert not is_meant("nak", node(name="na\u212a.own.example"))


stable_ids = st.sampled_from(["n1", "n2", "nas", "nas.own.example"])
nodes = st.lists(
    st.builds(
        node,
        stable_id=stable_ids,
        name=st.sampled_from(
            ["nas.own.example", "nas.stranger.example", "NAS.own.example", "nas", "web.own.example", ""]
        ),
        addresses=st.lists(st.sampled_from(["100.64.0.1/32", "fd7a:0::1/128", "fd7a::1/128"]), max_size=2),
        sharer_id=st.sampled_from([0, 0, 77]),
    ),
    max_size=6,
    unique_by=lambda one: one.stable_id,
)
words = st.sampled_from(["nas", "NAS.", "n1", "nas.own.example", "web", "100.64.0.1", "fd7a:0:0::1", "x", ""])


@given(words, nodes)
def test_one_node_is_found_whatever_the_order_and_several_are_an_error_with_all_of_them(word, nodes) -> None:
    meant = [one for one in nodes if is_meant(word, one)]
    for arrived in (nodes, nodes[::-1]):
        if len(meant) == 1:
            assert resolve_node(word, arrived) is meant[0]
            continue
        with pytest.raises(AmbiguousName if meant else NoSuchNode) as caught:
            resolve_node(word, arrived)
        if meant:
            assert {one.stable_id for one in caught.value.candidates} == {one.stable_id for one in meant}
            assert all(one.stable_id in str(caught.value) for one in meant)


def test_no_word_means_a_strangers_node_and_ours_for_its_short_name() -> None:
    ours = node("n11", name="nas.own.example")
    theirs = node("n12", name="nas.stranger.example", sharer_id=77)
    assert resolve_node("nas", [theirs, ours]) is ours
    with pytest.raises(NoSuchNode, match=r"no node has this.*full name only: nas\.stranger\.example"):
        resolve_node("nas", [theirs])
    assert resolve_node("nas.stranger.example.", [theirs, ours]) is theirs


def test_a_stable_id_that_is_also_a_name_means_nobody_until_one_says_more() -> None:
    named, numbered = node("n11", name="nas.own.example"), node("nas", name="other.own.example")
    with pytest.raises(AmbiguousName, match=r"n11.*nas") as caught:
        resolve_node("nas", [named, numbered])
    assert caught.value.candidates == (named, numbered)
    assert resolve_node("nas.own.example", [named, numbered]) is named
    assert resolve_node("other", [named, numbered]) is numbered


def test_what_an_error_says_has_a_bound_and_no_control_characters() -> None:
    many = [node(f"n{number}", name=f"\x1b[31m{'x' * 300}.own.example") for number in range(1000)]
    text = str(AmbiguousName("\x07" * 500, many))
    assert "and 990 more" in text
    assert text.isprintable()
    assert len(text) < 4000


@pytest.mark.parametrize(
    ("prefix", "address"),
    [
        ("100.64.0.1/32", "100.64.0.1"),
        ("100.64.0.1", "100.64.0.1"),
        ("fd7a:0::1/128", "fd7a::1"),
        ("10.0.0.0/8", None),
        ("fd7a::/48", None),
        ("junk:/128", None),
    ],
)
def test_only_a_single_address_is_one(prefix: str, address: str | None) -> None:
    assert host_address(prefix) == address


@pytest.mark.parametrize(
    "text", ["", "nas", "1.2.3", "01.2.3.4", "100.64.0.0/10", "fd7a::/64", "[", "[]", "1"]
)
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        address_of(text)
