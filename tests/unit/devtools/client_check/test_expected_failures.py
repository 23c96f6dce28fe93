"""The file of expected failures."""

from __future__ import annotations

import re

import pytest

from netmap_supervisor.devtools.client_check.expected_failures import BadExpectation, parse_expected_failures

RIGHT = {"liveness/silence": "issue 7 of ours", "session/cut": "not yet"}


@pytest.mark.parametrize(
    "text",
    [
        '# what we know\n\n"liveness/silence" = "issue 7 of ours"\n"session/cut" = "not yet"  # soon\n',
        'liveness/silence = "issue 7 of ours"\nsession/cut = "not yet"  # soon\n',
        "liveness/silence: issue 7 of ours\n  session/cut   not yet\n",
        "# no quotes\nliveness/silence = issue 7 of ours\nsession/cut='not yet'",
    ],
)
def test_lines_and_toml_say_the_same(text: str) -> None:
    assert parse_expected_failures(text) == RIGHT


def test_an_empty_file_expects_nothing() -> None:
    assert parse_expected_failures("") == parse_expected_failures("\n# nothing\n") == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\nliveness/silense = x",
            "line 2: 'liveness/silense' is no scenario; did you mean liveness/silence?",
        ),
        ("half_frame x", "did you mean liveness/half-frame?"),
        ("liveness = all of it", "line 1: 'liveness' is no scenario"),
        ("liveness/silence", "line 1: liveness/silence has no reason"),
        ('"liveness/silence" = ""', "liveness/silence has no reason"),
        ("session/cut a\nsession/cut b", "line 2: session/cut stands there twice"),
        ("= x", 'line 1: write NAME = "reason"'),
        ("\x1b[2J = x", r"line 1: '\x1b[2J' is no scenario"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadExpectation, match=re.escape(said)):
        parse_expected_failures(text)
