"""Tests of one group have to run in one worker: they share a port, the cores, or a daemon that takes long to set up."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GROUPED = """
import pytest

@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(8))
def test_one(number):
    pass
"""


def test_a_group_runs_in_one_worker_with_the_versions_pinned_here(tmp_path: Path) -> None:
    """pytest-xdist tells nobody when it no longer finds the groups, as with pytest 9.2.0."""
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    options = ("-v", "-p", "xdist", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    workers = re.findall(r"^\[(gw\d)\] .* PASSED", done.stdout, flags=re.MULTILINE)
    assert (len(workers), len(set(workers))) == (8, 1), done.stdout + done.stderr
