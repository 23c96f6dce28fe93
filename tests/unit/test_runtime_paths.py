from __future__ import annotations

import os
from pathlib import Path

import pytest

from netmap_actors.runtime_paths import default_runtime_dir, requests_path, updates_path


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"NETMAP_SUPERVISOR_RUNTIME_DIR": "/a", "RUNTIME_DIRECTORY": "/b"}, "/a"),
        ({"RUNTIME_DIRECTORY": "/b:/c"}, "/b"),
        ({"NETMAP_SUPERVISOR_RUNTIME_DIR": "", "RUNTIME_DIRECTORY": "/b"}, "/b"),
    ],
)
def test_the_environment_names_the_directory(environment, directory) -> None:
    assert default_runtime_dir(environment) == Path(directory)


def test_root_has_it_in_run_and_everybody_else_in_their_own(monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_runtime_dir({}) == Path("/run/netmap-supervisor")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_runtime_dir({}).name == "netmap-supervisor"


def test_both_sockets_lie_in_one_directory_of_their_own() -> None:
    assert updates_path(Path("/r")) == Path("/r/pub/updates.sock")
    assert requests_path(Path("/r")) == Path("/r/pub/requests.sock")
