from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from netmap_actors.confinement.memory_guard import MEMORY_LIMIT, ROOM, MemoryGuard

MOST = 1 << 30

GROWING = """
import time
from netmap_actors.bus.loop import Loop
from netmap_actors.confinement.memory_guard import MEMORY_LIMIT, unwatch_memory, watch_memory
loop, kept, told = Loop(), [], []
class Connections:
    def hang_up_on_floods(self): return 0
    def hang_up_on_all(self): told.append(len(kept)); kept.clear(); return 1
watch_memory(loop, Connections(), grows=False)
until = time.monotonic() + 20
def more():
    kept.append(b"x" * (1 << 20))
    assert len(kept) < 3 * MEMORY_LIMIT >> 20, "nobody has noticed"
    if time.monotonic() < until and len(told) < 3:
        loop.at(loop.now() + 0.001, more)
loop.call_soon(more)
loop.run(lambda: len(told) == 3)
unwatch_memory()
print(*told)
"""
ENDING = """
import time
from netmap_actors.bus.loop import Loop
from netmap_actors.confinement.memory_guard import STEP, unwatch_memory, watch_memory
class Late:
    def __del__(self):
        until = time.process_time() + 10 * STEP
        while time.process_time() < until:
            pass
kept = Late()
watch_memory(Loop(), None, grows=False)
unwatch_memory()
print(7)
"""
"""It still works while Python comes to its end."""
IDLE = """
from netmap_actors.bus.loop import Loop
from netmap_actors.confinement.memory_guard import STEP, unwatch_memory, watch_memory
loop = Loop()
watch_memory(loop, None, grows=False)
over = loop.now() + 20 * STEP
loop.at(over, lambda: None)
loop.run(lambda: loop.now() >= over)
unwatch_memory()
print(loop.waits)
"""


def test_too_much_is_told_once_and_again_when_it_comes_again() -> None:
    guard = MemoryGuard(MOST)
    assert not guard.too_much(MEMORY_LIMIT)
    assert guard.too_much(MEMORY_LIMIT + 1)
    assert not guard.too_much(2 * MEMORY_LIMIT), "it takes a moment to be free again"
    guard.settled(MEMORY_LIMIT // 2)
    assert not guard.too_much(MEMORY_LIMIT)
    assert guard.too_much(MEMORY_LIMIT + 1)


@given(st.lists(st.integers(0, 4 * MEMORY_LIMIT)))
def test_what_stays_with_the_allocator_is_no_flood(figures: list[int]) -> None:
    guard = MemoryGuard(MOST)
    for resident in figures:
        if guard.too_much(resident):
            guard.settled(resident)
        assert not guard.too_much(resident), "as much as was there a moment ago"
        assert not guard.too_much(max(MEMORY_LIMIT, resident - ROOM))


def test_floods_do_not_make_room_for_themselves() -> None:
    guard = MemoryGuard(MOST)
    for resident in range(MEMORY_LIMIT, 3 * MOST, ROOM // 2):
        if guard.too_much(resident):
            guard.settled(resident)
    assert guard.too_much(MOST + 1)


def said_by(program: str) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], capture_output=True, check=True, timeout=60, text=True
    )
    return [int(word) for word in done.stdout.split()]


def test_a_process_that_grows_notices_it_again_and_again() -> None:
    told = [size << 20 for size in said_by(GROWING)]
    assert len(told) == 3
    assert all(MEMORY_LIMIT // 2 < size < 3 * MEMORY_LIMIT for size in told)


def test_a_process_that_does_nothing_is_not_woken() -> None:
    (woken,) = said_by(IDLE)
    assert woken <= 2


def test_a_process_that_no_longer_looks_comes_to_its_end() -> None:
    assert said_by(ENDING) == [7]
