"""`tokens` without a daemon: one line on standard output, once, and a hash in the files."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.access_tokens import TokenList
from netmap_supervisor.cli import main
from netmap_supervisor.config.options import OPTIONS
from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("NETMAP_SUPERVISOR_CONFIG", str(settings))
    with tempfile.TemporaryDirectory(prefix="nm-", dir="/tmp") as directory:
        monkeypatch.setenv(OPTIONS["runtime_dir"].variable, directory)
        yield


def tokens(tmp_path: Path, *words: str) -> int:
    return main(["tokens", *words, f"--state-dir={tmp_path}/state"])


def test_a_token_is_printed_once_and_found_until_it_is_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens(tmp_path, "create", "prom", "--scope", "metrics") == 0
    said = capsys.readouterr()
    token = said.out.removesuffix("\n")
    assert re.fullmatch(r"nms_[A-Za-z0-9_-]{43}", token)
    assert token not in said.err
    held = TokenList(tmp_path / "state" / "http_tokens" / "default", "default")
    found = held.find(token)
    assert found is not None
    assert (found.name, found.scope) == ("prom", "metrics")
    assert not [path for path in (tmp_path / "state").rglob("*.json") if token in path.read_text()]
    assert tokens(tmp_path, "list", "--json") == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown == {"name": "prom", "scope": "metrics", "created": found.created}
    assert tokens(tmp_path, "list") == 0
    assert "prom" in capsys.readouterr().out
    assert tokens(tmp_path, "revoke", "prom") == 0
    assert held.find(token) is None
    capsys.readouterr()
    assert tokens(tmp_path, "list") == 0
    said = capsys.readouterr()
    assert (said.out, "there is no token; `netmap-supervisor tokens create" in said.err) == ("", True)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("create", "x"), 2, "--scope"),
        (("create", "x", "--scope", "admin"), 2, "admin"),
        (("create", "../x", "--scope", "read"), 1, "cannot name a token"),
        (("create", "taken", "--scope", "read"), 1, "the name is taken; revoke it first"),
        (("revoke", "nobody"), 1, "not among the tokens (taken)"),
    ],
)
def test_what_cannot_be_done_says_why_and_prints_no_token(
    words: tuple[str, ...], status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokens(tmp_path, "create", "taken", "--scope", "read") == 0
    capsys.readouterr()
    assert tokens(tmp_path, *words) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert said in shown.err


def test_a_file_that_is_no_token_is_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "state" / "http_tokens" / "default"
    directory.mkdir(parents=True)
    (directory / "bad.json").write_text("{}")
    assert tokens(tmp_path, "list", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == []
    assert "warning: opens nothing: " in said.err


def test_root_leaves_no_file_in_another_users_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        unavailable("a directory of somebody else needs root")
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 4242, 4242)
    assert tokens(tmp_path, "create", "x", "--scope", "read") == 1
    said = capsys.readouterr()
    assert (said.out, "it belongs to user 4242" in said.err) == ("", True)
    assert list((tmp_path / "state").iterdir()) == []
