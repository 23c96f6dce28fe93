"""The receiver of the documentation takes what the daemon signs, and nothing else."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.webhooks.signature import signature

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "webhooks" / "receiver.py"
NOW = 1_795_953_600.0
SECRET, BODY = b"key", b'[{"type":"test"}]'


@pytest.fixture(scope="module")
def is_authentic() -> Callable[..., bool]:
    found: Callable[..., bool] = runpy.run_path(str(EXAMPLE))["is_authentic"]
    return found


def test_what_the_daemon_signs_is_authentic(is_authentic: Callable[..., bool]) -> None:
    assert is_authentic(SECRET, signature(SECRET, BODY, NOW), BODY, NOW + 1)


@pytest.mark.parametrize(
    ("secret", "header", "body", "now"),
    [
        (b"other", signature(SECRET, BODY, NOW), BODY, NOW),
        (SECRET, signature(SECRET, BODY, NOW), BODY + b" ", NOW),
        (SECRET, signature(SECRET, BODY, NOW), BODY, NOW + 301),
        (SECRET, signature(SECRET, BODY, NOW).replace("t=", "t=-"), BODY, NOW),
        (SECRET, signature(SECRET, BODY, NOW).partition(",")[0], BODY, NOW),
        (SECRET, "", BODY, NOW),
        (SECRET, "t=\u0661,v1=\u00e9", BODY, NOW),
    ],
)
def test_nothing_else_is(
    secret: bytes, header: str, body: bytes, now: float, is_authentic: Callable[..., bool]
) -> None:
    assert not is_authentic(secret, header, body, now)


@pytest.mark.parametrize(
    ("body", "events", "printed"),
    [
        (BODY, [{"type": "test"}], ""),
        (b'{"text":"web is offline"}', [], '\'{"text":"web is offline"}\'\n'),
        (b"web is offline\x1b", [], "'web is offline\\x1b'\n"),
        (b"\xff", [], "'\\ufffd'\n"),
    ],
)
def test_what_a_chat_would_be_sent_is_printed(
    body: bytes, events: list[object], printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runpy.run_path(str(EXAMPLE))["events_of"](body) == events
    assert capsys.readouterr().out == printed
