"""Text within a width in cells."""

from __future__ import annotations

import pytest

from netmap_supervisor.view.text_layout import shortened, wrapped


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 10, [""]),
        ("  one   two\nthree ", 7, ["one two", "three"]),
        ("one two", 3, ["one", "two"]),
        ("a 0123456789 b", 4, ["a", "0123", "4567", "89 b"]),
        ("日本語日本", 4, ["日本", "語日", "本"]),
        ("a日本 b", 3, ["a日", "本", "b"]),
        ("日本", 1, ["日", "本"]),
    ],
)
def test_words_stay_whole_where_they_can(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


def test_what_is_cut_says_so() -> None:
    assert shortened("0123456789", 10) == "0123456789"
    assert shortened("0123456789", 5) == "0123…"
    assert shortened("0123456789", 5, both_ends=True) == "01…89"
