"""What the endpoint makes of tokens that cannot be read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from netmap_actors.access_tokens import TokenList, hash_token
from netmap_actors.boot import HttpSettings
from netmap_actors.http_endpoint.access import TOKENS, Access

if TYPE_CHECKING:
    from netmap_actors.process.child_log import ChildLog


def access(tmp_path: Path, shown: list[tuple[str, str]]) -> Access:
    settings = HttpSettings(listen="192.0.2.1:9641", token_required=True, tokens=str(tmp_path))
    return Access(settings, cast("ChildLog", None), lambda code, text: shown.append((code, text)))


def closed(path: Path) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_directory_that_was_closed_since_is_one_for_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TokenList(tmp_path, "default").create("a", "read", hash_token("x"), "")
    shown: list[tuple[str, str]] = []
    found = access(tmp_path, shown)
    assert found.look(0.0) == frozenset({hash_token("x")})
    monkeypatch.setattr(os, "scandir", closed)
    assert found.look(0.0) is None
    assert found.out_of_reach
    assert shown == [(TOKENS, "cannot read the tokens of HTTP clients: Permission denied")]


def test_one_that_was_never_open_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "scandir", closed)
    found = access(tmp_path, [])
    for _ in range(3):
        assert found.look(0.0) is None
        assert not found.out_of_reach, "or it would end again and again"
