"""What of the root directory the Supervisor may read: everything but devices and what the kernel shows of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from netmap_actors.confinement import system_files
from netmap_actors.confinement.permissions import ROWS, RunPlaces


def test_devices_and_the_kernels_own_files_are_not_among_it() -> None:
    found = set(system_files.top_level())
    assert {Path("/etc"), Path("/usr"), Path("/tmp")} <= found
    assert not found & {Path("/"), Path("/dev"), Path("/proc"), Path("/sys")}
    assert found >= {
        path
        for path in Path("/").iterdir()
        if not path.is_symlink() and path.name not in {"dev", "proc", "sys"}
    }


@pytest.mark.parametrize(
    ("target", "taken"),
    [("/", False), ("/dev/shm", False), ("/proc", False), ("/sys/fs", False), ("/usr/lib", True)],
)
def test_a_link_is_what_it_leads_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, taken: bool
) -> None:
    link = tmp_path / "link"
    link.symlink_to(target)
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([link]))
    assert (list(system_files.top_level()) == [link]) == taken


def test_a_root_directory_that_cannot_be_listed_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert {Path("/etc"), Path("/home"), Path("/run"), Path("/var")} <= set(system_files.top_level())


def test_a_file_that_the_settings_name_is_read_wherever_it_is() -> None:
    named = Path("/dev/shm/key")
    allowed = ROWS["supervisor"].permissions(RunPlaces(Path("/s"), Path("/run/n"), named=(named,)))
    assert named in allowed.readable
    assert allowed.unlisted == (Path("/proc"),)
