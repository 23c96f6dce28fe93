"""Every fault of docs/explanation/fault-catalogue.md has tests, and every test with a fault's number is in its row."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "fault-catalogue.md"
NO_TEST = {"F37", "F54"}
"""Faults that cannot happen here; the page says why."""
FAULTS = {
    f"F{number:02}"
    for number in (
        *(1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 15, 16, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28),
        *(29, 30, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 48, 49, 50, 51, 52, 54, 55, 56),
        *(59, 60, 61, 62, 63, 64),
    )
}
_IN_NAME = re.compile(r"_(f\d\d)(?=_)")
_IN_PARAMETER = re.compile(r"(f\d\d)-")
_IN_TEXT = re.compile(r"f\d\d[_-]")
"""In every text with one of the two: only such are taken apart."""


def rows() -> dict[str, list[str]]:
    """The files each row of the table names, by its fault."""
    found: dict[str, list[str]] = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| F"):
            fault, *texts = (cell.strip() for cell in line.strip("|").split("|"))
            assert fault not in found, f"{fault} has two rows"
            assert len(texts) == 3, f"{fault} has not four cells"
            assert all(texts), f"{fault} has an empty cell"
            found[fault] = re.findall(r"`(tests/[^`]+)`", texts[-1])
    return found


@functools.cache
def files_by_fault() -> dict[str, set[str]]:
    """The files with a test that has the fault's number in its name, or in a parameter's, by fault."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        for fault in _faults_in(ast.parse(text)) if _IN_TEXT.search(text) else ():
            found.setdefault(fault, set()).add(str(path.relative_to(ROOT)))
    return found


def _faults_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield from (fault.upper() for fault in _IN_NAME.findall(node.name))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _IN_PARAMETER.match(node.value)
            if match is not None:
                yield match.group(1).upper()


def field_rows() -> list[tuple[str, ...]]:
    """The rows of "Found in the field": what happened, what holds now, since when, shown by."""
    _, _, section = PAGE.read_text().partition("\n## Found in the field\n")
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    heads = ("| what happened |", "| --- |")
    # A pipe within code is written \\|, as Markdown wants it.
    return [
        tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|")))
        for line in lines
        if not line.startswith(heads)
    ]


ROWS = rows()
FIELD_ROWS = field_rows()


@pytest.mark.parametrize("fault", sorted(ROWS))
def test_each_file_a_row_names_has_a_test_of_its_fault(fault: str) -> None:
    assert ROWS[fault], "no file is named"
    assert set(ROWS[fault]) - files_by_fault().get(fault, set()) == set()


def test_every_test_of_a_fault_is_in_its_row() -> None:
    missing = {fault: files - set(ROWS.get(fault, ())) for fault, files in files_by_fault().items()}
    assert {fault: files for fault, files in missing.items() if files} == {}


def test_the_table_is_complete_and_says_what_does_not_apply() -> None:
    assert set(ROWS) == FAULTS - NO_TEST
    assert set(re.findall(r"^\* \*\*(F\d\d)\*\*", PAGE.read_text(), flags=re.MULTILINE)) == NO_TEST


@pytest.mark.parametrize("row", FIELD_ROWS, ids=lambda row: re.sub(r"\W+", "-", row[0])[:60])
def test_each_fault_found_in_the_field_names_the_tests_that_hold_it(row: tuple[str, ...]) -> None:
    assert len(row) == 4
    assert all(row), "an empty cell"
    _, _, since, shown_by = row
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", since), "since: a date"
    tests = re.findall(r"`(tests/[^`:]+)::(test_\w+)`", shown_by)
    assert tests, "no test is named"
    for file, name in tests:
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name
