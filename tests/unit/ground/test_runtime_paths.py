"""The default runtime directory, the same for the daemon and its subscribers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from netmap_actors import runtime_paths
from netmap_actors.errors import ConfigurationError
from netmap_actors.runtime_paths import (
    default_runtime_dir,
    dev_control_socket,
    requests_path,
    updates_path,
)
from netmap_actors.subscriber import Subscriber
from netmap_supervisor.config.layers import load, runtime_dir
from netmap_supervisor.config.options import default_state_dir

UID = 4242
SERVICE = {"RUNTIME_DIRECTORY": "/s/run", "STATE_DIRECTORY": "/s/state", "CONFIGURATION_DIRECTORY": "/s/etc"}
"""Variables that systemd sets for any unit."""


@pytest.fixture
def foreign() -> set[Path]:
    """Directories of another user."""
    return set()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, foreign: set[Path]) -> Path:
    """We are an ordinary user, and /run/user and /tmp are below here."""
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    monkeypatch.setattr(runtime_paths, "_LOGINS", tmp_path / "run-user")
    monkeypatch.setattr(runtime_paths, "_LAST_RESORT", tmp_path / "tmp")
    lstat = os.lstat

    def shown(path: object, **more: object) -> os.stat_result:
        found = lstat(path, **more)  # type: ignore[arg-type]
        owner = 7 if Path(str(path)) in foreign else UID
        return os.stat_result((*found[:4], owner, *found[5:10]))

    monkeypatch.setattr(os, "lstat", shown)
    for made in ("run-user", "tmp"):
        (tmp_path / made).mkdir()
    return tmp_path


# Who names it


def test_our_own_variable_names_the_directory() -> None:
    assert default_runtime_dir({"NETMAP_SUPERVISOR_RUNTIME_DIR": "/a", "XDG_RUNTIME_DIR": "/c"}) == Path("/a")


@pytest.mark.parametrize("uid", [0, UID])
def test_what_a_unit_has_of_its_own_is_not_where_the_daemon_is(
    uid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    mine = {"XDG_RUNTIME_DIR": "/run/user/4242"}
    expected = Path("/run/user/4242/netmap-supervisor" if uid else "/run/netmap-supervisor")
    assert default_runtime_dir(mine | SERVICE) == expected
    assert runtime_dir(None, mine | SERVICE) == expected
    assert default_runtime_dir({"NETMAP_SUPERVISOR_RUNTIME_DIR": ""} | mine | SERVICE) == expected


def test_a_subscriber_looks_where_the_commands_look(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="nm-") as short:
        _subscriber_looks_below(Path(short), monkeypatch)


def _subscriber_looks_below(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("NETMAP_SUPERVISOR_RUNTIME_DIR", "")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    with Subscriber() as subscriber:
        updates, _ = subscriber._endpoint
    assert updates == f"ipc://{updates_path(place / 'netmap-supervisor')}"


def test_run_has_what_its_unit_gives_it() -> None:
    found = load({}, SERVICE)
    assert (found.value("runtime_dir"), found.value("state_dir")) == ("/s/run", "/s/state")
    several = load({}, {name: f"{value}:/other" for name, value in SERVICE.items()})
    assert (several.value("runtime_dir"), several.value("state_dir")) == ("/s/run", "/s/state")


# The rule


def test_root_has_it_in_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_runtime_dir({"XDG_RUNTIME_DIR": "/run/user/0"}) == Path("/run/netmap-supervisor")
    assert dev_control_socket({}) == Path("/run/netmap-supervisor-dev/dev-control.sock")


def test_a_user_has_it_where_the_login_says_then_where_a_login_has_it_then_in_tmp(
    places: Path, foreign: set[Path]
) -> None:
    last = places / "tmp" / f"runtime-{UID}" / "netmap-supervisor"
    for unset in ({}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "relative/one"}):
        assert default_runtime_dir(unset) == last
    login = places / "run-user" / str(UID)
    login.mkdir()
    # As under cron, which sets no such variable.
    assert default_runtime_dir({}) == login / "netmap-supervisor"
    foreign.add(login)
    assert default_runtime_dir({}) == last
    assert default_runtime_dir({"XDG_RUNTIME_DIR": "/elsewhere"}) == Path("/elsewhere/netmap-supervisor")
    assert dev_control_socket({}) == last.parent / "netmap-supervisor-dev" / "dev-control.sock"


@pytest.mark.parametrize("kind", ["foreign", "file", "link"])
def test_what_somebody_else_made_there_first_is_refused_with_what_to_do(
    places: Path, foreign: set[Path], kind: str
) -> None:
    last = places / "tmp" / f"runtime-{UID}"
    match kind:
        case "foreign":
            last.mkdir()
            foreign.add(last)
        case "file":
            last.touch()
        case "link":
            last.symlink_to(places)
    for find in (default_runtime_dir, dev_control_socket):
        with pytest.raises(ConfigurationError, match=rf"cannot use {re.escape(str(last))}.*XDG_RUNTIME_DIR"):
            find({})
    # Not consulted when a directory is named.
    assert runtime_dir("/named", {}) == Path("/named")
    assert runtime_dir(None, {"NETMAP_SUPERVISOR_RUNTIME_DIR": "/named"}) == Path("/named")
    settled = load({"runtime_dir": "/named", "state_dir": "/state"}, {"HOME": "/home/x"})
    assert settled.value("runtime_dir") == "/named"


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"HOME": "/home/x"}, "/home/x/.local/state/netmap-supervisor"),
        ({"HOME": "/home/x", "XDG_STATE_HOME": "/elsewhere"}, "/elsewhere/netmap-supervisor"),
        # XDG Base Directory Specification: a relative path is to be ignored.
        ({"HOME": "/home/x", "XDG_STATE_HOME": "elsewhere"}, "/home/x/.local/state/netmap-supervisor"),
    ],
)
def test_the_state_of_a_user_is_where_xdg_has_it(
    environment: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    assert default_state_dir(environment) == Path(directory)


def test_no_library_decides_it() -> None:
    script = """
import sys
sys.modules["platformdirs"] = None
import os
os.geteuid = lambda: 4242
from netmap_actors.runtime_paths import default_runtime_dir, dev_control_socket
from netmap_supervisor.config.layers import load
default_runtime_dir({}), dev_control_socket({}), load({}, {"HOME": "/home/x"})
print("found")
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.stdout == "found\n", done.stderr


def test_both_sockets_lie_in_one_directory_of_their_own() -> None:
    assert updates_path(Path("/r")) == Path("/r/pub/updates.sock")
    assert requests_path(Path("/r")) == Path("/r/pub/requests.sock")
