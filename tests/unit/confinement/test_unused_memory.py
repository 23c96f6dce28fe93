"""What a process needed to start is given back, and it goes on as before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from netmap_actors.control_connection.actor import ControlConnection
from netmap_actors.confinement.unused_memory import give_back

def of_files():
    with open("/proc/self/smaps_rollup") as lines:
        fields = {name: int(value[0]) for name, *value in (line.split() for line in lines) if name.endswith(":")}
    return fields["Rss:"] - fields["Anonymous:"]

ControlConnection.preload()
before = of_files()
give_back()
after = of_files()
ControlConnection.preload()
print(before, after)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this kernel does not count pages")
def test_libraries_are_left_to_the_cache_and_come_back() -> None:
    shown = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    before, after = map(int, shown.stdout.split())
    assert after < before / 2, f"of {before} KiB, {after} are still mapped"
