"""`tailnet.policy.hujson`: what people add to JSON changes nothing of it, every place is the place in the text."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.dev_control.tailnet.policy.hujson import (
    BadHujson,
    decode_hujson,
    pieces,
    place_of,
    plain_json,
)

_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(["// no comment", "/* nor */ this", 'a \\ " ,]', ",}", "/"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
_fillers = st.sampled_from(
    ["", " ", "\n", "\t\r\n", "// ]\n", "/* } */", "/**/", "/* // */", "//\n", "/***/ ", '// "\n', "/*\n\n*/"]
)


class Decorated:
    """A value as JSON with comments and commas between its parts, and where each of its values begins."""

    def __init__(self, draw: st.DrawFn, value: Any) -> None:
        self._draw = draw
        self.text = ""
        self.places: dict[tuple[str | int, ...], int] = {}
        self._fill()
        self._write(value, ())
        self._fill()

    def _fill(self) -> None:
        self.text += self._draw(_fillers)

    def _write(self, value: Any, path: tuple[str | int, ...]) -> None:
        self.places[path] = len(self.text)
        if not isinstance(value, list | dict):
            self.text += json.dumps(value)
            return
        self.text += "[" if isinstance(value, list) else "{"
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for number, (step, inner) in enumerate(items, 1):
            self._fill()
            if isinstance(step, str):
                self.text += json.dumps(step)
                self._fill()
                self.text += ":"
                self._fill()
            self._write(inner, (*path, step))
            self._fill()
            if number < len(items) or self._draw(st.booleans()):
                self.text += ","
        self._fill()
        self.text += "]" if isinstance(value, list) else "}"


@st.composite
def decorated(draw: st.DrawFn) -> tuple[Any, Decorated]:
    value = draw(_values)
    return value, Decorated(draw, value)


@given(decorated())
def test_what_people_add_changes_nothing(drawn: tuple[Any, Decorated]) -> None:
    value, made = drawn
    assert json.dumps(decode_hujson(made.text)) == json.dumps(value)
    assert len(plain_json(made.text)) == len(made.text)


@given(decorated())
def test_every_value_is_found_again_at_its_place(drawn: tuple[Any, Decorated]) -> None:
    _, made = drawn
    for path, at in made.places.items():
        before = made.text[:at].split("\n")
        assert place_of(made.text, path) == (len(before), len(before[-1]) + 1)


@given(st.text(alphabet='{}[]:,"/*\\ \n1ae', max_size=40))
def test_any_text_is_json_or_refused_with_a_place(text: str) -> None:
    try:
        decode_hujson(text)
    except BadHujson as error:
        if not str(error).startswith("line "):
            raise
    else:
        json.loads(plain_json(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1, column 1: Expecting value"),
        ('{"a": 1 "b": 2}', "line 1, column 9: Expecting ',' delimiter"),
        ("// one\n/* two\nthree */ [1 2]", "line 3, column 13: Expecting ',' delimiter"),
        ("[,]", "line 1, column 2: Expecting value"),
        ("[1,,]", "line 1, column 4: Expecting value"),
        ("{,}", "line 1, column 2: Expecting property name"),
        ('{"a":,}', "line 1, column 6: Expecting value"),
        ("1,", "line 1, column 2: Extra data"),
        ("[1]\n  [2]", "line 2, column 3: Extra data"),
        ('["a\n"]', "line 1, column 4: Invalid control character"),
        ('\n["abc', "line 2, column 2: Unterminated string"),
        ("[\n/* no end", "line 2, column 1: a comment without an end"),
        ("[1] /", "line 1, column 5: '/' begins no comment"),
        ("# shell", "line 1, column 1: Expecting value"),
        ("[NaN]", "line 1, column 2: 'NaN' is no JSON"),
        ('{"a":-Infinity}', "line 1, column 6: '-Infinity' is no JSON"),
        ('{"a":1,\n "b":{"a":2},\n "a":3}', 'line 3, column 2: "a" stands twice in one object'),
        ('{"a":1,"\\u0061":3}', 'line 1, column 8: "\\u0061" stands twice in one object'),
        ("9" * 5000, "is no JSON"),
        ("[" * 5000, "line 1, column 201: it is nested more than 200 deep"),
    ],
)
def test_what_is_no_hujson_is_refused_where_it_stops_to_be(text: str, why: str) -> None:
    with pytest.raises(BadHujson) as caught:
        decode_hujson(text)
    assert why in str(caught.value)


def test_a_value_that_is_not_there_has_the_place_of_what_holds_it() -> None:
    text = '{\n  "acls": [\n    {"src": ["*"]}\n  ]\n}'
    assert place_of(text, ("acls", 0, "src", 0)) == (3, 14)
    assert place_of(text, ("acls", 0, "src"), name=True) == (3, 6)
    assert place_of(text, ("acls", 0, "dst")) == (3, 5)
    assert place_of(text, ("acls", 0, "src", 0, "x", 1)) == (3, 14)
    assert place_of(text, ()) == (1, 1)


MIB = 1 << 20
LARGE = {
    "slashes": "{} //" + "/" * MIB,
    "comment lines": "{\n" + "// a comment line   \n" * (MIB // 21) + "}",
    "comments": "[1" + "/*,*/" * (MIB // 5) + ",]",
    "stars": "[1, /" + "*" * MIB + "/ ]",
    "spaces and commas": "[" + "1 , " * (MIB // 16) + "]",
    "backslashes": '["' + "\\\\" * (MIB // 2) + '"]',
    "half comments": "[1, " + "/* " * (MIB // 3),
    "half texts": '["' + "\\" * MIB,
    "quotes": '"' * (MIB // 4),
}


@pytest.mark.parametrize("name", LARGE)
def test_the_work_grows_with_the_text_and_not_faster(name: str) -> None:
    """Each piece begins where the last one ended: there are at most as many of them as characters."""
    text = LARGE[name]
    end = 0
    for at, piece, _ in pieces(text):
        assert at == end
        assert piece
        end = at + len(piece)
    assert end == len(text)
    broken = name.startswith(("half", "quotes"))
    with pytest.raises(BadHujson) if broken else contextlib.nullcontext():
        decode_hujson(text)
