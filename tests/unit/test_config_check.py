"""What root is told about a service's directories, and a user about somebody else's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.cli.config_check import doubts, refusals
from netmap_supervisor.config import load

if TYPE_CHECKING:
    from pathlib import Path

    from netmap_supervisor.run_settings import RunSettings


def settings_in(directory: Path) -> RunSettings:
    given = {"state_dir": str(directory / "state"), "runtime_dir": str(directory / "run")}
    return load(given, {}).run_settings(log_format="json")


def test_a_user_is_refused_a_strangers_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    (refused,) = refusals(settings, {})
    assert "belongs to user" in refused
    assert list(doubts(settings)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory away needs root")
def test_root_is_told_whose_they_are(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "state").mkdir(mode=0o700)
    os.chown(tmp_path / "state", 54321, -1)
    assert list(refusals(settings, {})) == []
    (told,) = doubts(settings)
    assert "user 54321" in told


def test_a_directory_that_is_a_file_and_one_for_everybody_are_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (tmp_path / "state").write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o770)
    of_run, of_state = refusals(settings, {})
    assert "others may write to it" in of_run
    assert "File exists" in of_state
