"""Large blocks go back to the kernel."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
from netmap_actors.process.allocator import return_large_blocks

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

assert return_large_blocks()
before = resident()
blocks = [bytearray(b"x" * 24_000_000) for _ in range(4)]
del blocks
small = bytearray(b"x" * 20_000_000)
del small
print(resident() - before)
"""


def test_what_a_large_map_needed_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30
    )
    assert int(done.stdout) < 4_000_000
