"""The planted bugs can still be planted; whether they are found takes minutes and is `make mutants`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.planted import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_bug_has_its_place_and_its_tests(mutant: Mutant) -> None:
    for edit in mutant.edits:
        text = (ROOT / edit.file).read_text()
        assert text.count(edit.old) == 1, edit
        ast.parse(text.replace(edit.old, edit.new))
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert (ROOT / path).exists(), test
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text()


def test_there_are_thirteen() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == 13
