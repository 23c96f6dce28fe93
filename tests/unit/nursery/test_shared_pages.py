"""What a fork writes to becomes its own: here by a collection and by lookups of attributes, which every actor has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import gc, os, sys
import netmap_actors.control_connection.actor
from netmap_actors.nursery.shared_pages import keep_shared

def copied():
    with open("/proc/self/smaps_rollup") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))

def look_up(names):
    for name in names:
        getattr(object, name, None)

how, what = sys.argv[1:]
others = [f"{number:080}" for number in range(4000)]
# Each on a page of its own.
names = [[f"{number:090}", *(bytes(100 + number % 5) for _ in range(28))] for number in range(4000)]
look_up(name for name, *_ in names)
if how == "kept":
    keep_shared()
if (pid := os.fork()) == 0:
    before = copied()
    gc.collect() if what == "collection" else look_up(others)
    print(copied() - before, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def copied_kib(how: str, what: str) -> int:
    shown = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, how, what],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return int(shown.stdout)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="this kernel does not count pages")
@pytest.mark.parametrize("what", ["collection", "lookups"])
def test_a_fork_leaves_what_it_shares_as_it_is(what: str) -> None:
    if what == "lookups" and sys.version_info >= (3, 12):
        pytest.skip("names are immortal")
    kept, written = copied_kib("kept", what), copied_kib("as it is", what)
    assert kept < 0.7 * written, f"{kept} KiB were copied, {written} without it"
