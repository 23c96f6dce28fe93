"""The program's files are looked at as they are: what changes, comes or goes gives another stamp."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from netmap_supervisor.system import code_stamp as module
from netmap_supervisor.system.code_stamp import code_stamp, loaded_stamp


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the two packages' shape, to be changed."""
    actors, system = tmp_path / "netmap_actors", tmp_path / "netmap_supervisor" / "system"
    for folder in (actors / "process", system):
        folder.mkdir(parents=True)
    for path in (actors / "__init__.py", actors / "process" / "title.py", system / "code_stamp.py"):
        path.write_text("x = 1\n")
        os.utime(path, (1000, 1000))
    monkeypatch.setattr(module.netmap_actors, "__file__", str(actors / "__init__.py"))
    monkeypatch.setattr(module, "__file__", str(system / "code_stamp.py"))
    return tmp_path


def test_it_is_the_same_while_nothing_changes(program: Path) -> None:
    first = code_stamp()
    assert (first.modules, first.newest, first.size) == (3, 1000 * 10**9, 18)
    (program / "netmap_actors" / "notes.txt").write_text("no module")
    (program / "netmap_actors" / "__pycache__").mkdir()
    (program / "netmap_actors" / "__pycache__" / "title.cpython-312.pyc").write_bytes(b"x")
    assert code_stamp() == first


@pytest.mark.parametrize(
    "change",
    [
        lambda place: (place / "netmap_actors" / "process" / "title.py").write_text("x = 2\n"),
        lambda place: (place / "netmap_actors" / "new.py").touch(),
        lambda place: (place / "netmap_actors" / "process" / "title.py").unlink(),
        lambda place: os.utime(place / "netmap_supervisor" / "system" / "code_stamp.py"),
    ],
    ids=["written", "new", "gone", "touched"],
)
def test_it_is_another_after_an_update(program: Path, change) -> None:
    before = code_stamp()
    change(program)
    assert code_stamp() != before


def test_what_was_loaded_stays_what_it_was_also_for_the_next_supervisor_of_the_process(program: Path) -> None:
    loaded_stamp.cache_clear()
    before = loaded_stamp()
    (program / "netmap_actors" / "new.py").touch()
    assert loaded_stamp() == before != code_stamp()
    loaded_stamp.cache_clear()


def test_of_the_real_program_every_module_is_looked_at() -> None:
    import netmap_actors
    import netmap_supervisor

    roots = [Path(str(package.__file__)).parent for package in (netmap_actors, netmap_supervisor)]
    assert code_stamp().modules == sum(len(list(root.rglob("*.py"))) for root in roots)
