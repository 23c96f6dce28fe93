"""The check of a service's directories by root, and of another user's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.cli.config.check import doubts, refusals
from netmap_supervisor.config.layers import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netmap_supervisor.config.settings import RunSettings


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of a name short enough for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="nms-", dir="/tmp") as made:
        yield Path(made)


def settings_in(directory: Path) -> RunSettings:
    given = {"state_dir": str(directory / "state"), "runtime_dir": str(directory / "run")}
    return load(given, {}).run_settings(log_format="json")


def test_a_user_is_refused_a_strangers_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(place)
    (place / "state").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    (refused,) = refusals(settings, {})
    assert "belongs to user" in refused
    assert list(doubts(settings)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away needs root")
def test_root_is_told_whose_they_are(place: Path) -> None:
    settings = settings_in(place)
    (place / "state").mkdir(mode=0o700)
    os.chown(place / "state", 54321, -1)
    assert list(refusals(settings, {})) == []
    (told,) = doubts(settings)
    assert "user 54321" in told


def test_a_directory_that_is_a_file_and_one_for_everybody_are_refused(place: Path) -> None:
    settings = settings_in(place)
    (place / "state").write_text("")
    (place / "run").mkdir()
    (place / "run").chmod(0o770)
    of_run, of_state = refusals(settings, {})
    assert "others may write to it" in of_run
    assert "File exists" in of_state
