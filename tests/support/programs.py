"""Programs of the system that read what we write, run with a limit."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["found", "reads"]

LIMIT = 50.0


def found(program: str) -> str:
    """Where it is; ends the test where it is not."""
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    return path or unavailable(f"{program} is not installed")


def reads(*words: str, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run it, which has to end with 0; what it printed, standard output first."""
    done = subprocess.run(
        [found(words[0]), *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
        env=env,
        input=stdin,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
