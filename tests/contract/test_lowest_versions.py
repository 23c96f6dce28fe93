"""The lowest versions that are tested are the lowest that pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_dependency_is_tested_at_the_lower_end_of_its_range() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    admitted = {}
    for text in dependencies:
        found = re.match(r"([\w.-]+)>=([\d.]+)", text)
        assert found, f"{text}: a range begins with its lower end"
        admitted[found[1]] = tuple(map(int, found[2].split(".")))
    lines = (ROOT / "constraints-lowest.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned.keys() == admitted.keys()
    for name, lowest in admitted.items():
        version = tuple(map(int, pinned[name].split(".")))
        padded = lowest + (0,) * (len(version) - len(lowest))
        assert version == padded, f"{name} is admitted from {lowest}"
