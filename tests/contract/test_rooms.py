"""The folders of the product: their size, their names, their tests, and what their modules call each other."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from netmap_supervisor.config.options import OPTIONS
from tests.contract.rooms import CONTRACTS, dotted
from tests.contract.test_house import PACKAGES, ROOT, modules, name_of, parsed

UNIT = ROOT / "tests" / "unit"
MAX_ENTRIES = 16
LARGE = {"netmap_actors": "the root of a package"}
"""Folders that may have more entries, and why."""
NO_ROOM = {
    "bench": "bench",
    "ground": "single modules of the root of netmap_actors",
    "support": "tests/support",
}
"""Folders of tests/unit that stand for no folder of the product, and what they test."""
RENAMED_IMPORTS = {"collections.abc: Set as AbstractSet"}
SHARED_NAMES = {"UserProfile": "Tailscale's, and what subscribers get of it"}
"""Classes of one name in two modules, and why."""
MODULES = modules()


def folders() -> list[Path]:
    return sorted({path.parent for path in MODULES})


def test_a_folder_shows_its_parts_and_no_heap() -> None:
    parts = Counter(path.parent for path in (*MODULES, *folders()) if path.name != "__init__.py")
    assert {folder.name for folder, count in parts.items() if count > MAX_ENTRIES} == set(LARGE)


def test_what_is_said_to_be_elsewhere_is_there() -> None:
    """`Not here: the sockets (`acceptor`)`: a module with this end of a name, something in one, or an option."""
    known = {row.path for row in OPTIONS.values()}
    for path in MODULES:
        for name in ("", *(f".{node.name}" for node in parsed(path).body if hasattr(node, "name"))):
            parts = (dotted(path) + name).split(".")
            known |= {".".join(parts[at:]) for at in range(len(parts))}
    wrong = {}
    for path in MODULES:
        text = ast.get_docstring(parsed(path)) or ""
        sentence = re.search(r"Not here:(.*?)(?:[.;]\s|\.?$)", text, re.DOTALL)
        if named := set(re.findall(r"`([A-Za-z_][\w.]*)`", sentence[1]) if sentence else ()) - known:
            wrong[name_of(path)] = named
    assert wrong == {}


def test_every_folder_of_unit_tests_is_a_room() -> None:
    tested = {path.parent.relative_to(UNIT) for path in UNIT.rglob("test_*.py")}
    rooms = {
        folder.relative_to(package)
        for package in PACKAGES
        for folder in folders()
        if package in folder.parents
    }
    assert tested - rooms == {Path(name) for name in NO_ROOM}


def test_every_room_with_decisions_has_unit_tests() -> None:
    (pure,) = (one["source_modules"] for one in CONTRACTS if one["name"].startswith("machines:"))
    files = {dotted(path): path for path in MODULES}
    for module in pure:
        for package in PACKAGES:
            if package in files[module].parents and files[module].parent != package:
                assert list((UNIT / files[module].parent.relative_to(package)).glob("test_*.py")), module


def test_nothing_is_imported_under_another_name() -> None:
    renamed = {
        f"{getattr(node, 'module', 'import')}: {ast.unparse(alias)}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if alias.asname is not None
    }
    assert renamed == RENAMED_IMPORTS


def test_a_class_has_a_name_of_its_own() -> None:
    names = Counter(
        node.name for path in MODULES for node in parsed(path).body if isinstance(node, ast.ClassDef)
    )
    shared = {name for name, times in names.items() if times > 1 and not name.startswith("_")}
    assert shared == set(SHARED_NAMES)
