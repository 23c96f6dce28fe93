"""`check-client` with Tailscale's own clients, by the scripts that the documentation names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.processes.daemon import PROGRAM

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("script", ["tailscaled.sh", "tsp.sh"])
def test_a_go_client_joins_and_comes_back_after_a_cut(go_tools: Path, tmp_path: Path, script: str) -> None:
    options = ["--jobs=2", "--scenario=join", "--scenario=session/cut", f"--output={tmp_path}"]
    done = subprocess.run(
        [*PROGRAM, "check-client", *options, "--", ROOT / "docs/examples/clients" / script],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PATH": f"{go_tools}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 pass" in done.stdout
