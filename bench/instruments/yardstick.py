"""How long this machine takes to start an interpreter that does nothing: what other times can be compared with."""

from __future__ import annotations

import subprocess
import sys
import time


def empty_interpreter() -> float:
    """Milliseconds of one `python -c pass`, from fork to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, stdin=subprocess.DEVNULL)
    return 1000 * (time.perf_counter() - began)
