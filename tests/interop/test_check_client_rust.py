"""`check-client` with tailscale's crate for Rust, by the script that the documentation names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.processes.daemon import PROGRAM

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "clients" / "tailscale-rs.sh"


def test_the_crate_joins_and_comes_back_after_a_cut(rust_client_binary: Path, tmp_path: Path) -> None:
    options = ["--jobs=2", "--scenario=join", "--scenario=session/cut", f"--output={tmp_path}"]
    done = subprocess.run(
        [*PROGRAM, "check-client", *options, "--", SCRIPT],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        env={**os.environ, "PATH": f"{rust_client_binary.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 pass" in done.stdout
