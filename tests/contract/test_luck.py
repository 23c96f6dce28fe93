"""A test fails by what it tests, and not by what else the machine does."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("browser", "conformance", "contract", "interop", "matrix", "process", "system", "unit")
CLOCKS = {"monotonic", "perf_counter", "time", "now", "boottime", "clock_gettime"}


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def late(tree: ast.AST) -> list[int]:
    """Lines that hold against an upper limit what passed by a clock; a `Stopwatch` leaves out what was lost."""
    passed: set[str] = set()

    def by_a_clock(node: ast.expr) -> bool:
        return (isinstance(node, ast.Name) and node.id in passed) or (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.Sub)
            and isinstance(node.left, ast.Call)
            and ast.unparse(node.left.func).rpartition(".")[2] in CLOCKS
        )

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and by_a_clock(node.value):
            passed.update(one.id for one in node.targets if isinstance(one, ast.Name))
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for left, how, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False)
        if (by_a_clock(left) and isinstance(how, ast.Lt | ast.LtE) and "allowed(" not in ast.unparse(right))
        or (by_a_clock(right) and isinstance(how, ast.Gt | ast.GtE) and "allowed(" not in ast.unparse(left))
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assert time.monotonic() - began < 5.0", [1]),
        ("assert 1.0 <= loop.now() - began <= 5.0", [1]),
        ("took = boottime() - began\nassert 5.0 > took", [2]),
        ("assert time.monotonic() - began > 5.0", []),
        ("assert watch.seconds() < 5.0", []),
        ("took = boottime() - began\nassert 1.0 <= took <= 1.0 + watch.allowed(5.0)", []),
    ],
)
def test_an_upper_limit_on_the_clock_is_seen(text: str, found: list[int]) -> None:
    assert late(ast.parse(text)) == found


def test_no_upper_limit_counts_what_a_busy_machine_took() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for folder in FOLDERS
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
        if (lines := late(parsed(path)))
    }
    assert found == {}


def closed_again(tree: ast.AST) -> list[int]:
    """Lines of a socket that is closed as soon as its port is known: whoever is told it may find another there."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "getsockname()[1]" in ast.unparse(node.body[-1])
        if isinstance(node.body[-1], ast.Return | ast.Assign | ast.AnnAssign)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("with socket.socket() as one:\n one.bind(('::1', 0))\n return one.getsockname()[1]", [1]),
        ("with socket.create_server(('', 0)) as one:\n port = one.getsockname()[1]\nprint(port)", [1]),
        ("with socket.create_server(('', 0)) as one:\n port = one.getsockname()[1]\n print(port)", []),
    ],
)
def test_a_port_that_is_given_back_before_it_is_used_is_seen(text: str, found: list[int]) -> None:
    assert closed_again(ast.parse(text)) == found


def test_ports_that_are_told_to_programs_are_kept_from_others() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tests").rglob("*.py")
        if (lines := closed_again(parsed(path)))
    }
    assert found == {}


def test_nobody_waits_for_a_message_to_be_the_last() -> None:
    """Two may come at once: the one that is waited for is then never the last. `ControlClient.told` looks at all."""
    pattern = re.compile(r"\.wait\(lambda[^:]*:[^\n]*messages\[-1\]")
    found = [str(path) for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())]
    assert found == []


NOW = re.compile(r"\b(datetime|date|time)\.(now|utcnow|today|time|localtime|gmtime|strftime)\(")


def same_moment(tree: ast.AST) -> list[int]:
    """Lines that expect what was written a moment ago to be what the clock says now: a second or midnight may pass."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(how, ast.Eq | ast.NotEq | ast.In) for how in node.ops)
        if NOW.search(ast.unparse(node))
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("assert datetime.datetime.now(UTC).strftime('%d') in said", [1]),
        ("assert said == date.today().isoformat()", [1]),
        ("assert began <= event.at <= time.time()", []),
    ],
)
def test_what_has_to_happen_within_one_second_or_day_is_seen(text: str, found: list[int]) -> None:
    assert same_moment(ast.parse(text)) == found


def test_nothing_is_expected_to_happen_within_one_second_or_day() -> None:
    found = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "tests").rglob("test_*.py")
        if (lines := same_moment(parsed(path)))
    }
    assert found == {}
