"""The product has no means to load foreign code; the tests use Python's own to get theirs into its processes."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (ROOT / "actors" / "netmap_actors", ROOT / "supervisor" / "netmap_supervisor")
LOADERS = {"process/bootstrap.py", "cli/__init__.py", "system/nursery_process.py"}
"""They load what stands in a table of theirs."""
_RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
_LOADS = {"import_module", "run_path", "run_module", "spec_from_file_location", "exec_module"}


def modules() -> dict[str, str]:
    return {
        str(path.relative_to(package)): path.read_text()
        for package in PACKAGES
        for path in package.rglob("*.py")
        if not path.stem.endswith("_pb2")
    }


@functools.cache
def names_called(text: str) -> set[str]:
    called = [node.func for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    plain = {func.id for func in called if isinstance(func, ast.Name)}
    # re.compile() makes a pattern.
    return plain | {func.attr for func in called if isinstance(func, ast.Attribute) and func.attr in _LOADS}


def test_no_text_becomes_code() -> None:
    assert {name for name, text in modules().items() if names_called(text) & _RUNS_TEXT} == set()


def test_modules_are_loaded_by_name_only_from_a_table() -> None:
    assert {name for name, text in modules().items() if names_called(text) & _LOADS} == LOADERS


def test_nothing_knows_the_way_the_tests_come_in() -> None:
    """Neither their signal nor their files; no variable of the environment could switch anything like them on."""
    way = re.compile(r"SIGUSR|sitecustomize|usercustomize|matrix|PYTHONSTARTUP|PYTHONINSPECT")
    found = {name: way.findall(text) for name, text in modules().items() if way.search(text)}
    assert found == {}
