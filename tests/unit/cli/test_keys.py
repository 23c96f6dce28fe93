"""`keys` without a daemon: whose files it writes, and which words it takes for a key."""

from __future__ import annotations

import os
import stat
import string
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_actors.curve_keys import AllowList, check_public, generate
from netmap_supervisor.cli import main
from netmap_supervisor.config.options import OPTIONS
from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

Z85 = string.digits + string.ascii_letters + ".-:+=^!/*?&<>()[]{}@%"
"""What a key may begin with: with the two others it would stand for no bytes."""
SOMEBODY = 4242
"""An unused user id."""


@pytest.fixture(autouse=True)
def nobody_elses_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    settings = tmp_path / "config.toml"
    settings.touch()
    monkeypatch.setenv("NETMAP_SUPERVISOR_CONFIG", str(settings))
    with tempfile.TemporaryDirectory(prefix="nm-", dir="/tmp") as directory:
        monkeypatch.setenv(OPTIONS["runtime_dir"].variable, directory)
        yield


def keys(*words: str) -> int:
    return main(["keys", *words])


# Which words are a key


def test_no_generated_key_begins_with_a_dash() -> None:
    drawn = [generate() for _ in range(2000)]
    assert [pair.public for pair in drawn if pair.public.startswith("-")] == []


def test_a_key_may_begin_with_whatever_keys_begin_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = f"--state-dir={tmp_path}/state"
    begins = [*Z85, "--", "-h", "--help", "--config", "--state-dir", "-x=", "-q"]
    given: dict[str, str] = {}
    for number, begin in enumerate(begins):
        name, key = f"client-{number}", check_public(f"{begin}{number:a<40}"[:40])
        words = [
            ["allow", state, name, key],
            ["allow", name, key, state],
            ["allow", name, state, key],
        ]
        assert keys(*words[number % 3]) == 0, capsys.readouterr().err
        given[name] = key
    allowed = AllowList(tmp_path / "state" / "curve").clients()
    assert {client.name: client.public for client in allowed} == given


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("allow", "-x", "KEY"), "cannot name a client '-x'"),
        (("allow", "--", "-x", "KEY"), "cannot name a client '-x'"),
        (("allow", "-hx", "KEY"), "cannot name a client '-hx'"),
        (("revoke", "-x"), "cannot revoke '-x'"),
    ],
)
def test_a_name_that_begins_with_a_dash_is_refused_as_a_name(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = generate().public
    flag = f"--state-dir={tmp_path}/state"
    assert keys(words[0], flag, *(key if word == "KEY" else word for word in words[1:])) == 1
    assert said in capsys.readouterr().err
    assert AllowList(tmp_path / "state" / "curve").clients() == []


def test_a_mistyped_option_is_still_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "a" * 40
    assert keys("allow", "laptop", key, f"--stat-dir={tmp_path}") == 2
    assert "--stat-dir" in capsys.readouterr().err
    assert keys("allow", "-h") == 0
    assert "PUBLIC_KEY" in capsys.readouterr().out


# Whose files are written


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """Another user's state directory, as root finds it."""
    if os.geteuid() != 0:
        unavailable("giving a directory to somebody else needs root")
    state = tmp_path / "state"
    (state / "curve" / "allowed").mkdir(parents=True, mode=0o700)
    for path in (state, state / "curve", state / "curve" / "allowed"):
        os.chown(path, SOMEBODY, SOMEBODY)
    return state


def owners(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode))
        for path in (directory, *directory.rglob("*"))
    }


@pytest.mark.parametrize("what", ["allow", "revoke", "server", "generate"])
@pytest.mark.parametrize("there", ["state/curve/allowed", "state/curve", "state", "home"])
def test_nothing_is_written_where_the_directory_is_somebody_elses(
    what: str, there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        unavailable("giving a directory to somebody else needs root")
    state = tmp_path / "home" / "state" if there == "home" else tmp_path / "state"
    made = tmp_path / there
    made.mkdir(parents=True, mode=0o700)
    client = state / "curve" / "allowed" / "laptop.key"
    if client.parent == made:
        client.write_text(f"{generate().public}\n")
    for path in (made, *made.parents, *made.rglob("*")):
        if path != tmp_path and path.is_relative_to(tmp_path):
            os.chown(path, SOMEBODY, SOMEBODY)
    before = owners(tmp_path)
    words = {
        "allow": ("allow", "phone", generate().public),
        "revoke": ("revoke", "laptop"),
        "server": ("server",),
        "generate": ("generate", str(made / "mine.key_secret")),
    }[what]
    flags = () if what == "generate" else (f"--state-dir={state}",)
    assert keys(*words, *flags) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "may subscribe" not in told.err
    assert f"user {SOMEBODY}" in told.err
    assert owners(tmp_path) == before


def test_what_is_there_can_be_read_by_who_may(theirs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = generate().public
    (theirs / "curve" / "allowed" / "laptop.key").write_text(f"{key}\n")
    assert keys("list", "--json", f"--state-dir={theirs}") == 0
    assert key in capsys.readouterr().out


def test_ones_own_directory_is_made_and_private(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state"
    assert keys("allow", "laptop", generate().public, f"--state-dir={state}") == 0
    assert set(owners(state).values()) == {(os.geteuid(), 0o700), (os.geteuid(), 0o600)}
