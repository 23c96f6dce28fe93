"""One guest for all the tests of this folder, and their table."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import unavailable
from tests.vm.image import problem
from tests.vm.machine import Machine, running_machine
from tests.vm.qemu import ACCELERATORS
from tests.vm.table import Table

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_TABLE = Table()
_FACTS: list[str] = []
_LAST_ENTRIES = 60


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, and a terminal that is closed, end a run as Ctrl-C does: with everything that was started."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in [*_FACTS, "", *_TABLE.lines()] if _FACTS else ():
        terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what the journal says of the service."""
    report = yield
    machine = getattr(item, "funcargs", {}).get("installed")
    if report.failed and isinstance(machine, Machine):
        last = machine.guest.entries()[-_LAST_ENTRIES:]
        report.sections.append(("journal of the guest", "\n".join(f"{one.by}: {one.text}" for one in last)))
    return report


@pytest.fixture(scope="session")
def table() -> Table:
    return _TABLE


@pytest.fixture(scope="session")
def installed() -> Iterator[Machine]:
    """The guest with the service in it. VM_ACCELERATOR names what runs its processor: kvm or tcg."""
    reason = problem()
    if reason is not None:
        unavailable(reason)
    wanted = os.environ.get("VM_ACCELERATOR")
    with running_machine((wanted,) if wanted else tuple(ACCELERATORS), _FACTS.append) as machine:
        yield machine


@pytest.fixture
def machine(installed: Machine) -> Machine:
    """As a well network leaves it: no fault, the server there, the netmap fresh."""
    installed.settle()
    return installed
