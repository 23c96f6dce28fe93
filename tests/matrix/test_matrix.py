"""Every order a taken-over process would try, from inside each real process of a running daemon."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.matrix.exceptions import EXCEPTIONS, OVERTAKEN, allowed, unknown
from tests.matrix.inside_orders import ORDERS
from tests.matrix.matrix import ABSENT, ALLOWED, BROKEN, REFUSED, Matrix
from tests.matrix.scene import CHILDREN, OUTSIDE, ROLES, Scene
from tests.support.availability import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("matrix"), pytest.mark.timeout(300)]
SOMEBODY = 4242
FLOOR = 120
"""Orders a process that gave nothing up carries out: with fewer, this machine could not tell."""
_SIGNS = {ALLOWED: "CAN", REFUSED: "-", ABSENT: ".", BROKEN: "??"}


@pytest.fixture(scope="module")
def as_started() -> Iterator[Matrix]:
    """With the rights of whoever runs the tests: root in CI."""
    with Scene() as scene:
        yield Matrix(scene).fill()


@pytest.fixture(scope="module")
def as_another_user() -> Iterator[Matrix]:
    """A daemon of a user with no rights at all, in a mount namespace where the interpreter is within its reach."""
    if os.geteuid() != 0 or not (shutil.which("setpriv") and shutil.which("unshare")):
        unavailable("a daemon of another user needs root, setpriv and unshare")
    with Scene(user=SOMEBODY, prefix=prefix_of(SOMEBODY)) as scene:
        yield Matrix(scene).fill(everything=False)


def prefix_of(user: int) -> tuple[str, ...]:
    """Before a command: run it as this user. What stands on the way to the interpreter is replaced by an open way."""
    closed = next(
        (path for path in reversed(Path(sys.base_prefix).parents) if not path.stat().st_mode & 0o001), None
    )
    drop = (
        "setpriv",
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
    )
    if closed is None:
        return drop
    script = (
        'set -e; held=$(mktemp -d); mount --bind "$1" "$held"; mount -t tmpfs -o mode=755 none "$2"; mkdir -p "$1"; '
        'mount --move "$held" "$1"; shift 2; exec "$@"'
    )
    return (
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        script,
        "sh",
        sys.base_prefix,
        str(closed),
        *drop,
    )


def table(matrix: Matrix) -> str:
    """For people: an order a line, a process a column."""
    head = " " * 76 + " ".join(f"{role:.7}".ljust(7) for role in (*ROLES, OUTSIDE))
    rows = [
        f"{name:<75.75} " + " ".join(
            (_SIGNS[cells[role].verdict] if role in cells else "").ljust(7) for role in (*ROLES, OUTSIDE)
        )
        for name, cells in matrix.cells.items()
    ]  # fmt: skip
    return "\n".join([head, *rows])


def surprises(matrix: Matrix, role: str, *, root: bool) -> list[str]:
    """What this process can do and may not, and what it may by the table and cannot."""
    may = allowed(role, root=root)
    found = []
    for name, cells in matrix.cells.items():
        cell = cells.get(role)
        if cell is None or cell.verdict == ABSENT:
            continue
        if cell.verdict == BROKEN:
            found.append(f"{role}: {name}: cannot tell: {cell.detail}")
        elif cell.verdict == ALLOWED and name not in may:
            found.append(f"{role}: {name}: {cell.detail or 'done'}")
        elif cell.verdict == REFUSED and name in may and name not in OVERTAKEN:
            found.append(f"{role}: {name}: is refused ({cell.detail}), and the table says that it cannot be")
    return found


@pytest.mark.parametrize("role", ROLES)
def test_what_a_process_was_not_given_it_cannot_take(as_started: Matrix, role: str) -> None:
    found = surprises(as_started, role, root=os.geteuid() == 0)
    assert found == [], "\n" + "\n".join(found)


@pytest.mark.parametrize("role", ROLES)
def test_nor_can_one_of_another_user_than_root(as_another_user: Matrix, role: str) -> None:
    found = surprises(as_another_user, role, root=False)
    assert found == [], "\n" + "\n".join(found)


def test_a_process_that_gave_nothing_up_can_do_all_this(as_started: Matrix) -> None:
    """Else it would be no wonder that ours cannot."""
    print("\n" + table(as_started))
    can = [
        name
        for name, cells in as_started.cells.items()
        if OUTSIDE in cells and cells[OUTSIDE].verdict == ALLOWED
    ]
    assert len(can) >= (FLOOR if os.geteuid() == 0 else FLOOR // 2), can


_LOOKS = ("environ", "maps", "auxv", "mem", "fd")


def test_another_program_of_the_same_user_does_not_look_into_the_daemon(as_another_user: Matrix) -> None:
    """Each process is undumpable: what it knows is not for whoever else the user runs, keys above all (ptrace(2))."""
    told = {name: cells[OUTSIDE].verdict for name, cells in as_another_user.cells.items() if OUTSIDE in cells}
    looks = [
        *(f"/proc/PID/{what} of" for what in _LOOKS),
        "ptrace of",
        "process_vm_readv of",
        "process_vm_writev of",
    ]
    assert told["/proc/PID/environ of a stranger"] == ALLOWED, (
        "of a program that did not give it up it can be had"
    )
    assert {
        name: told[name]
        for look in looks
        for name in (f"{look} the Supervisor", f"{look} a sibling")
        if told[name] != REFUSED
    } == {}


def test_every_order_was_given_to_every_process_in_its_main_thread(as_started: Matrix) -> None:
    own = ("tell ", "order ", "have ", "show ", "connections ", "words ", "stop ", "an order of")
    for name, cells in as_started.cells.items():
        missing = {role for role in ROLES if role not in cells} - (
            {"view"} if name == "stop itself" else set()
        )
        assert missing <= ({"supervisor"} if name.startswith((*own, *as_started.alone)) else set()), name
    elsewhere = [
        (name, role)
        for name, cells in as_started.cells.items()
        for role in cells
        if not cells[role].main_thread
    ]
    assert elsewhere == [], "another thread than the one that gave everything up proves nothing"


def test_nothing_shows_outside_that_was_refused_inside(as_started: Matrix) -> None:
    assert as_started.harm == []


def test_what_was_refused_was_counted(as_started: Matrix) -> None:
    """A word that shows nowhere might have been lost on its way; these came, and were not believed."""
    told = [name for name in ORDERS if name.startswith("tell the Supervisor") and "own socket" in name]
    assert as_started.counted["supervisor"]["foreign_words"] >= len(told) * (len(CHILDREN) - 1)
    orders = [name for name in ORDERS if name.startswith("order ") and name != "order `stop`"]
    assert as_started.counted["supervisor"]["orders_refused"] >= len(orders)


def test_a_second_daemon_is_refused_after_all_of_it(as_started: Matrix) -> None:
    code, said = as_started.second
    assert code == 1
    assert "already uses" in said


def test_who_stops_itself_is_replaced(as_started: Matrix) -> None:
    assert set(as_started.hung) == set(CHILDREN)
    assert all(before != after for before, after in as_started.hung.values())


def test_nobody_leaves_a_core_file(as_started: Matrix) -> None:
    assert as_started.cores == []


def test_every_exception_is_an_order_and_has_its_reason() -> None:
    assert unknown() == []
    for exempt in EXCEPTIONS:
        assert exempt.roles
        assert set(exempt.roles) <= set(ROLES)
        assert len(exempt.reason) > 20
    assert not [
        name for name in ORDERS if name.startswith("(") and any(name in one.orders for one in EXCEPTIONS)
    ]
