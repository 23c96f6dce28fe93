"""What a busy machine takes from a test is not held against what is tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import SLOWEST, Stopwatch, wait_for

if TYPE_CHECKING:
    from pathlib import Path


class Machine:
    def __init__(self, pressure: Path) -> None:
        self.now, self.pressure = 100.0, pressure
        self.waited(cpu=7.0, io=3.0)

    def waited(self, **seconds: float) -> None:
        for name, total in seconds.items():
            shown = "avg10=1.00 avg60=2.00 avg300=3.00 total="
            (self.pressure / name).write_text(f"some {shown}{total * 1e6:.0f}\nfull {shown}99000000\n")

    def stopwatch(self) -> Stopwatch:
        return Stopwatch(lambda: self.now, self.pressure)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_waits_for_a_processor_or_a_disk_do_not_count(machine: Machine) -> None:
    watch = machine.stopwatch()
    machine.now += 10.0
    assert (watch.wall(), watch.seconds(), watch.allowed(1.0)) == (10.0, 10.0, 1.0)
    machine.waited(cpu=9.5, io=3.25)
    assert (watch.wall(), watch.seconds(), watch.allowed(1.0)) == (10.0, 7.25, 3.75)


@pytest.mark.parametrize("counted", [True, False])
def test_no_machine_is_slower_than_so_many_times(counted: bool, machine: Machine) -> None:
    if not counted:
        (machine.pressure / "cpu").unlink()
    watch = machine.stopwatch()
    machine.now += 10.0
    if counted:
        machine.waited(cpu=17.0, io=13.0)
    assert (watch.seconds(), watch.allowed(1.0)) == (10.0 / SLOWEST, SLOWEST)


def test_a_fact_that_does_not_come_is_named_and_one_that_is_there_is_never_late() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s: the fact"):
        wait_for(lambda: False, 0.01, "the fact", every=0.001)
    assert wait_for(lambda: "there", 0.0, "the fact") == "there"
