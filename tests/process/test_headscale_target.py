"""`make headscale-test`: without a headscale, with something that is none, and that nothing else runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def pytest_with(headscale: str | None, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != "HEADSCALE"}
    named = {} if headscale is None else {"HEADSCALE": headscale}
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "tests/headscale", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=kept | named | env,
    )


def test_without_a_headscale_it_skips_and_says_how_to_name_one() -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nheadscale-test:")[2].splitlines()[1]
    assert recipe.split()[-4:] == ["pytest", "-m", "headscale", "tests/headscale"]
    for named in (None, ""):
        done = pytest_with(named, "-m", "headscale", CI="true")
        assert done.returncode == 0, done.stdout
        assert "run: make headscale-test HEADSCALE=/path/to/headscale" in done.stdout
        assert " passed" not in done.stdout


def test_it_is_no_part_of_any_other_run() -> None:
    for words in ((), ("-m", "not slow and not interop and not netns")):
        done = pytest_with(None, *words, CI="true")
        assert done.returncode == 5, "no test is left to run"
        assert "skipped" not in done.stdout


@pytest.mark.parametrize("content", [None, "not executable"])
def test_what_cannot_be_run_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "headscale"
    if content is not None:
        path.write_text(content)
    done = pytest_with(str(path), "-m", "headscale", "-k", "refused_key")
    assert done.returncode == 1
    assert f"cannot run HEADSCALE={path}: it is no program that may be executed" in done.stdout


def test_a_server_that_does_not_start_is_shown_with_its_words(tmp_path: Path) -> None:
    path = tmp_path / "headscale"
    path.write_text('#!/bin/sh\necho "I was told: $*"\ntest -r "$3" || echo "no configuration"\nexit 3\n')
    path.chmod(0o755)
    done = pytest_with(str(path), "-m", "headscale", "-k", "refused_key")
    assert done.returncode == 1
    assert "cannot start headscale: it ended with 3: I was told: serve --config /tmp/nmx-" in done.stdout
    assert "no configuration" not in done.stdout.partition("ended with 3")[2].partition("===")[0]
