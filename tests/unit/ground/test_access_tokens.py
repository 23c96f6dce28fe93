"""The tokens of HTTP clients on disk: only hashes, each file whole, and a bad one harms no other."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from netmap_actors.access_tokens import AccessToken, TokenList, generate_token, hash_token
from netmap_actors.errors import ConfigurationError

CREATED = "2026-11-29T20:00:00Z"


def made(directory: Path) -> TokenList:
    return TokenList(directory / "http_tokens" / "default", "default")


def test_a_token_is_long_and_to_be_found_by_scanners() -> None:
    tokens = {generate_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"nms_[A-Za-z0-9_-]{43}", token) for token in tokens)


def test_what_is_kept_finds_the_token_and_does_not_hold_it(tmp_path: Path) -> None:
    tokens, token = made(tmp_path), generate_token()
    kept = tokens.create("prom", "metrics", hash_token(token), CREATED)
    assert kept == AccessToken("prom", "metrics", CREATED, hash_token(token))
    assert tokens.find(token) == kept
    assert tokens.find(token[:-1]) is tokens.find("") is tokens.find(hash_token(token)) is None
    assert tokens.find("\xff\ud800") is None
    (file,) = (tmp_path / "http_tokens" / "default").iterdir()
    assert token not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert {stat.S_IMODE(place.stat().st_mode) for place in (file.parent, file.parent.parent)} == {0o700}


def test_what_another_process_changes_holds_at_the_next_question(tmp_path: Path) -> None:
    ours, theirs, token = made(tmp_path), made(tmp_path), generate_token()
    assert ours.tokens() == ()
    theirs.create("a", "read", hash_token(token), CREATED)
    assert ours.find(token) is not None
    theirs.revoke("a")
    assert ours.find(token) is None
    theirs.create("a", "read", hash_token(generate_token()), CREATED)
    assert ours.find(token) is None, "the name is another token's now"
    assert len(ours.tokens()) == 1


@pytest.mark.parametrize(
    ("name", "scope", "sha256", "why"),
    [
        ("../x", "read", "0" * 64, "cannot name a token"),
        ("", "read", "0" * 64, "cannot name a token"),
        ("a" * 65, "read", "0" * 64, "cannot name a token"),
        ("a", "write", "0" * 64, "metrics and read are known"),
        ("a", "read", "nms_secret", "cannot keep this token: a SHA-256"),
        ("a", "read", "G" * 64, "cannot keep this token: a SHA-256"),
        ("taken", "read", "0" * 64, "the name is taken; revoke it first"),
    ],
)
def test_a_word_that_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, name: str, scope: str, sha256: str, why: str
) -> None:
    tokens = made(tmp_path)
    tokens.create("taken", "read", "1" * 64, CREATED)
    with pytest.raises(ConfigurationError, match=re.escape(why)) as refused:
        tokens.create(name, scope, sha256, CREATED)
    assert "nms_secret" not in str(refused.value)
    assert [one.sha256 for one in tokens.tokens()] == ["1" * 64]


def test_who_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    tokens = made(tmp_path)
    with pytest.raises(ConfigurationError, match="there is none"):
        tokens.revoke("a")
    tokens.create("b", "read", "1" * 64, CREATED)
    with pytest.raises(ConfigurationError, match=r"among the tokens \(b\)"):
        tokens.revoke("../b")


def test_a_file_that_is_no_token_opens_nothing_and_harms_no_other(tmp_path: Path) -> None:
    tokens, token = made(tmp_path), generate_token()
    tokens.create("good", "read", hash_token(token), CREATED)
    directory = tmp_path / "http_tokens" / "default"
    good = (directory / "good.json").read_text()
    bad = {
        "cut": good[:-20],
        "scope": good.replace('"read"', '"root"'),
        "other": good.replace('"default"', '"work"'),
        "short": good.replace(hash_token(token), hash_token(token)[:-1]),
        "list": "[]",
        "deep": '{"more": ' + "[" * 4000,
    }
    for name, text in bad.items():
        (directory / f"{name}.json").write_text(text)
    os.mkfifo(directory / "pipe.json")
    (directory / ".swap.json").write_text(good)
    assert [one.name for one in tokens.tokens()] == ["good"]
    problems = tokens.problems()
    assert {Path(one.partition(": ")[0]).stem for one in problems if one.startswith("/")} == set(bad) | (
        {"pipe"} if any("pipe" in one for one in problems) else set()
    )
    assert len(problems) == len(bad) + 1


def test_a_link_that_cannot_be_followed_opens_nothing_and_harms_no_other(tmp_path: Path) -> None:
    tokens, token = made(tmp_path), generate_token()
    tokens.create("good", "read", hash_token(token), CREATED)
    directory = tmp_path / "http_tokens" / "default"
    for name, target in (("circle", "circle.json"), ("long", "x" * 300), ("through", "good.json/x")):
        (directory / f"{name}.json").symlink_to(target)
    assert [one.name for one in tokens.tokens()] == ["good"]
    assert tokens.find(token) is not None
    assert [Path(one.partition(": ")[0]).stem for one in tokens.problems()] == ["circle", "long", "through"]
    for name in ("circle", "long", "through"):
        tokens.revoke(name)
    assert tokens.problems() == ()
