"""A place that cannot be written is found before there is something to write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netmap_supervisor.admin.commands import CommandFailed
from netmap_supervisor.cli.export.output_file import OutputFile

if TYPE_CHECKING:
    from pathlib import Path


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    OutputFile(tmp_path / "new").check()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old").write_text("as it was")
    OutputFile(tmp_path / "old").check()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["as it was"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("none/file", "there is no directory"),
        ("file/file", "Not a directory"),
        ("directory", "it is no regular file"),
        ("link", "it is a symbolic link"),
        ("pipe", "it is no regular file"),
    ],
)
def test_a_check_says_why_it_cannot_be_written(tmp_path: Path, place: str, why: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CommandFailed, match=f"cannot write .*{place}: {why}"):
        OutputFile(tmp_path / place).check()
