"""The file of figures: one line a run, complete, and nothing in it that names a machine."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import msgspec
import pytest

from bench.bounds import BOUNDS
from bench.figures import Figure
from bench.history import HISTORY, ROOT, append, checkout, read, rounded
from bench.machine import Machine, Versions
from tests.unit.bench.runs import run

ONE = Figure("s", 0.1, 0.09, 0.2, 20)


def git(place: Path, *arguments: str) -> None:
    named = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *named, *arguments], cwd=place, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with one commit."""
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_runs_are_read_as_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert read(path) == []
    runs = [run(1, {"real.1000.kill_to_fresh": ONE}), run(2, quick=True)]
    for one in runs:
        append(one, path)
    assert read(path) == runs
    assert len(path.read_text().splitlines()) == 2


def test_four_digits_are_kept() -> None:
    assert rounded(Figure("s", 0.123456, 0.1, 12345.6, 3)) == Figure("s", 0.1235, 0.1, 12350.0, 3)


def test_a_line_says_what_kind_of_machine_it_was_and_not_which() -> None:
    said = msgspec.json.encode([Machine.this_one(), Versions.these()]).decode()
    assert platform.node() not in said
    assert platform.release() not in said
    assert "/" not in said


def test_a_tree_is_clean_when_it_is_what_its_commit_holds(tree: Path) -> None:
    commit, clean = checkout(tree)
    assert (len(commit), clean) == (12, True)
    (tree / "code.py").write_text("2")
    assert checkout(tree) == (commit, False)


def test_a_new_file_makes_another_tree(tree: Path) -> None:
    (tree / "more.py").write_text("1")
    assert checkout(tree)[1] is False


def test_what_a_run_writes_makes_no_other_tree(tree: Path) -> None:
    for name in ("bench/history.jsonl", "docs/performance.md", "docs/performance/start.svg"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("")
    assert checkout(tree)[1] is True


def test_without_git_no_commit_is_named(tmp_path: Path) -> None:
    assert checkout(tmp_path) == ("", False)


def test_the_kept_history_can_be_read() -> None:
    runs = read()
    assert [one.at for one in runs] == sorted(one.at for one in runs)
    assert str(ROOT) not in (HISTORY.read_text() if HISTORY.exists() else "")


def test_a_whole_run_has_every_figure_that_has_a_bound() -> None:
    """None of those that broke off are asked for."""
    for one in read():
        if not one.quick and not one.failed:
            wanted = {bound.figure for bound in BOUNDS if bound.program in one.programs}
            assert wanted <= set(one.figures), one.at
