"""Words as identifiers: valid everywhere, and no two alike."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.exports.identifiers import identifier, identifiers


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("web", "web"),
        ("web-1", "web_1"),
        ("Web.EU", "web_eu"),
        ("ann@example.com", "ann_example_com"),
        ("1password", "_1password"),
        ("", "_"),
        ("é", "_"),
        ("a" * 80, "a" * 60),
    ],
)
def test_a_word_is_written_with_letters_digits_and_underscores(word: str, found: str) -> None:
    assert identifier(word) == found
    assert identifiers([word]) == {word: found}


def test_words_that_look_alike_are_told_apart_and_the_plain_one_stays_plain() -> None:
    assert identifiers(["a-b", "a_b", "a.b"]) == {
        "a_b": "a_b",
        "a-b": "a_b_d44362d6",
        "a.b": "a_b_2e7336dc",
    }
    assert identifiers(["a-b", "a.b"]).keys() == {"a-b", "a.b"}
    taken = "a_b_d44362d6"
    found = identifiers(["a-b", "a_b", taken])
    assert found[taken] == taken
    assert found["a-b"] != taken


words = st.text(max_size=6) | st.text("ab-_.A1", max_size=4)


@given(st.lists(words, max_size=12), st.randoms(use_true_random=False))
def test_identifiers_are_valid_and_different_in_any_order(
    given_words: list[str], order: random.Random
) -> None:
    found = identifiers(given_words)
    assert found.keys() == set(given_words)
    assert len(set(found.values())) == len(found)
    assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", name) for name in found.values())
    order.shuffle(given_words)
    assert identifiers(given_words) == found
