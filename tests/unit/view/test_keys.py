"""What the keys mean, and where they scroll to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_supervisor.view.keys import Key, keys, scrolled


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (b"jk", [Key.DOWN, Key.UP]),
        (b"\x1b[B\x1bOA", [Key.DOWN, Key.UP]),
        (b"\x1b[6~\x1b[5~ b", [Key.PAGE_DOWN, Key.PAGE_UP, Key.PAGE_DOWN, Key.PAGE_UP]),
        (b"gG\x1b[H\x1bOF", [Key.FIRST, Key.LAST, Key.FIRST, Key.LAST]),
        (b"q", [Key.QUIT]),
        # Keys that mean nothing, Alt-j, a function key, a mouse, half a sequence: none of their letters counts.
        (b"x\x1b[15~\x1b[1;5Q\x1bOQ", []),
        (b"\x1b", []),
        (b"\xc3\xa9j", [Key.DOWN]),
    ],
)
def test_keys_are_those_of_less(typed: bytes, meant: list[Key]) -> None:
    assert keys(typed) == meant


@given(st.binary(max_size=40))
def test_any_bytes_are_keys_or_nothing(typed: bytes) -> None:
    assert set(keys(typed)) <= set(Key)


@pytest.mark.parametrize(
    ("key", "first", "then"),
    [
        (Key.DOWN, 0, 1), (Key.UP, 0, 0), (Key.PAGE_DOWN, 5, 15), (Key.PAGE_DOWN, 85, 90), (Key.PAGE_UP, 5, 0),
        (Key.LAST, 3, 90), (Key.FIRST, 50, 0), (Key.DOWN, 90, 90), (Key.QUIT, 7, 7),
    ],
)  # fmt: skip
def test_the_last_page_is_full(key: Key, first: int, then: int) -> None:
    assert scrolled(key, first, 10, 100) == then


@given(st.sampled_from(Key), st.integers(0, 50), st.integers(1, 60), st.integers(0, 50))
def test_no_key_leaves_the_rows(key: Key, first: int, page: int, rows: int) -> None:
    assert 0 <= scrolled(key, first, page, rows) <= max(0, rows - page)
