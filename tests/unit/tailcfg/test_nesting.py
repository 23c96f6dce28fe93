"""The nesting of a document, compared with a decoder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.slices import complete
from netmap_actors.tailcfg import nesting
from netmap_actors.tailcfg.nesting import looking_deeper_than

values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='[]{}"\\\\ab,: ', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet='[]{}"\\a', max_size=4), inner, max_size=4)
    ),
    max_leaves=30,
)


def is_deeper_than(limit: int, data: bytes) -> bool:
    return complete(looking_deeper_than(limit, data))


def depth_of(value: Any) -> int:
    match value:
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case list():
            return 1 + max(map(depth_of, value), default=0)
    return 0


@given(values, st.booleans(), st.integers(0, 8), st.integers(1, 9))
def test_it_agrees_with_a_decoder_wherever_the_pieces_end(
    value: Any, spaced: bool, limit: int, piece: int
) -> None:
    document = json.dumps(value, indent=1 if spaced else None).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nesting, "_SLICE", piece)
        assert is_deeper_than(limit, document) is (depth_of(value) > limit)


@pytest.mark.parametrize(
    "document",
    [
        b'["\\"", "[["]',
        b'["\\\\", "[["]',
        b'["\\\\\\"[[", "]"]',
        b'["\\u005b[", "\\n]", {"[{": "}"}]',
        '["é[", "日本{"]'.encode(),
    ],
)
def test_brackets_in_strings_do_not_count(document: bytes) -> None:
    assert is_deeper_than(2, document) is False
    assert is_deeper_than(depth_of(json.loads(document)) - 1, document) is True


@pytest.mark.parametrize(
    "unit", [(b"[", b"]"), (b'{"a":', b"}"), (b'[1,{"a":', b"}]"), (b'[[],{"]":', b',"":[]}]')]
)
def test_the_limit_is_exact_whatever_is_nested(unit: tuple[bytes, bytes]) -> None:
    opening, closing = unit
    document = opening * 100 + b"1" + closing * 100
    depth = depth_of(json.loads(document))
    assert is_deeper_than(depth, document) is False
    assert is_deeper_than(depth - 1, document) is True
